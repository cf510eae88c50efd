"""Who may be sent something now: bounds that one receiver's slowness can't use up at another's cost.

A lane is a URL without its query: one path, one receiver. An origin is the server that several of them may share (n8n
and the like: one host, a path for each workflow). Of a server's places only a quarter may be second, third … ones of
its paths, and of all places only three quarters those of servers that have one already; the rest are first ones. So
neither a slow path nor a slow server takes the room of another: whoever has nothing under way finds a place, until as
many others as there are first places are slow at the same time.
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


class _Places:
    """A number of places, of which `seconds` at most may be had by those who have one already."""

    def __init__(self, most: int, seconds: int) -> None:
        self._most = most
        self._seconds = seconds
        self._taken = 0
        self.by_owner: Counter[str] = Counter()

    def has_room(self, owner: str) -> bool:
        return self._taken < self._most and (
            owner not in self.by_owner or self._taken - len(self.by_owner) < self._seconds
        )

    def take(self, owner: str) -> None:
        self._taken += 1
        self.by_owner[owner] += 1

    def give_back(self, owner: str) -> None:
        self._taken -= 1
        self.by_owner[owner] -= 1
        if not self.by_owner[owner]:
            del self.by_owner[owner]


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
        self._all = _Places(bounds.at_once, bounds.at_once * 3 // 4)
        self._servers: dict[str, _Places] = {}  # those with something under way
        self._troubles: OrderedDict[str, _Trouble] = OrderedDict()

    @property
    def failing(self) -> int:
        return len(self._troubles)

    def enter(self, lane: str, origin: str, now: float) -> bool:
        """Take a place, if there is one."""
        if not self._has_room(lane, origin, now):
            return False
        self._server(origin).take(lane)
        self._all.take(origin)
        return True

    def leave(self, lane: str, origin: str) -> None:
        """Give the place back."""
        server = self._servers[origin]
        server.give_back(lane)
        self._all.give_back(origin)
        if not server.by_owner:
            del self._servers[origin]

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
        busy = [(lane, server, places) for server in self._servers.values() for lane, places in server.by_owner.items()]
        full = {lane for lane, server, places in busy if places >= self._most(lane) or not server.has_room(lane)}
        origins = {origin for origin, server in self._servers.items() if not self._has_any(origin, server)}
        return Besides(lanes=self.resting(now) | full, origins=origins)

    def resting(self, now: float) -> set[str]:
        """The lanes that are left alone because they failed."""
        return {lane for lane, trouble in self._troubles.items() if trouble.until > now}

    def fairly(self, found: Iterable[T], *, lane: Callable[[T], str], origin: Callable[[T], str]) -> list[T]:
        """`found` with the least served first: among servers, and among the paths of each."""
        lanes = Counter({name: n for server in self._servers.values() for name, n in server.by_owner.items()})
        return _levelled(_levelled(found, lanes, lane), self._all.by_owner, origin)

    def _has_room(self, lane: str, origin: str, now: float) -> bool:
        trouble = self._troubles.get(lane)
        if trouble is not None and trouble.until > now:
            return False
        server = self._servers.get(origin)
        if server is None:
            return self._all.has_room(origin)
        return server.by_owner[lane] < self._most(lane) and server.has_room(lane) and self._all.has_room(origin)

    def _has_any(self, origin: str, server: _Places) -> bool:
        """Whether any path of this server, a new one included, finds a place."""
        return self._all.has_room(origin) and server.has_room("")

    def _server(self, origin: str) -> _Places:
        most = self._bounds.per_origin
        return self._servers.setdefault(origin, _Places(most, most // 4))

    def _most(self, lane: str) -> int:
        return 1 if lane in self._troubles else self._bounds.per_lane


def _levelled(found: Iterable[T], served: Counter[str], key: Callable[[T], str]) -> list[T]:
    """Ordered by how many of its key would be served before it, those under way included; otherwise as it was."""
    counts, ranked = Counter(served), []
    for one in found:
        name = key(one)
        ranked.append((counts[name], one))
        counts[name] += 1
    return [one for _, one in sorted(ranked, key=itemgetter(0))]
