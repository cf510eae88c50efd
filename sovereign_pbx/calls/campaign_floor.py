"""What the runs of all campaigns share, and how a lead's call is written down when it is over."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.calls.campaign_calls import Dialler
from sovereign_pbx.calls.campaign_outcome import outcome_of
from sovereign_pbx.calls.campaign_pace import Clock, TotalPace
from sovereign_pbx.calls.campaigns import Campaigns, utc_text
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.campaign_rows import LeadRow
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
    total: TotalPace
    ring_s: float
    now: Callable[[], datetime]
    clock: Clock

    async def settle(self, lead: LeadRow) -> None:
        """Write what became of a lead whose call is over, by the row of that call. One that has no row was never
        dialled (`Dialler.place`): it goes back as if nothing had been."""
        row = await self.call_row(lead.call_id or "")
        if row is None:
            await self.tables.put_back(lead, utc_text(self.now()))
            return
        outcome = outcome_of(row)
        result, due_at = outcome.result, ""
        if result == "again":
            due_at = await self._due_again(lead)
        status = ("pending" if due_at else "failed") if result == "again" else result
        await self.tables.settle(lead, status, outcome.reason, utc_text(self.now()), due_at=due_at, error=row.error)
        log.info("campaign.lead", lead=lead.id, call=lead.call_id, status=status, outcome=outcome.reason)

    async def _due_again(self, lead: LeadRow) -> str:
        """When the next attempt is due; "" where there is none left."""
        found = await self.tables.campaign(lead.campaign_id)
        if found is None or lead.attempts >= found[0].max_attempts:
            return ""
        return utc_text(self.now() + timedelta(minutes=found[0].retry_minutes))


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
