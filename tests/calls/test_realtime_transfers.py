"""Whole calls with realtime models whose callers are put through, and come back when nobody takes them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.calls.realtime_talk import LiveTalk
from sovereign_pbx.core.realtime.signals import Respond
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.colleague import Colleague
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.realtime import RealtimeDialect
from tests.calls.house import GREETING, play
from tests.calls.realtime_house import DIALECTS, asks, greeted, live_assistant, live_house, quiet
from tests.waiting import until

SALES = "+31201234567"
TOOL: dict[str, Any] = {
    "type": "transfer_call",
    "destinations": [{"type": "number", "number": SALES, "description": "Sales"}],
}
ANSWERS: tuple[str | Answer, ...] = (
    Answer("I'll put you through.", (("transfer_call", f'{{"destination": "{SALES}"}}'),)),
    "We open at nine.",
)
BACK = "I am sorry, they do not answer."
ALLOWED: dict[str, Any] = {"dialling": {"allow": ["+3120*"]}}
QUESTION_WORDS = "What time do you open?"

both = pytest.mark.parametrize("dialect", DIALECTS)


async def told_so(caller: AudioSocketCaller) -> None:
    """The caller is back, and hears something at once."""
    await until(lambda: caller.steps == ["dial", "talk"], 15)
    back_at = asyncio.get_running_loop().time()
    await until(lambda: caller.heard.sounds()[-1].start > back_at - 0.3, 2)
    await quiet(caller)


@both
def test_a_caller_whom_nobody_takes_is_back_with_the_model_who_says_so(
    tmp_path: Path, dialect: RealtimeDialect
) -> None:
    async def scene() -> None:
        assistant = live_assistant(dialect, llm={"tools": [TOOL]})
        async with live_house(tmp_path, dialect, assistant, **ALLOWED) as place, place.house.caller() as caller:
            first, *rest = ANSWERS
            # xAI takes no instructions for one answer: they come as an item, and the answer is one like all others
            place.vendor.answers = [first, *rest] if dialect == "openai" else [first, BACK, *rest]
            place.vendor.aside = BACK
            caller.colleagues = [Colleague("NOANSWER", rings_s=1.0)]
            await greeted(caller)
            await asks(caller)
            await told_so(caller)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            said = await place.messages()
            assert [each for each in said if each[0] in ("user", "assistant") and each[1]] == [
                ("assistant", GREETING),
                ("user", QUESTION_WORDS),
                ("assistant", "I'll put you through."),
                ("assistant", BACK),
                ("user", QUESTION_WORDS),
                ("assistant", "We open at nine."),
            ]
            assert len(place.vendor.sessions) == 1
            told = [str(each["item"]) for each in place.session.of("conversation.item.create")]
            assert any("did not succeed" in each for each in told)
            (row,) = await place.house.rows()
            assert row.end_reason == "user_hangup"
            assert place.session.errors == []

    play(scene())


def test_a_session_that_the_vendor_ends_meanwhile_is_another_when_he_is_back(tmp_path: Path) -> None:
    async def scene() -> None:
        assistant = live_assistant(llm={"tools": [TOOL]})
        async with live_house(tmp_path, "openai", assistant, **ALLOWED) as place, place.house.caller() as caller:
            place.vendor.answers, place.vendor.aside = list(ANSWERS), BACK

            caller.colleagues = [Colleague("NOANSWER", rings_s=3.0)]
            await greeted(caller)
            await asks(caller)
            await until(lambda: caller.steps == ["dial"], 15)
            (call,) = place.house.daemon.desk._calls.values()
            assert isinstance(call.talk, LiveTalk)
            place.vendor.faults.arm("drop", "now", times=1)
            call.talk.shell.session.tell(Respond())  # to which it has nothing to say any more
            await until(lambda: len(place.vendor.sessions) == 2, 2)
            await told_so(caller)
            await caller.hang_up()
            assert ("assistant", BACK) in await place.messages()
            assert len(place.vendor.sessions) == 2

    play(scene())


def test_a_caller_whom_somebody_takes_is_transferred(tmp_path: Path) -> None:
    async def scene() -> None:
        assistant = live_assistant(llm={"tools": [TOOL]})
        async with live_house(tmp_path, "openai", assistant, **ALLOWED) as place, place.house.caller() as caller:
            place.vendor.answers = list(ANSWERS)
            await greeted(caller)
            await asks(caller)
            await until(lambda: caller.steps == ["dial"], 15)
            (report,) = await place.house.reported()
            assert report["end_reason"] == "transferred"
            assert [each["outcome"] for each in report["call"]["transfers"]] == ["accepted"]
            await until(lambda: not place.vendor.open_requests)

    play(scene())


def test_a_caller_who_hangs_up_while_it_rings_leaves_no_session(tmp_path: Path) -> None:
    async def scene() -> None:
        assistant = live_assistant(llm={"tools": [TOOL]})
        async with live_house(tmp_path, "openai", assistant, **ALLOWED) as place, place.house.caller() as caller:
            place.vendor.answers = list(ANSWERS)
            caller.colleagues = [Colleague("NOANSWER", rings_s=30.0)]
            await greeted(caller)
            await asks(caller)
            await until(lambda: caller.steps == ["dial"], 15)
            await caller.hang_up()
            (report,) = await place.house.reported()
            assert report["end_reason"] == "user_hangup"
            assert [each["outcome"] for each in report["call"]["transfers"]] == ["caller_gone"]
            await until(lambda: not place.vendor.open_requests)

    play(scene())


def test_a_colleague_hears_the_briefing_from_the_model_itself_and_takes_the_caller(tmp_path: Path) -> None:
    async def scene() -> None:
        tool = {**TOOL, "destinations": [{**TOOL["destinations"][0], "mode": "attended"}]}
        assistant = live_assistant(llm={"tools": [tool]})
        async with live_house(tmp_path, "openai", assistant, **ALLOWED) as place, place.house.caller() as caller:
            told = {"destination": SALES, "summary": "He asks when you open."}
            place.vendor.answers = [Answer("I'll put you through.", (("transfer_call", json.dumps(told)),))]
            anna = Colleague(rings_s=1.0, keys="1")
            caller.colleagues = [anna]
            await greeted(caller)
            await asks(caller)
            (report,) = await place.house.reported()
            assert anna.taken
            assert [(each["mode"], each["outcome"]) for each in report["call"]["transfers"]] == [
                ("attended", "accepted")
            ]
            (row,) = await place.house.rows()
            (spoken,) = row.statistics["usage"]["tts"]
            assert spoken["characters"] > len("He asks when you open.")
            read = [str(event) for seen in list(place.vendor.sessions)[1:] for event in seen.of("response.create")]
            assert any("He asks when you open." in each for each in read)
            await until(lambda: not place.vendor.open_requests)

    play(scene())
