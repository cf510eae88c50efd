"""An event loop whose clock jumps: when nothing can happen before the next timer, it is that timer's time at once.

    result = virtual_time.run(conversation())

Ten minutes of sleeps, deadlines and 20 ms ticks take what their computation takes, and pass in the same order every
time. Only time that the loop keeps is virtual (`loop.time()`, `asyncio.sleep`, `asyncio.timeout`): `time.monotonic()`
goes on as ever. Sockets and `asyncio.to_thread` still work, in real time: the clock stands while a thread is at work,
and a packet under way on loopback does not hold it up.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from sovereign_pbx.core.errors import SovereignError

START_S = 1000.0
DEADLINE_S = 86_400.0
THREAD_DEADLINE_S = 30.0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class NothingLeftToHappen(SovereignError):
    """Every task waits for something that nobody is going to do: in real time this would hang for ever."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its clock begins at 1000 s. A run of more than a virtual day is taken for an endless one."""

    def __init__(self) -> None:
        self._now = START_S
        self._end = START_S + DEADLINE_S
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody noticing in between: what a loop that is blocked looks like."""
        self._now += seconds

    def give_up(self) -> None:
        """Cancel what hangs, with another day for it to clean up."""
        self._end = self._now + DEADLINE_S
        hanging = asyncio.all_tasks(self)
        for task in hanging:
            task.cancel()
        self.run_until_complete(asyncio.gather(*hanging, return_exceptions=True))

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._threads += 1  # asyncio waits for the executor's end in a thread of its own
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads -= 1

    def _thread_done(self, future: "asyncio.Future[Any]") -> None:
        self._threads -= 1

    def _jump(self, timeout: float | None) -> float:
        """How long to wait for sockets in real time, having moved the clock instead where that is right."""
        if self._threads:
            return THREAD_DEADLINE_S
        if timeout is None:
            raise NothingLeftToHappen("no timer is set, no thread at work, and no socket has anything to read")
        self._now += timeout
        if self._now > self._end:
            raise NothingLeftToHappen(f"after {DEADLINE_S:.0f} virtual seconds it still has not ended")
        return 0.0


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        return super().select(self._loop._jump(timeout))


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        try:
            return runner.run(main)
        except NothingLeftToHappen:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.give_up()
            raise
