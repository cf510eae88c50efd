"""What the runs of all campaigns share, and how a lead's call is written down when it is over."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.calls.campaign_calls import Dialler
from sovereign_pbx.calls.campaign_hours import Hours
from sovereign_pbx.calls.campaign_left import LeftLines
from sovereign_pbx.calls.campaign_outcome import Answerer, Outcome, answerer_of, outcome_of, outcome_of_lost
from sovereign_pbx.calls.campaign_pace import Clock, TotalPace
from sovereign_pbx.calls.campaign_retries import retry_minutes
from sovereign_pbx.calls.campaigns import Campaigns, utc_text
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.campaign_rows import CampaignRow, LeadRow
from sovereign_pbx.store.campaigns import CampaignTables
from sovereign_pbx.store.failure import StoreError

log = structlog.get_logger(__name__)

_TRIES: Final = 5
_AGAIN_S: Final = 5.0
_SHORTEST_S: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """`now` is the time of day, aware; `clock` counts seconds and never goes back. `ring_s`: how long a call rings."""

    tables: CampaignTables
    campaigns: Campaigns
    directory: Directory
    dialler: Dialler
    call_row: Callable[[str], Awaitable[CallRow | None]]
    events: Callable[[str], Awaitable[Sequence[tuple[str, str, Mapping[str, Any]]]]]
    hours: Hours
    left: LeftLines
    total: TotalPace
    ring_s: float
    now: Callable[[], datetime]
    clock: Clock

    async def settle(self, lead: LeadRow, *, lost: bool = False) -> None:
        """Write what became of a lead whose call is over, by the row of that call. One that has no row was never
        dialled (`Dialler.place`): it goes back as if nothing had been. `lost`: by an earlier daemon."""
        row = await self.call_row(lead.call_id or "")
        if row is None:
            await self.tables.put_back(lead, utc_text(self.now()))
            return
        found = await self.tables.campaign(lead.campaign_id)
        campaign = found[0] if found is not None else None
        outcome = (outcome_of_lost(row) if lost else None) or await self._outcome(row, campaign)
        due_at = await self._due_again(lead, campaign, outcome.reason) if outcome.result == "again" else ""
        status = ("pending" if due_at else "failed") if outcome.result == "again" else outcome.result
        await self.tables.settle(lead, status, outcome.reason, utc_text(self.now()), due_at=due_at, error=row.error)
        log.info("campaign.lead", lead=lead.id, call=lead.call_id, status=status, outcome=outcome.reason)

    async def _outcome(self, row: CallRow, campaign: CampaignRow | None) -> Outcome:
        answerer = answerer_of(await self.events(row.id)) if row.started_at is not None else Answerer()
        return outcome_of(row, answerer, message_left=campaign.message_left if campaign is not None else "completed")

    async def _due_again(self, lead: LeadRow, campaign: CampaignRow | None, reason: str) -> str:
        """When the next attempt is due; "" where there is none left."""
        if campaign is None:
            return ""
        ended_so = 1 + await self.tables.ended_so(lead.id, reason)
        minutes = retry_minutes(campaign, reason, lead.attempts, ended_so)
        return "" if minutes is None else utc_text(self.now() + timedelta(minutes=minutes))


async def insist(write: Callable[[], Awaitable[None]]) -> None:
    """Write what must be written. The store itself waits for a disk that refuses; this is for one that is too slow to
    be read, or whose queue is full."""
    for _ in range(_TRIES - 1):
        try:
            return await write()
        except StoreError as exc:
            log.warning("campaign.write_failed", error=str(exc))
            await asyncio.sleep(_AGAIN_S)
    await write()


async def heard_within(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, but not for longer than this."""
    try:
        async with asyncio.timeout(max(_SHORTEST_S, seconds)):
            await news.wait()
    except TimeoutError:
        pass
