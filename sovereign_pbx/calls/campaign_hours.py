"""When a campaign may call whom: its window in the time zones of each lead, worked out in a thread and kept."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from sovereign_pbx.calls.campaign_window import Schedule, Window, window_in_all
from sovereign_pbx.calls.campaign_zone import Zones
from sovereign_pbx.store.campaign_rows import CampaignRow

_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class _Known:
    """Right from `since` until the window changes; one that never does is looked at again the next day."""

    since: datetime
    window: Window

    def holds(self, now: datetime) -> bool:
        changes_at = self.window.changes_at
        return self.since <= now and (now.date() == self.since.date() if changes_at is None else now < changes_at)


class Hours:
    """Of all campaigns."""

    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._known: OrderedDict[tuple[object, ...], _Known] = OrderedDict()

    async def window(self, row: CampaignRow, zones: str, now: datetime) -> Window:
        """The window of those leads that have these `zones` (`LeadRow.zones`). Raises ConfigError for one that is not
        known here."""
        names = zones or row.timezone
        key = (names, row.schedule_start_time, row.schedule_end_time, row.weekdays)
        known = self._known.get(key)
        if known is None or not known.holds(now):
            schedules = [await self._schedule(row, name) for name in names.split(" ")]
            known = _Known(now, await asyncio.to_thread(window_in_all, schedules, now))
            self._known[key] = known
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known.window

    async def _schedule(self, row: CampaignRow, zone: str) -> Schedule:
        start, end = time.fromisoformat(row.schedule_start_time), time.fromisoformat(row.schedule_end_time)
        return Schedule(start, end, await self._zones.zone(zone), frozenset(row.weekdays))
