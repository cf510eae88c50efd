"""The caller hangs up, in every phase of a call; holds; presses keys; says nothing; talks for too long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, assistant
from tests.calls.scene_stage import ANSWER, LONG_ANSWER, PLAIN, Stage
from tests.calls.scene_troupe import scene
from tests.waiting import until
from tests.webhooks.receiver import Got, never

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

Answering = Callable[[Got], Awaitable[web.StreamResponse]]

ASKS = assistant(webhook_events=["assistant-request", "status-update", "end-of-call-report", "tool-calls"])
TOOL = {"name": "opening_hours", "description": "When the shop is open", "parameters": {"type": "object"}}
WITH_TOOL = assistant(llm_config={**assistant()["llm_config"], "tools": [TOOL]})
AT_ONCE = "the SIP BYE; AudioSocket's end, AMI and the `h` extension each tell"


async def ended_by_the_caller(stage: Stage, *, answered: bool = True) -> None:
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason, row.error) == ("ended", "user_hangup", None)
    assert (row.started_at is not None) is answered


def only(event: str, answer: Answering) -> Answering:
    """A receiver that answers `event` by `answer` and everything else at once."""

    async def choose(got: Got) -> web.StreamResponse:
        return await answer(got) if got.event == event else web.json_response({})

    return choose


@scene(
    "9",
    "The caller hangs up while it rings, the webhook being asked",
    bounded="AGIEXITONHANGUP: at once",
    assistants={"reception": ASKS},
)
async def test_a_caller_who_gives_up_while_the_webhook_is_asked(stage: Stage) -> None:
    stage.receiver.answer = only("assistant-request", never)
    person = await stage.dial()
    await until(lambda: stage.webhooks("assistant-request"))
    await person.call.cancel()
    await stage.asterisk.wait_for_channels(0, 2.0)
    await ended_by_the_caller(stage, answered=False)
    stage.receiver.over.set()


@scene("9", "The caller hangs up while it rings, the voice being awaited", bounded="AGIEXITONHANGUP: at once")
async def test_a_caller_who_gives_up_while_the_greeting_is_made(stage: Stage) -> None:
    stage.elevenlabs.faults.arm("stall", "first", times=1)
    person = await stage.dial()
    await until(lambda: stage.elevenlabs.faults.happened)
    await person.call.cancel()
    await stage.asterisk.wait_for_channels(0, 2.0)
    await ended_by_the_caller(stage, answered=False)


@scene("9", "The caller hangs up in the moment of the answer", bounded=AT_ONCE)
async def test_a_caller_who_hangs_up_as_he_is_answered(stage: Stage) -> None:
    for _ in range(5):
        person = await stage.answered()
        await person.hang_up(at_once=True)
    await stage.asterisk.wait_for_channels(0, 2.0)
    await stage.check_nothing_left()
    for row in await stage.rows():
        assert (row.status, row.end_reason, row.error) == ("ended", "user_hangup", None)


@scene("9", "The caller hangs up during the greeting", bounded=AT_ONCE)
async def test_a_caller_who_hangs_up_during_the_greeting(stage: Stage) -> None:
    person = await stage.answered()
    await person.hears_beginning(after=0.0)
    await asyncio.sleep(0.8)
    await person.hang_up(at_once=True)
    await ended_by_the_caller(stage)
    await stage.check_nothing_left()
    ((role, heard),) = await stage.said()
    assert role == "assistant"
    assert GREETING.startswith(heard.rstrip("…").rstrip())


@scene("9", "The caller hangs up while he is speaking", bounded=AT_ONCE)
async def test_a_caller_who_hangs_up_in_mid_sentence(stage: Stage) -> None:
    person = await stage.greeted()
    asking = asyncio.create_task(person.ask())
    await until(lambda: person.said and person.said[0].started_at)
    await asyncio.sleep(0.6)
    await person.hang_up(at_once=True)
    await asking
    await ended_by_the_caller(stage)


@scene("9", "The caller hangs up while the language model thinks", bounded=AT_ONCE)
async def test_a_caller_who_hangs_up_while_the_model_thinks(stage: Stage) -> None:
    stage.openai.first_token_ms = 2000
    person = await stage.greeted()
    await person.ask()
    await until(lambda: stage.openai.requests)
    await person.hang_up(at_once=True)
    await ended_by_the_caller(stage)
    stage.openai.first_token_ms = 50
    await until(lambda: stage.openai.cancelled)


@scene("9", "The caller hangs up while the assistant speaks", bounded=AT_ONCE)
async def test_a_caller_who_hangs_up_while_the_assistant_speaks(stage: Stage) -> None:
    stage.openai.script = (LONG_ANSWER,)
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    await asyncio.sleep(1.5)
    await person.hang_up(at_once=True)
    await ended_by_the_caller(stage)
    await stage.check_nothing_left()
    (_, _, (_, heard)) = await stage.said()
    assert LONG_ANSWER.startswith(heard.rstrip("…").rstrip())
    assert len(heard) < len(LONG_ANSWER) / 2


@scene(
    "9", "The caller hangs up while a tool's webhook is awaited", bounded=AT_ONCE, assistants={"reception": WITH_TOOL}
)
async def test_a_caller_who_hangs_up_during_a_tool_call(stage: Stage) -> None:
    stage.openai.script = (Answer(tools=(("opening_hours", "{}"),)),)
    stage.receiver.answer = only("tool-calls", never)
    person = await stage.greeted()
    await person.ask()
    await until(lambda: stage.webhooks("tool-calls"))
    await person.hang_up(at_once=True)
    await ended_by_the_caller(stage)
    stage.receiver.over.set()


@scene("9", "The caller hangs up on hold", bounded=AT_ONCE)
async def test_a_caller_who_hangs_up_on_hold(stage: Stage) -> None:
    person = await stage.greeted()
    await person.call.hold()
    await asyncio.sleep(0.5)
    await person.hang_up(at_once=True)
    await ended_by_the_caller(stage)


# --- what is no failure, and must not become one


@scene(
    "10",
    "The caller puts the call on hold for five seconds",
    bounded="nothing: the call stays up for as long as it is held",
    assistants={
        "reception": assistant(
            autonomous_silence_handling=True,
            speech_config={
                **assistant()["speech_config"],
                "silence": {"first_check_seconds": 2.0, "messages": ["Are you still there?"]},
            },
        )
    },
    phrases=["Are you still there?"],
)
async def test_nobody_talks_into_hold(stage: Stage) -> None:
    person = await stage.greeted()
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.5)  # the greeting's last sample is out, not only its last word known
    await person.call.hold()
    held_at = loop.time()
    spoken = spoken_texts(stage)
    await asyncio.sleep(5.0)
    assert spoken_texts(stage) == spoken, "nothing was synthesised into hold"
    assert await stage.asterisk.channels() in (
        1,
        2,
        4,
    )  # his own, and what brings his sound: a WebSocket and its Local pair
    await person.call.unhold()
    assert not [one for one in person.heard() if held_at + 0.1 < one.start < loop.time() - 0.1]
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    await ended_by_the_caller(stage)


def spoken_texts(stage: Stage) -> list[str]:
    """What the voice was asked to say in the conversation; phrases rendered ahead and keep-alives don't count."""
    ahead = {PLAIN.filler, PLAIN.apology, PLAIN.unwell, PLAIN.unheard, ""}
    texts = [str(message.get("text", "")).strip() for one in stage.elevenlabs.sockets for message in one.messages]
    return [text for text in texts if text not in ahead]


@scene("11", "The caller presses keys (1 2 #)", bounded="nothing: they are told to the model once, by RTP or by AMI")
async def test_keys_reach_the_model_once(stage: Stage) -> None:
    person = await stage.greeted()
    await asyncio.sleep(0.4)
    await person.call.press("12#")
    pressed = asyncio.get_running_loop().time()
    await person.hears(ANSWER, after=pressed)
    (request,) = stage.openai.requests
    told = request["messages"][-1]
    assert told["role"] == "user"
    assert "12" in told["content"]
    assert "1122" not in told["content"]
    stage.notes.append(f"told to the model: “{told['content']}”")
    await person.hang_up()


@scene(
    "12",
    "The call reaches max_duration_seconds (10 s) while the assistant speaks",
    bounded="`max_duration_seconds`, else `[limits] max_call_seconds`",
    assistants={"reception": assistant(max_duration_seconds=10)},
)
async def test_a_call_that_lasts_too_long_is_ended(stage: Stage) -> None:
    stage.openai.script = (LONG_ANSWER * 2,)
    person = await stage.greeted()
    await asyncio.sleep(2.0)
    await person.ask()
    end = await person.call.over(15.0)
    assert end.how == "they hung up"
    assert person.call.answered_at is not None
    assert 9.5 < end.at - person.call.answered_at < 11.5
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason) == ("ended", "max_duration")


@scene(
    "15",
    "The caller never says a word (autonomous_silence_handling)",
    bounded="`speech_config.silence`: three prompts, then the end",
    assistants={
        "reception": assistant(
            autonomous_silence_handling=True,
            speech_config={
                **assistant()["speech_config"],
                "silence": {
                    "first_check_seconds": 2.0,
                    "interval_seconds": 3.0,
                    "max_attempts": 3,
                    "messages": ["Are you still there?"],
                    "final_message": "I will hang up now.",
                },
            },
        )
    },
    phrases=["Are you still there?", "I will hang up now."],
)
async def test_a_silent_caller_is_asked_and_then_let_go(stage: Stage) -> None:
    person = await stage.greeted()
    end = await person.call.over(30.0)
    assert end.how == "they hung up"
    assert [str(one) for one in person.heard()] == [
        GREETING,
        "Are you still there?",
        "Are you still there?",
        "I will hang up now.",
    ]
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason) == ("ended", "silence_timeout")


@scene("15", "The caller never says a word (no silence handling)", bounded="`max_duration_seconds` only")
async def test_a_silent_caller_is_waited_for(stage: Stage) -> None:
    person = await stage.greeted()
    await asyncio.sleep(6.0)
    assert person.call.end is None
    assert [str(one) for one in person.heard()] == [GREETING]
    await person.hang_up()
    await ended_by_the_caller(stage)
