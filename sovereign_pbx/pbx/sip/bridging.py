"""Two calls joined here: what arrives from one goes to the other, on one tick for all bridges.

Each link has its own jitter buffer and codec; what lies between them is at most one frame. Nothing is recorded and
nothing is listened to. The daemon's media clock belongs to conversations: a bridge goes on when theirs is over.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, SovereignError
from sovereign_pbx.media.comfort import ComfortNoise
from sovereign_pbx.media.line import MOST_FRAMES_IN
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.media.schedule import Schedule

log = structlog.get_logger(__name__)

MOST_KEPT: Final = 1
"""Frames that wait for the next tick where two came in one; an older one is dropped: it would be a delay for good."""


@dataclass(frozen=True, slots=True)
class Side:
    """One party: its sound, and how a digit that the other pressed is sent to it."""

    link: MediaLink
    send_digit: Callable[[str], None]


class Bridge:
    """Two parties, from `Bridges.join` until a link ends or `close`. Both links are closed then."""

    def __init__(self, one: Side, other: Side, left: Callable[["Bridge"], None]) -> None:
        self._sides = (one, other)
        self._ways = (_Way(one.link, other.link), _Way(other.link, one.link))
        self._left = left
        self._ended: asyncio.Future[LinkEnded] = asyncio.get_running_loop().create_future()
        one.link.listener = _Ear(self, other)
        other.link.listener = _Ear(self, one)

    @property
    def up(self) -> bool:
        """Whether sound is passed on."""
        return not self._ended.done()

    async def ended(self) -> LinkEnded:
        """Wait until a link has ended, and say how."""
        return await asyncio.shield(self._ended)

    def close(self) -> None:
        """Part the two. Idempotent."""
        self.end(LinkClosed("closed by us"))

    def end(self, how: LinkEnded) -> None:
        """The first end counts."""
        if not self.up:
            return
        self._ended.set_result(how)
        self._left(self)
        for side in self._sides:
            side.link.listener = None
            side.link.close()

    def tick(self) -> None:
        """20 ms of both."""
        for way in self._ways:
            way.take()
        for way in self._ways:
            way.put()
        gone = next((side.link.ended for side in self._sides if side.link.ended is not None), None)
        if gone is not None:
            self.end(gone)

    def statistics(self) -> dict[str, int]:
        """Frames passed on and dropped, both ways together."""
        return {
            "frames": sum(way.passed for way in self._ways),
            "dropped": sum(way.dropped for way in self._ways),
        }


class Bridges:
    """Every bridge there is. Its timer runs as long as there is one. `now`: the clock of the schedule, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._bridges: tuple[Bridge, ...] = ()
        self._schedule: Schedule | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._bridges)

    def join(self, one: Side, other: Side) -> Bridge:
        """Connect the two, whose links have the same rate. Raises ValueError where they have not."""
        if one.link.rate != other.link.rate:
            raise ValueError(f"links at {one.link.rate} and {other.link.rate} Hz can't be joined")
        bridge = Bridge(one, other, self._forget)
        self._bridges = (*self._bridges, bridge)
        if self._timer is None:
            self._schedule = Schedule(self._now())
            self._arm()
        return bridge

    def close(self) -> None:
        """Part everybody."""
        for bridge in self._bridges:
            bridge.close()

    def _forget(self, bridge: Bridge) -> None:
        self._bridges = tuple(other for other in self._bridges if other is not bridge)
        if not self._bridges and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        assert self._schedule is not None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, self._schedule.next_at - self._now()), self._wake)

    def _wake(self) -> None:
        assert self._schedule is not None
        for _ in range(self._schedule.due(self._now()).ticks):
            for bridge in self._bridges:
                _tick(bridge)
        if self._bridges:
            self._arm()


class _Way:
    """One direction."""

    __slots__ = ("_from", "_kept", "_noise", "_to", "dropped", "passed")

    def __init__(self, source: MediaLink, target: MediaLink) -> None:
        self._from = source
        self._to = target
        self._kept: deque[bytes] = deque()
        self._noise = ComfortNoise(target.rate)
        self.passed = 0
        self.dropped = 0

    def take(self) -> None:
        for _ in range(MOST_FRAMES_IN):
            frame = self._from.take()
            if frame is None:
                return
            self._kept.append(frame)

    def put(self) -> None:
        if self._kept:
            self._to.put(self._kept.popleft())
            self.passed += 1
        else:
            self._to.put(self._noise.next_frame())
        while len(self._kept) > MOST_KEPT:
            self._kept.popleft()
            self.dropped += 1


class _Ear:
    """Listens to one link on behalf of the bridge."""

    def __init__(self, bridge: Bridge, other: Side) -> None:
        self._bridge = bridge
        self._other = other

    def digit(self, digit: str) -> None:
        try:
            self._other.send_digit(digit)
        except SovereignError as exc:
            log.info("digit_not_passed_on", why=str(exc))

    def ended(self, how: LinkEnded) -> None:
        self._bridge.end(how)


def _tick(bridge: Bridge) -> None:
    """A bridge that fails ends, and no other."""
    if not bridge.up:  # the fault of an earlier one of this tick
        return
    try:
        bridge.tick()
    except Exception:
        log.exception("bridge_failed")
        bridge.end(LinkBroken("an error of our own ended the bridge"))
