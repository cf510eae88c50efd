"""What stays of calls that are over: nothing."""

import asyncio
import gc
from collections import Counter
from pathlib import Path

import pytest

from sovereign_pbx.calls.call import Call
from sovereign_pbx.calls.shell import Shell
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.media.line import Line
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from tests.calls.house import House, house, play
from tests.waiting import until

KEPT = (Call, Shell, Line, Conversation)
ROUNDS = 4


def kept() -> Counter[str]:
    """The parts of calls that are still in memory."""
    gc.collect()
    # by type and not by isinstance, which wakes the lazy parts of vendors' packages
    return Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing) in KEPT)


async def answered_and_left(place: House) -> None:
    async with place.caller() as caller:
        await caller.place()
        await until(lambda: caller.heard.sounds())
        await caller.hang_up()


async def left_at_once(place: House) -> None:
    async with place.caller() as caller:
        await caller.place()
        await caller.hang_up()


async def refused(place: House) -> None:
    async with place.caller() as first, place.caller() as second:
        await first.place()
        with pytest.raises(NotAnswered):
            await second.place()
        await first.hang_up()


def test_nothing_is_kept_of_calls_that_were_answered_refused_or_left_at_once(tmp_path: Path) -> None:
    """pipecat 3116, 3750; aplisay PR 285: every outbound call and every refused call leaked."""

    async def scene() -> None:
        async with house(tmp_path, limits={"max_calls": 1}) as place:
            tasks = []
            for _ in range(ROUNDS):
                for one in (answered_and_left, left_at_once, refused):
                    await one(place)
                    await until(lambda: len(place.daemon.desk) == 0)
                tasks.append(len(asyncio.all_tasks()))
            await until(lambda: len(asyncio.all_tasks()) <= tasks[0])
            assert kept() == Counter()

    play(scene())
