"""What may be sent next, as far as it has been read from the outbox.

The whole outbox is looked through at a bounded share of the reader's time: with ten thousand webhooks waiting for a
dead receiver that takes a tenth of a second. In between only the news are read, by position: what was written since,
and what follows in calls whose last webhook has just been settled. So a backlog delays nobody's fresh webhook.
"""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

import structlog

from sovereign_pbx.store import Due, Store
from sovereign_pbx.store.rows import lane_of, origin_of
from sovereign_pbx.webhooks.envelope import utc_text
from sovereign_pbx.webhooks.lanes import Lanes

log = structlog.get_logger(__name__)

_READ = 128  # webhooks in memory, their bodies with them; the rest stays where it is
_REST = 4  # times as long as a look through everything took, until the next


class Backlog:
    """Reads ahead for the deliverer. `lanes` says for whom there is room; nothing here outlives the process."""

    def __init__(self, store: Store, lanes: Lanes) -> None:
        self._store = store
        self._lanes = lanes
        self._found: dict[str, Due] = {}
        self._settled: set[str] = set()  # webhooks that ended while the store was being asked: its answer is older
        self._moved: set[str] = set()  # calls whose next webhook may be due
        self._end = 0  # position in the outbox up to which everything has been looked at
        self._again_at = 0.0
        self._partial = False  # the last look was for the news only

    async def look(self, now: datetime, held: Collection[str]) -> None:
        """Read what has become due, without `held`. Raises nothing: whatever is wrong with the store may pass."""
        self._settled.clear()
        moved, self._moved = self._moved, set()
        try:
            end = await self._store.outbox_end()
            if _time() >= self._again_at:
                found = await self._everything(now, held)
                self._found.clear()
                self._partial = False
            else:
                self._partial = True
                found = await self._store.due_since(utc_text(now), self._end, moved, _READ)
        except Exception as exc:  # ending the deliverer's task would lose every later webhook
            log.warning("outbox_unreadable", error=str(exc))
            self._moved |= moved
            return
        self._end = end
        for one in found[: 2 * _READ - len(self._found)]:
            if one.outgoing.webhook_id not in self._settled and one.outgoing.webhook_id not in held:
                self._found[one.outgoing.webhook_id] = one

    async def _everything(self, now: datetime, held: Collection[str]) -> list[Due]:
        began = _time()
        besides = replace(self._lanes.closed(now.timestamp()), webhook_ids=list(held))
        found = await self._store.due(utc_text(now), _READ, besides)
        ended = _time()
        self._again_at = ended + (ended - began) * _REST
        return found

    def take(self, now: datetime) -> Iterator[Due]:
        """The ones that find a place, which is theirs then; the least served receivers first."""
        for one in self._lanes.fairly(list(self._found.values()), lane=lane, origin=origin):
            if self._lanes.enter(lane(one), origin(one), now.timestamp()):
                del self._found[one.outgoing.webhook_id]
                yield one

    def settled(self, one: Due) -> None:
        """An attempt has ended, however: what was read before says nothing about it any more."""
        self._settled.add(one.outgoing.webhook_id)
        self._moved.add(one.outgoing.call_id)

    @property
    def complete_in_s(self) -> float:
        """When everything may be looked through again, if that is owed: 0 if it has just been."""
        return max(0.001, self._again_at - _time()) if self._partial else 0.0


def _time() -> float:
    return asyncio.get_running_loop().time()


def lane(due: Due) -> str:
    return lane_of(due.outgoing.url)


def origin(due: Due) -> str:
    return origin_of(due.outgoing.url)
