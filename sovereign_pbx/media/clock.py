"""The one clock of the daemon: every 20 ms it serves all calls, in one go and in order.

Frames come in from every link, speech detection runs over all lines together, then each link gets exactly one frame,
so that a line that is interrupted by its caller falls silent in the very tick that noticed.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.schedule import Due, Schedule
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.media.vad_state import VadState

log = structlog.get_logger(__name__)

_COSTS_KEPT: Final = 512  # ten seconds of ticks
_LAGS_KEPT: Final = 512
_SWEPT_AFTER: Final = 32  # lines


class MediaClock:
    """Drives lines. `now` is the monotonic clock that audio times are told on, in seconds."""

    def __init__(self, detector: SpeechDetector, *, now: Callable[[], float]) -> None:
        self._detector = detector
        self._now = now
        self._lines: tuple[Line, ...] = ()  # replaced, never changed: a tick goes on over the lines it began with
        self._schedule: Schedule | None = None
        self._costs: deque[float] = deque(maxlen=_COSTS_KEPT)
        self._lags: deque[float] = deque(maxlen=_LAGS_KEPT)  # since they were last taken
        self._left = 0  # lines, since all was swept
        self._ticks = 0
        self._quiet_until = float("-inf")
        self._failed: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines being served."""
        return self._lines

    def add(self, line: Line) -> None:
        """Serve `line` from the next tick on."""
        if line in self._lines:
            return
        if not self._lines:
            # As long as anybody listens, what was loaded before the first call stays out of the collector's sight.
            # With it a full collection (50 calls) stops everything for 55 to 71 ms, which all callers hear; else for 7.
            gc.freeze()
        line.vad = self._detector.attach(line.link.rate)
        self._lines = (*self._lines, line)

    def remove(self, line: Line) -> None:
        """Serve `line` no longer; neither the link nor the listener is touched. Idempotent."""
        if line not in self._lines:
            return
        self._lines = tuple(other for other in self._lines if other is not line)
        self._left += 1
        if not self._lines:
            gc.unfreeze()
            self._sweep()
        if line.vad is not None:
            self._detector.detach(line.vad)
            line.vad = None

    def _sweep(self) -> None:
        """What calls that are over hold in circles is out of the collector's sight too, from the first line's coming to
        the last one's going. A daemon that is hardly ever without a line would never be rid of it: each first line hid
        more (a soak grew by 35 MB in five minutes). So everything is collected now and then while nobody listens."""
        if self._left < _SWEPT_AFTER:
            return
        self._left = 0
        gc.collect()
        if self._schedule is not None:
            self._schedule.resume(self._now())  # 70 ms that nobody has heard are no lateness

    # --- the schedule

    async def run(self) -> None:
        """Tick until cancelled. Raises only what a fault of the clock itself raises, never a line's."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        self._schedule = Schedule(self._now())
        self._arm(loop)
        try:
            await self._failed
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._schedule is not None
        wait = max(0.0, self._schedule.next_at - self._now())
        self._timer = loop.call_at(loop.time() + wait, self._wake, loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self.catch_up(self._now())
        except Exception as exc:
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(exc)
            return
        self._arm(loop)

    def catch_up(self, now: float) -> None:
        """Run every tick that the schedule has due at `now`."""
        if self._schedule is None:
            self._schedule = Schedule(now)
        due = self._schedule.due(now)
        self._lags.extend([due.lag_s] * min(due.ticks + due.skipped, _LAGS_KEPT))
        if due.skipped:
            self._tell_skipped(due, now)
        for late in range(due.ticks - 1, -1, -1):
            self.tick(now - late * FRAME_S)

    def _tell_skipped(self, due: Due, now: float) -> None:
        for line in self._lines:
            if line.recorder is not None:
                line.recorder.skip(due.skipped)
        if now >= self._quiet_until:  # an overloaded machine must not drown in its own complaints
            self._quiet_until = now + 1.0
            log.warning("media_clock_late", lag_ms=round(due.lag_s * 1000), skipped=due.skipped, lines=len(self._lines))

    # --- one tick

    def tick(self, now: float) -> None:
        """20 ms of every call: in, detection, out. `now` is the audio time at which what came in ends."""
        started = time.perf_counter()
        self._ticks += 1
        lines = self._lines
        frames = [line.take() for line in lines]
        self._detect(lines, frames, now)
        for line in lines:
            if line.vad is not None:  # else removed during this tick
                line.put()
        for line in lines:
            if line.over is not None or line.link.ended is not None:
                self._end(line)
        self._costs.append(time.perf_counter() - started)

    def _detect(self, lines: tuple[Line, ...], frames: list[bytes | None], now: float) -> None:
        listening: list[Line] = []
        states: list[VadState] = []
        heard: list[bytes | None] = []
        for line, frame in zip(lines, frames, strict=True):
            if line.vad is not None and line.over is None and not line.held:
                listening.append(line)
                states.append(line.vad)
                heard.append(frame)
        for line, event in zip(listening, self._detector.step(states, heard, now), strict=True):
            if event is not None:
                line.tell_speech(event)

    def _end(self, line: Line) -> None:
        self.remove(line)
        if line.link.ended is not None:
            line.ended(line.link.ended)

    def take_lags(self) -> list[float]:
        """By how many seconds each tick since the last question was late, those given up included; at most ten seconds
        of them."""
        lags = list(self._lags)
        self._lags.clear()
        return lags

    def statistics(self) -> dict[str, float]:
        """ticks, late, caught_up, reanchored, skipped, worst_lag_ms, lines, tick_us_median, tick_us_p99."""
        schedule = self._schedule or Schedule(0.0)
        costs = sorted(self._costs) or [0.0]
        return {
            "ticks": self._ticks,
            "lines": len(self._lines),
            "late": schedule.late,
            "caught_up": schedule.caught_up,
            "reanchored": schedule.reanchored,
            "skipped": schedule.skipped,
            "worst_lag_ms": schedule.worst_lag_s * 1000,
            "tick_us_median": costs[len(costs) // 2] * 1e6,
            "tick_us_p99": costs[min(len(costs) - 1, int(len(costs) * 0.99))] * 1e6,
        }
