"""A loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sovereign_pbx.calls.side_loop import SideLoop, SideLoopClosed


class Resident:
    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.left = False
        self.cancelled = threading.Event()

    async def double(self, number: int) -> int:
        assert threading.current_thread() is self.thread
        return 2 * number

    async def fail(self) -> None:
        raise ValueError("no")

    async def wait(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            self.cancelled.set()


@asynccontextmanager
async def living() -> AsyncIterator[Resident]:
    resident = Resident()
    yield resident
    resident.left = True


def doubling(number: int) -> Callable[[Resident], Coroutine[Any, Any, int]]:
    return lambda resident: resident.double(number)


def test_work_is_done_there_and_its_outcome_comes_back() -> None:
    async def scene() -> None:
        side = SideLoop("side", living)
        assert await asyncio.gather(*(side.run(doubling(number)) for number in range(9))) == [*range(0, 18, 2)]
        with pytest.raises(ValueError, match="no"):
            await side.run(lambda one: one.fail())
        await side.close()

    asyncio.run(scene())


def test_what_is_cancelled_here_is_cancelled_there() -> None:
    async def scene() -> None:
        side = SideLoop("side", living)
        resident = await side.run(itself)
        waiting = asyncio.ensure_future(side.run(lambda one: one.wait()))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert await asyncio.to_thread(resident.cancelled.wait, 5)
        await side.close()

    asyncio.run(scene())


async def itself(resident: Resident) -> Resident:
    return resident


def test_the_resident_takes_its_leave_and_nothing_is_run_afterwards() -> None:
    async def scene() -> None:
        side = SideLoop("side", living)
        resident = await side.run(itself)
        await side.close()
        assert resident.left and not resident.thread.is_alive()
        with pytest.raises(SideLoopClosed):
            await side.run(itself)
        await side.close()

    asyncio.run(scene())


def test_a_resident_that_can_not_live_is_told_to_everybody_who_asks() -> None:
    @asynccontextmanager
    async def unborn() -> AsyncIterator[Resident]:
        raise ImportError("no module", name="mcp")
        yield

    async def scene() -> None:
        side = SideLoop("side", unborn)
        for _ in range(2):
            with pytest.raises(ImportError):
                await side.run(itself)
        await side.close()

    asyncio.run(scene())


def test_one_that_was_never_used_closes_at_once() -> None:
    asyncio.run(SideLoop("side", living).close())
