"""Who may be sent something now: bounds that one receiver's slowness can't use up at another's cost.

A lane is a URL without its query: one path, one receiver. An origin is the server that several of them may share (n8n
and the like: one host, a path for each workflow). Both bounds, the origin's and that of all together, are dynamic
thresholds (Choudhury and Hahne, "Dynamic queue length thresholds", 1998): whoever has places may take another only
while more than he has are free. So a lane that is slow never takes the last place of its server, nor a server that of
all, and whoever has nothing under way finds room.
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from sovereign_pbx.store import Besides

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Attempts at once: to one path (one, while it fails), to one server, to all."""

    per_lane: int = 4
    per_origin: int = 64
    at_once: int = 256


USUAL = Bounds()


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A lane whose last attempt failed: how often in a row, and until when (Unix seconds) it is left alone."""

    failures: int
    until: float


class Lanes:
    """Who has how many attempts under way, and who fails. Times are Unix seconds.

    `probe_s`: a lane that fails is tried by one webhook at a time, with a wait between two that doubles from the first
    value to the second; ten thousand that wait for a dead server must not each knock as soon as they may.
    `remembered` bounds how many failing lanes are known; the oldest is forgotten.
    """

    def __init__(
        self, bounds: Bounds = USUAL, *, probe_s: tuple[float, float] = (0.25, 15.0), remembered: int = 4096
    ) -> None:
        self._bounds = bounds
        self._probe_s = probe_s
        self._remembered = remembered
        self._lanes: Counter[str] = Counter()
        self._origins: Counter[str] = Counter()
        self._troubles: OrderedDict[str, _Trouble] = OrderedDict()

    @property
    def failing(self) -> int:
        return len(self._troubles)

    def enter(self, lane: str, origin: str, now: float) -> bool:
        """Take a place, if there is one."""
        if not self._has_room(lane, origin, now):
            return False
        self._lanes[lane] += 1
        self._origins[origin] += 1
        return True

    def leave(self, lane: str, origin: str) -> None:
        """Give the place back."""
        for places, key in ((self._lanes, lane), (self._origins, origin)):
            places[key] -= 1
            if not places[key]:
                del places[key]

    def went_well(self, lane: str) -> None:
        self._troubles.pop(lane, None)

    def failed(self, lane: str, now: float, asked_for_s: float = 0.0) -> None:
        """Leave the lane alone for a moment; for `asked_for_s` at least, where the receiver said when to come back."""
        before = self._troubles.pop(lane, None)
        failures = before.failures + 1 if before else 1
        first, longest = self._probe_s
        wait = min(first * 2 ** min(failures - 1, 30), longest) * random.uniform(0.5, 1.0)
        self._troubles[lane] = _Trouble(failures, now + max(wait, asked_for_s))
        while len(self._troubles) > self._remembered:
            self._troubles.popitem(last=False)

    def closed(self, now: float) -> Besides:
        """The lanes and origins of which nothing can be taken now, so that nobody reads their webhooks in vain."""
        resting = {lane for lane, trouble in self._troubles.items() if trouble.until > now}
        full = {lane for lane, places in self._lanes.items() if places >= self._places_of(lane)}
        servers = {origin for origin in self._origins if self._is_full(origin)}
        return Besides(lanes=resting | full, origins=servers)

    def fairly(self, found: Iterable[T], *, lane: Callable[[T], str], origin: Callable[[T], str]) -> list[T]:
        """`found` with the least served first: among servers, and among the paths of each."""
        return _levelled(_levelled(found, self._lanes, lane), self._origins, origin)

    def _has_room(self, lane: str, origin: str, now: float) -> bool:
        trouble = self._troubles.get(lane)
        if trouble is not None and trouble.until > now:
            return False
        mine = self._lanes[lane]
        free = self._bounds.per_origin - self._origins[origin]
        return mine < self._places_of(lane) and mine < free and not self._is_full(origin)

    def _places_of(self, lane: str) -> int:
        return 1 if lane in self._troubles else self._bounds.per_lane

    def _is_full(self, origin: str) -> bool:
        mine = self._origins[origin]
        return mine >= self._bounds.per_origin or mine >= self._bounds.at_once - self._origins.total()


def _levelled(found: Iterable[T], served: Counter[str], key: Callable[[T], str]) -> list[T]:
    """Ordered by how many of its key would be served before it, those under way included; otherwise as it was."""
    counts, ranked = Counter(served), []
    for one in found:
        name = key(one)
        ranked.append((counts[name], one))
        counts[name] += 1
    return [one for _, one in sorted(ranked, key=itemgetter(0))]
