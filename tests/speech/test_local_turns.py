"""On a local engine whoever waits on the line comes first, and other work gets done all the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import Finished, TextDelta
from sovereign_pbx.speech.llm.local import LocalModel
from sovereign_pbx.speech.llm.local_turns import RightOfWay

FAKE = Path(__file__).parent / "fake_xllamacpp"


class Work:
    """Answers in three parts, each when `go` is set; remembers how often it was asked and how often closed early."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = self.closed = 0

    async def answer(self) -> AsyncIterator[int]:
        self.asked += 1
        try:
            for part in range(3):
                await self.go.wait()
                yield part
        except (asyncio.CancelledError, GeneratorExit):
            self.closed += 1
            raise


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_other_work_is_done_at_once_while_nobody_waits() -> None:
    async def run() -> None:
        turns, work = RightOfWay(), Work()
        work.go.set()
        assert await turns.when_free(work.answer) == [0, 1, 2]

    asyncio.run(run())


def test_other_work_waits_until_the_last_live_reply_is_over() -> None:
    async def run() -> None:
        turns, work = RightOfWay(), Work()
        work.go.set()
        with turns.live():
            with turns.live():
                other = asyncio.create_task(turns.when_free(work.answer))
                await settled()
            await settled()
            assert work.asked == 0
        assert await other == [0, 1, 2]

    asyncio.run(run())


def test_a_live_reply_breaks_other_work_off_and_it_begins_again() -> None:
    async def run() -> None:
        turns, work = RightOfWay(), Work()
        other = asyncio.create_task(turns.when_free(work.answer))
        await settled()
        with turns.live():
            await settled()
            assert (work.asked, work.closed, turns.broken_off) == (1, 1, 1)
            work.go.set()
        assert await other == [0, 1, 2]
        assert work.asked == 2

    asyncio.run(run())


def test_other_work_is_done_one_after_the_other() -> None:
    async def run() -> None:
        turns, first, second = RightOfWay(), Work(), Work()
        both = asyncio.gather(turns.when_free(first.answer), turns.when_free(second.answer))
        await settled()
        assert (first.asked, second.asked) == (1, 0)
        first.go.set()
        second.go.set()
        assert list(await both) == [[0, 1, 2], [0, 1, 2]]

    asyncio.run(run())


def test_who_gives_up_leaves_nothing_behind_and_errors_come_through() -> None:
    async def run() -> None:
        turns, work = RightOfWay(), Work()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await turns.when_free(work.answer)
        assert work.closed == 1

        async def fails() -> AsyncIterator[int]:
            raise ValueError("no")
            yield 0

        with pytest.raises(ValueError, match="no"):
            await turns.when_free(fails)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_a_model_of_low_priority_waits_for_the_live_ones_of_the_same_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF....")

    async def run() -> None:
        block = {"provider": "local", "model": str(path)}
        live = await asyncio.to_thread(LocalModel.from_config, block, {})
        low = await asyncio.to_thread(LocalModel.from_config, {**block, "priority": "low"}, {})
        try:
            replying = live.reply([Message("system", "S"), Message("user", "say Good day to you.")])
            assert isinstance(await anext(aiter(replying)), TextDelta)
            other = asyncio.create_task(whole(low))
            await asyncio.sleep(0.2)
            assert not other.done()
            rest = [event async for event in replying]
            assert isinstance(rest[-1], Finished)
            assert await other == "A summary."
        finally:
            await live.aclose()
            await low.aclose()

    async def whole(model: LocalModel) -> str:
        said = [Message("system", "S"), Message("user", "say A summary.")]
        return "".join([event.text async for event in model.reply(said) if isinstance(event, TextDelta)])

    asyncio.run(run())
