"""Somebody rings up on the real Asterisk and talks to a model that hears and speaks itself; his ear is read back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sovereign_pbx.testing.providers.realtime import RealtimeDialect, ScriptedRealtime
from tests.calls.house import GREETING
from tests.calls.realtime_house import DIALECTS, PROVIDERS, live_assistant
from tests.calls.scene_stage import ANSWER, Stage, play, stage
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]


@asynccontextmanager
async def live_stage(
    root: Path, folder: Path, dialect: RealtimeDialect
) -> AsyncIterator[tuple[Stage, ScriptedRealtime]]:
    """The usual stage, where every number is answered by a realtime model."""
    async with ScriptedRealtime([ANSWER], dialect=dialect) as vendor:
        account = {PROVIDERS[dialect].partition("_")[0]: {"api_key": "test-key", "base_url": vendor.base_url}}
        numbers = [{"number": "*", "name": "Main line", "assistant": "live"}]
        assistants = {"live": live_assistant(dialect)}
        async with stage(root, folder, assistants=assistants, numbers=numbers, providers=account) as made:
            yield made, vendor


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_caller_is_greeted_and_answered(asterisk_root: Path, tmp_path: Path, dialect: RealtimeDialect) -> None:
    async def scene() -> None:
        async with live_stage(asterisk_root, tmp_path, dialect) as (on, vendor):
            person = await on.greeted()
            asked = await person.ask()
            answer = await person.hears(ANSWER, after=asked)
            assert answer.start - asked < 2.5
            await person.hang_up()
            await until(lambda: on.webhooks("end-of-call-report"), 10.0)
            assert [text for _, text in await on.said()] == [GREETING, "What time do you open?", ANSWER]
            assert vendor.sessions[0].errors == []
            await on.check_nothing_left()

    play(scene())


def test_a_vendor_that_dies_while_an_answer_is_owed_is_replaced(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_stage(asterisk_root, tmp_path, "openai") as (on, vendor):
            person = await on.greeted()
            vendor.faults.arm("drop", "now", times=1)
            asked = await person.ask()
            await person.hears(ANSWER, after=asked)
            assert len(vendor.sessions) == 2
            await person.hang_up()
            await on.check_nothing_left()

    play(scene())


def test_without_a_vendor_the_caller_gets_the_administrators_fallback(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_stage(asterisk_root, tmp_path, "openai") as (on, vendor):
            person = await on.greeted()
            vendor.faults.arm("refuse", "connect")
            vendor.faults.arm("drop", "now", times=1)
            await person.ask()
            await person.hears_fallback()
            await person.hang_up()
            assert (await on.row()).end_reason == "error"
            await on.check_nothing_left()

    play(scene())
