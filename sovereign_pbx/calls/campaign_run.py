"""One campaign that runs: it takes lead after lead while its window is open and there is room, until none is left.

For each lead, in this order: it is written that the lead is being called, and with which call; the call is placed; its
end is waited for; what became of it is written. Each of these may be the last thing the daemon does.
"""

import asyncio
import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from sovereign_pbx.calls.campaign_calls import NO_ROOM, NOT_DIALLED, CampaignCall
from sovereign_pbx.calls.campaign_floor import Floor, heard_within, insist
from sovereign_pbx.calls.campaign_pace import MinutePace, Place
from sovereign_pbx.calls.campaign_prompt import assistant_for
from sovereign_pbx.calls.campaign_window import Window
from sovereign_pbx.calls.campaigns import utc_text
from sovereign_pbx.core.errors import ConfigError, Refused
from sovereign_pbx.store.campaign_rows import CampaignRow, LeadRow
from sovereign_pbx.store.failure import StoreError

log = structlog.get_logger(__name__)

_LOOK_S: Final = 60.0  # the clock on the wall may be set, and nobody tells
_CLOSING: Final = timedelta(seconds=5)  # what lies between the decision and the first ring, at the window's end
_PLACE_S: Final = 60.0
_BLOCKED_S: Final = 2.0
_HOLD_S: Final = (1.0, 30.0)


class CampaignRun:
    """`run` is its life; `nudge` makes it look again now."""

    def __init__(self, campaign_id: str, floor: Floor, group: asyncio.TaskGroup, began: Iterable[float] = ()) -> None:
        self.id = campaign_id
        self.calls: set[asyncio.Task[None]] = set()  # each sees one to its end
        self._floor = floor
        self._group = group
        self._minute = MinutePace(floor.clock, began)
        self._news = asyncio.Event()
        self._hold_until = 0.0
        self._hold_s = _HOLD_S[0]

    def nudge(self) -> None:
        """Something changed."""
        self._news.set()

    async def run(self) -> None:
        """Until the campaign does not run any more. Raises nothing but cancellation."""
        while True:
            self._news.clear()
            try:
                wait_s = await self._step()
            except Exception:  # the store's disk, most likely; the other campaigns and all calls go on
                log.exception("campaign.broke", campaign=self.id)
                wait_s = self._hold()
            if wait_s is None:
                if not self.calls:
                    return
                wait_s = _LOOK_S  # it may be resumed while calls are under way, which still count
            if wait_s > 0:
                await heard_within(self._news, min(wait_s, _LOOK_S))

    async def _step(self) -> float | None:
        """Place one call if it may be. Seconds until there may be more to do; None: the campaign does not run."""
        ready = await self._ready()
        if not isinstance(ready, tuple):
            return ready
        async with self._floor.total.place() as place, self._floor.campaigns.lock(self.id):
            ready = await self._ready()  # much may have changed while it waited for its turn
            return await self._call(*ready, place) if isinstance(ready, tuple) else ready

    async def _ready(self) -> tuple[CampaignRow, LeadRow] | float | None:
        """The lead to be called now; else what `_step` gives."""
        floor = self._floor
        found = await floor.tables.campaign(self.id)
        if found is None or found[0].status != "scheduled":
            return None
        row, now = found[0], floor.now()
        hours = await self._hours(row, now)
        if hours is None:
            return None
        if len(self.calls) >= row.calls_at_once:
            return _LOOK_S
        if len(self.calls) + floor.left.of(self.id) >= row.calls_at_once:
            return _BLOCKED_S
        wait_s = max(self._minute.wait_s(row.calls_per_minute), self._hold_until - floor.clock())
        if wait_s > 0:
            return wait_s
        callable_now = [zones for zones, hours_there in hours.items() if _lasts(hours_there, now)]
        lead = await floor.tables.next_lead(self.id, utc_text(now), callable_now)
        return (row, lead) if lead is not None else await self._idle(hours, now)

    async def _hours(self, row: CampaignRow, now: datetime) -> dict[str, Window] | None:
        """The window of those who wait, by their zones; None: it can't be told, and the campaign is paused."""
        try:
            waiting = await self._floor.tables.pending_zones(self.id)
            found = {zones: await self._floor.hours.window(row, zones, now) for zones in waiting}
        except ConfigError as exc:  # the zone was there when the campaign was made
            log.warning("campaign.paused", campaign=self.id, why=str(exc))
            at = utc_text(now)
            changes = {"status": "paused", "status_reason": str(exc), "updated_at": at}
            await self._floor.tables.change(self.id, "scheduled", changes)
            return None
        for zones in [one for one, there in found.items() if " " in one and not there.is_open and not there.changes_at]:
            del found[zones]
            log.warning("campaign.never_in_window", campaign=self.id, zones=zones or row.timezone)
            await self._floor.tables.skip_zones(self.id, zones, "never_in_window", _never(zones), utc_text(now))
        return found

    async def _idle(self, hours: Mapping[str, Window], now: datetime) -> float:
        """Nobody to call now: perhaps for good, perhaps until another attempt is due, or somebody's window opens."""
        tables = self._floor.tables
        await tables.complete(self.id, utc_text(now))
        due_at = await tables.next_due(self.id)
        wait_s = min((_seconds_until(one.changes_at, now) for one in hours.values()), default=_LOOK_S)
        if due_at is not None and (due_s := _seconds_until(datetime.fromisoformat(due_at), now)) > 0:
            wait_s = min(wait_s, due_s)
        return min(wait_s, _BLOCKED_S) if await tables.is_blocked(self.id) else wait_s

    async def _call(self, row: CampaignRow, lead: LeadRow, place: Place) -> float:
        call_id, at = str(uuid.uuid4()), utc_text(self._floor.now())
        try:
            await self._floor.tables.claim(lead.id, call_id, at)
        except StoreError as exc:  # another campaign was faster to call this number, most likely
            log.info("campaign.not_claimed", campaign=self.id, lead=lead.id, error=str(exc))
            return self._hold()
        lead = replace(lead, status="calling", call_id=call_id, attempts=lead.attempts + 1, last_attempt_at=at)
        began = self._minute.begin()
        try:
            async with asyncio.timeout(_PLACE_S):
                await self._floor.dialler.place(self._order(row, lead))
        except Refused as refusal:
            self._minute.undo(began)
            return await self._refused(lead, refusal)
        except ConfigError as exc:  # the assistant can't be made of these words
            self._minute.undo(began)
            return await self._refused(lead, Refused("assistant_unusable", str(exc)))
        except Exception:  # dialled or not: the call's row tells
            log.exception("campaign.place_failed", campaign=self.id, lead=lead.id)
            self._hold()
        else:
            self._hold_s = _HOLD_S[0]
        place.keep()
        task = self._group.create_task(self._follow(lead, place), name=f"campaign-lead-{lead.id}")
        self.calls.add(task)
        task.add_done_callback(self._followed)
        return 0.0

    def _order(self, row: CampaignRow, lead: LeadRow) -> CampaignCall:
        assistant = self._floor.directory.assistant(row.assistant_id)
        if assistant is None or not assistant.is_active:
            raise Refused("assistant_not_active", f"assistant {row.assistant_id!r} is not there or not active")
        return CampaignCall(
            call_id=lead.call_id or "",
            destination=lead.phone_number,
            assistant=assistant_for(assistant, row, lead),
            number_id=row.number_id or "",
            campaign_id=row.id,
            lead_id=lead.id,
        )

    async def _refused(self, lead: LeadRow, refusal: Refused) -> float:
        """It was not dialled. Where there was no room the lead waits; a number that may not be dialled is skipped; all
        else would be refused for every lead, and is for a person to mend."""
        tables, at = self._floor.tables, utc_text(self._floor.now())
        log.info("campaign.refused", campaign=self.id, lead=lead.id, code=refusal.code, why=refusal.message)
        if refusal.code in NOT_DIALLED:
            await insist(lambda: tables.skip(lead, refusal.code, at, refusal.message))
            return 0.0
        if refusal.code in NO_ROOM:
            await insist(lambda: tables.put_back(lead, at))
            return self._hold()
        log.warning("campaign.paused", campaign=self.id, why=refusal.message)
        await insist(lambda: tables.put_back(lead, at, pause_because=refusal.message))
        return 0.0

    async def _follow(self, lead: LeadRow, place: Place) -> None:
        """See a call to its end. Raises nothing but cancellation: what can't be written now is at the next start."""
        try:
            await self._floor.dialler.over(lead.call_id or "")
            await insist(lambda: self._floor.settle(lead))
        except Exception:
            log.exception("campaign.unsettled", campaign=self.id, lead=lead.id)
        finally:
            place.leave()

    def _followed(self, task: asyncio.Task[None]) -> None:
        self.calls.discard(task)
        self.nudge()

    def _hold(self) -> float:
        """Place nothing for a while, longer each time; how long."""
        wait_s = self._hold_s * random.uniform(0.5, 1.0)
        self._hold_s = min(self._hold_s * 2, _HOLD_S[1])
        self._hold_until = self._floor.clock() + wait_s
        return wait_s


def _lasts(there: Window, now: datetime) -> bool:
    """Is it open, and long enough for a call to begin?"""
    return there.is_open and (there.changes_at is None or now + _CLOSING < there.changes_at)


def _never(zones: str) -> str:
    return (
        f"the window is never open in all of its time zones at once ({zones[:200]}): give the lead one, or the campaign"
        " a longer window"
    )


def _seconds_until(moment: datetime | None, now: datetime) -> float:
    return _LOOK_S if moment is None else max(0.0, (moment - now).total_seconds())
