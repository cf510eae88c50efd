"""The runs of all campaigns that are scheduled, owned by one task of the daemon."""

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from sovereign_pbx.calls.campaign_floor import Floor, heard_within, insist
from sovereign_pbx.calls.campaign_run import CampaignRun
from sovereign_pbx.calls.campaigns import utc_text
from sovereign_pbx.store.campaign_rows import LeadRow

log = structlog.get_logger(__name__)

_LOOK_S: Final = 60.0
_RETRY_S: Final = 5.0
_ORDERED_S: Final = 5.0  # from when a lead is claimed until its telephone rings


class CampaignRunner:
    """`run` is its life: what an earlier daemon left is settled, then campaigns run."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._runs: dict[str, CampaignRun] = {}
        self._look = asyncio.Event()
        floor.campaigns.changed = self._changed

    async def run(self) -> None:
        """Until cancelled. Raises nothing else."""
        async with asyncio.TaskGroup() as group:
            await _until_done(self._settle_left)
            group.create_task(self._floor.left.watch(), name="campaigns-left-lines")
            while True:
                self._look.clear()
                await _until_done(lambda: self._start_scheduled(group))
                await heard_within(self._look, _LOOK_S)

    async def finish(self, within_s: float) -> None:
        """Wait until the ends of the present calls are written, so that no lead is left `calling`."""
        calls = {call for run in self._runs.values() for call in run.calls}
        if calls:
            await asyncio.wait(calls, timeout=within_s)

    async def _settle_left(self) -> None:
        """Whom an earlier daemon was calling when it ended. Before anybody else is called."""
        left = await self._floor.tables.calling()
        self._floor.left.begin(Counter(lead.campaign_id for lead in left))
        await self._let_ring_out(left)
        for lead in left:
            log.warning("campaign.left_calling", campaign=lead.campaign_id, lead=lead.id, call=lead.call_id)
            try:
                await insist(functools.partial(self._floor.settle, lead, lost=True))
            except Exception:  # what is wrong with one lead must not keep all others from being called
                log.exception("campaign.unsettled", campaign=lead.campaign_id, lead=lead.id)
        for began in (await self._recent()).values():
            self._floor.total.minute.recall(began)

    async def _let_ring_out(self, left: Sequence[LeadRow]) -> None:
        """What an earlier daemon had ordered rings on without it, for a while: it counts as a call until then."""
        since = utc_text(self._floor.now() - timedelta(seconds=self._floor.ring_s + _ORDERED_S))
        ringing = [lead for lead in left if (lead.last_attempt_at or "") > since and await self._may_ring(lead)]
        if not ringing:
            return
        last = max(datetime.fromisoformat(lead.last_attempt_at or since) for lead in ringing)
        seconds = (last - datetime.fromisoformat(since)).total_seconds()
        log.info("campaigns.wait", leads=len(ringing), seconds=round(seconds))
        await asyncio.sleep(seconds)

    async def _may_ring(self, lead: LeadRow) -> bool:
        row = await self._floor.call_row(lead.call_id or "")
        return row is not None and row.started_at is None and row.end_reason not in ("busy", "no_answer", "rejected")

    async def _start_scheduled(self, group: asyncio.TaskGroup) -> None:
        wanted = [one for one in await self._floor.tables.scheduled() if one not in self._runs]
        if not wanted:
            return
        began = await self._recent()
        for campaign_id in wanted:
            run = CampaignRun(campaign_id, self._floor, group, began.get(campaign_id, ()))
            self._runs[campaign_id] = run
            group.create_task(self._ran(run), name=f"campaign-{campaign_id}")
            log.info("campaign.runs", campaign=campaign_id)

    async def _recent(self) -> dict[str, list[float]]:
        """When calls were placed in the last minute, also by the daemon before this one: the pace is kept over both."""
        now, clock = self._floor.now(), self._floor.clock()
        found: dict[str, list[float]] = {}
        for campaign_id, at in await self._floor.tables.starts(utc_text(now - timedelta(minutes=1))):
            found.setdefault(campaign_id, []).append(clock - (now - datetime.fromisoformat(at)).total_seconds())
        return found

    async def _ran(self, run: CampaignRun) -> None:
        try:
            await run.run()
        finally:
            del self._runs[run.id]
            log.info("campaign.rests", campaign=run.id)
            self._look.set()

    def _changed(self, campaign_id: str) -> None:
        run = self._runs.get(campaign_id)
        if run is not None:
            run.nudge()
        self._look.set()


async def _until_done(work: Callable[[], Awaitable[None]]) -> None:
    """A store that can't be used now can be later."""
    while True:
        try:
            return await work()
        except Exception:
            log.exception("campaigns.broke")
            await asyncio.sleep(_RETRY_S)
