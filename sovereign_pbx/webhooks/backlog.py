"""What may be sent next, as far as it has been read from the outbox.

The outbox is looked through slice by slice, a few milliseconds of the store's time each. In between, and longer by far
after a round of many slices, nothing but the news are read: what was written since, and what follows in calls whose
last webhook has just been settled. So ten thousand webhooks that wait for a dead receiver delay nobody's fresh one.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

import structlog

from sovereign_pbx.store import START, Due, Store
from sovereign_pbx.store.rows import lane_of, origin_of
from sovereign_pbx.webhooks.envelope import utc_text
from sovereign_pbx.webhooks.lanes import Lanes

log = structlog.get_logger(__name__)

_READ = 128  # webhooks read at once
_KEPT = 256  # webhooks in memory, their bodies with them; the rest stays where it is
_KEPT_OF_LANE = 16  # of these for one path: more than it has places
_REST = 4  # times as long as a slice took, until the next
_UNREADABLE_S = 1.0  # until a store that could not be read is tried again
_LONG_REST = 20  # times as long as a round of several slices took, until the next round


class Backlog:
    """Reads ahead for the deliverer. `lanes` says for whom there is room; nothing here outlives the process."""

    def __init__(self, store: Store, lanes: Lanes) -> None:
        self._store = store
        self._lanes = lanes
        self._found: dict[str, Due] = {}
        self._settled: set[str] = set()  # webhooks that ended while the store was being asked: its answer is older
        self._moved: set[str] = set()  # calls whose next webhook may be due
        self._end = 0  # position in the outbox up to which there is no news
        self._after = START  # how far the look through everything has come
        self._spent_s = 0.0  # on this round
        self._again_at = 0.0
        self._complete = False  # the last look was through everything

    async def look(self, now: datetime, held: Collection[str]) -> None:
        """Read what has become due, without `held`. Raises nothing: whatever is wrong with the store may pass."""
        self._settled.clear()
        moved, self._moved = self._moved, set()
        try:
            end = await self._store.outbox_end()
            self._complete = False
            found = await self._slice(now, held) if _time() >= self._again_at else []
            if not self._complete:
                found = [*await self._store.due_since(utc_text(now), self._end, moved, _READ), *found]
        except Exception as exc:  # ending the deliverer's task would lose every later webhook
            log.warning("outbox_unreadable", error=str(exc))
            self._moved |= moved
            self._again_at = _time() + _UNREADABLE_S
            return
        self._end = end
        begun = self._settled | set(held)
        self._keep([one for one in found if one.outgoing.webhook_id not in begun], now)

    async def _slice(self, now: datetime, held: Collection[str]) -> list[Due]:
        began, start = _time(), self._after
        besides = replace(self._lanes.closed(now.timestamp()), webhook_ids=list(held))
        found = await self._store.due(utc_text(now), start, limit=_READ, besides=besides)
        took_s = _time() - began
        self._spent_s += took_s
        self._complete = start == START and found.after is None
        if found.after is None:
            self._again_at = _time() + (took_s * _REST if self._complete else self._spent_s * _LONG_REST)
            self._after, self._spent_s = START, 0.0
        else:
            self._again_at, self._after = _time() + took_s * _REST, found.after
        if start == START:  # what another process put back must not be overtaken by what was read before
            self._found.clear()
        return found.found

    def _keep(self, found: list[Due], now: datetime) -> None:
        """What was read goes to the rest. What can't be sent soon makes room: it will be read again."""
        resting = self._lanes.resting(now.timestamp())
        merged = {**self._found, **{one.outgoing.webhook_id: one for one in found}}
        room, kept = Counter[str](), list[Due]()
        for one in merged.values():
            room[lane(one)] += 1
            if lane(one) not in resting and room[lane(one)] <= _KEPT_OF_LANE:
                kept.append(one)
        fair = self._lanes.fairly(kept, lane=lane, origin=origin)[:_KEPT]
        self._found = {one.outgoing.webhook_id: one for one in fair}

    def take(self, now: datetime) -> Iterator[Due]:
        """The ones that find a place, which is theirs then; the least served receivers first."""
        for one in list(self._found.values()):
            if self._lanes.enter(lane(one), origin(one), now.timestamp()):
                del self._found[one.outgoing.webhook_id]
                yield one

    def settled(self, one: Due) -> None:
        """An attempt has ended, however: what was read before says nothing about it any more."""
        self._settled.add(one.outgoing.webhook_id)
        self._moved.add(one.outgoing.call_id)

    @property
    def goes_on_in_s(self) -> float | None:
        """When the next slice is to be read, where there is one; None once everything has been looked through."""
        return None if self._complete else max(0.001, self._again_at - _time())


def _time() -> float:
    return asyncio.get_running_loop().time()


def lane(due: Due) -> str:
    return lane_of(due.outgoing.url)


def origin(due: Due) -> str:
    return origin_of(due.outgoing.url)
