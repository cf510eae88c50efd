"""The clock that jumps."""

import asyncio
import itertools
import time

import pytest

from sovereign_pbx.testing import virtual_time
from sovereign_pbx.testing.virtual_time import NothingLeftToHappen


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_passes_at_once() -> None:
    async def main() -> float:
        began = now()
        await asyncio.sleep(3600)
        return now() - began

    real = time.monotonic()
    assert virtual_time.run(main()) == pytest.approx(3600)
    assert time.monotonic() - real < 1


def test_things_happen_in_the_order_of_their_times() -> None:
    order: list[str] = []

    async def at(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        order.append(f"{name}@{now() - virtual_time.START_S:.2f}")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds, name in ((3, "late"), (1, "early"), (2, "middle"), (1, "early too")):
                group.create_task(at(seconds, name))

    virtual_time.run(main())
    assert order == ["early@1.00", "early too@1.00", "middle@2.00", "late@3.00"]


def test_a_deadline_comes_when_it_is_due() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return now()

    assert virtual_time.run(main()) == pytest.approx(virtual_time.START_S + 5)


def test_two_runs_are_the_same_run() -> None:
    async def main() -> list[float]:
        seen: list[float] = []

        async def tick(every: float) -> None:
            for _ in range(200):
                await asyncio.sleep(every)
                seen.append(now())

        async with asyncio.TaskGroup() as group:
            for every in (0.02, 0.03, 0.05):
                group.create_task(tick(every))
        return seen

    assert virtual_time.run(main()) == virtual_time.run(main())


def test_a_wait_that_nobody_will_end_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingLeftToHappen, match="no timer is set"):
        virtual_time.run(main())


def test_a_loop_without_end_is_an_error() -> None:
    async def main() -> None:
        for _ in itertools.count():
            await asyncio.sleep(60)

    with pytest.raises(NothingLeftToHappen, match="still has not ended"):
        virtual_time.run(main())


def test_the_clock_stands_while_a_thread_works() -> None:
    def work() -> int:
        time.sleep(0.05)
        return 7

    async def main() -> float:
        began = now()
        async with asyncio.timeout(1):
            assert await asyncio.to_thread(work) == 7
        return now() - began

    assert virtual_time.run(main()) == 0


def test_sockets_work_on_the_way() -> None:
    async def main() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            answer = await asyncio.wait_for(reader.readline(), 3600)
            writer.close()
            await writer.wait_closed()
        return answer

    assert virtual_time.run(main()) == b"hello\n"


def test_a_blocked_loop_can_be_acted() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        due = loop.time() + 0.02
        fired = loop.create_future()
        loop.call_at(due, lambda: fired.set_result(loop.time() - due))
        loop.advance(0.5)
        late: float = await fired
        return late

    assert virtual_time.run(main()) == pytest.approx(0.48)


def test_cancelled_tasks_clean_up_within_virtual_time() -> None:
    cleaned = []

    async def careful() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            cleaned.append(now())

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(careful())
        await asyncio.sleep(10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual_time.run(main())
    assert cleaned == [pytest.approx(virtual_time.START_S + 11)]
