"""Run a test's coroutine and see that it leaves no task and no file descriptor behind."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TEST_S = 20.0
LETTING_GO_S = 3.0
# What was noticed within a deadline of tenths of a second was noticed sooner than this, however busy the machine is;
# what has another cause than a deadline is given one that can't be the cause.
SOON_S = 3.0
UNHURRIED_S = 10.0


def run_clean(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` with a deadline, failing when a task or descriptor outlives `main`."""
    before = _descriptors()

    async def guarded() -> T:
        async with asyncio.timeout(TEST_S):
            result = await main
        await eventually(lambda: len(asyncio.all_tasks()) == 1, "every task has ended")
        return result

    result = asyncio.run(guarded())
    gc.collect()
    after = _descriptors()
    assert after <= before, f"descriptors left open: {after - before}"
    return result


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def eventually(condition: Callable[[], bool], what: str, within_s: float = LETTING_GO_S) -> None:
    """Wait for a condition with a deadline."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"never came true: {what}"
        await asyncio.sleep(0.005)


async def collect(events: AsyncIterator[T]) -> list[T]:
    """Everything an iterator gives."""
    return [event async for event in events]
