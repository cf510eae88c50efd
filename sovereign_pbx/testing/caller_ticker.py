"""One clock for every scripted caller of a process: 20 ms each, spread over phases, on an absolute schedule.

Callers of a real PBX are not in step. Callers here are shared out over `PHASES` moments of each 20 ms, so that the
daemon under test does not get all frames at once, and one timer serves hundreds of them.
"""

import asyncio
from collections.abc import Callable
from typing import Self

from sovereign_pbx.core.audio import FRAME_S

PHASES = 10
RE_ANCHOR_S = 0.5

Tick = Callable[[float], None]


class CallerTicker:
    """Calls every added function once in 20 ms with the loop's time, from `start` to `close`
    (or as a context manager).

    `latest_s` says how late a tick came at worst: figures measured by a process that was itself late are worth as
    much as that says. After a stop of more than half a second the schedule begins anew (`re_anchored`).
    """

    def __init__(self) -> None:
        self.latest_s = 0.0
        self.re_anchored = 0
        self._phases: list[dict[Tick, None]] = [{} for _ in range(PHASES)]
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._phase = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def start(self) -> None:
        self._due = self._loop.time()
        self._run()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, tick: Tick) -> None:
        """From now on, in the phase that has the fewest."""
        min(self._phases, key=len)[tick] = None

    def remove(self, tick: Tick) -> None:
        for phase in self._phases:
            phase.pop(tick, None)

    def _run(self) -> None:
        now = self._loop.time()
        late = now - self._due
        self.latest_s = max(self.latest_s, late)
        if late > RE_ANCHOR_S:
            self._due = now
            self.re_anchored += 1
        for tick in list(self._phases[self._phase]):
            tick(now)
        self._phase = (self._phase + 1) % PHASES
        self._due += FRAME_S / PHASES
        self._timer = self._loop.call_at(self._due, self._run)
