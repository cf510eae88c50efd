"""On the real Asterisk: callers for whom there is no room, and a daemon that is told twice to stop."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.errors import SovereignError
from tests.calls.house import assistant
from tests.calls.scene_person import Person
from tests.calls.scene_stage import Stage, play, stage

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]

ANSWER_WITHIN_S = 1.0


async def turned_down(made: Stage, number: str) -> tuple[int, float]:
    """The status that a caller of `number` is refused with, and after how long."""
    person = await made.dial(number)
    end = await person.call.over(5.0)
    return person.call.responses[-1].status, end.at - person.call.invited_at


def act(root: Path, folder: Path, scene: Any, **settings: Any) -> None:
    async def run() -> None:
        async with stage(root, folder, **settings) as made:
            await scene(made)

    play(run())


def test_of_thirty_who_call_at_once_four_are_let_in_and_the_others_hear_the_fallback_within_a_second(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def scene(made: Stage) -> None:
        people: list[Person] = await asyncio.gather(*(made.answered(str(100 + one)) for one in range(30)))
        await asyncio.sleep(2.0)
        rows = await made.rows()
        assert len(rows) == 4
        inside = {row.assistant_phone for row in rows}
        turned = [person for place, person in enumerate(people) if str(100 + place) not in inside]
        assert len(turned) == 26
        for person in turned:
            tone = await person.hears_fallback()
            assert tone.start - person.call.invited_at < ANSWER_WITHIN_S
        for person in people:
            await person.hang_up(at_once=True)
        await made.check_nothing_left()

    act(asterisk_root, tmp_path, scene, limits={"max_calls": 4})


def test_busy_and_rejected_are_what_the_telephone_is_told(asterisk_root: Path, tmp_path: Path) -> None:
    numbers = [
        {"number": "101", "assistant": "reception", "max_calls": 1, "over_limit": "busy"},
        {"number": "102", "assistant": "reception", "max_calls": 1, "over_limit": "reject"},
    ]

    async def scene(made: Stage) -> None:
        for number, status in (("101", 486), ("102", 503)):
            first = await made.answered(number)
            told, after_s = await turned_down(made, number)
            assert (told, after_s < ANSWER_WITHIN_S) == (status, True)
            await first.hang_up()
        await made.check_nothing_left()

    act(asterisk_root, tmp_path, scene, numbers=numbers)


def test_a_daemon_that_is_told_twice_to_stop_gives_its_callers_back_within_two_seconds(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def scene(made: Stage) -> None:
        people = [await made.greeted(str(number)) for number in (101, 102, 103)]
        process = made.process.process
        if process is None:
            raise SovereignError("the daemon is a process of its own")
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1.0)
        assert [person.call.end for person in people] == [None] * 3, "the first one lets them talk"
        told_at = asyncio.get_running_loop().time()
        process.send_signal(signal.SIGTERM)
        for person in people:
            tone = await person.hears_fallback()
            assert tone.start - told_at < 2.0
        for person in people:
            await person.hang_up(at_once=True)
        assert await made.process.ended() == 0

    daemon = {"drain_seconds": 60.0}
    act(asterisk_root, tmp_path, scene, process=True, daemon=daemon, assistants={"reception": assistant()})
