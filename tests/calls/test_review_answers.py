"""Every form in which a webhook may answer, in both spellings, as the caller hears it and the model is told."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, QUESTION, House, assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got

EVENTS = ["assistant-request", "tool-calls", "status-update", "end-of-call-report"]
DIALECTS = ("snake", "camel")
Message = Mapping[str, Any]


def called_number(message: Message) -> str:
    number = message.get("phone_number") or message.get("phoneNumber") or {}
    return str(number.get("number"))


def by_number(reports: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {called_number(report): report for report in reports}


def said(report: Message) -> list[str]:
    return [message["content"] for message in report["messages"] if message["role"] == "assistant"]


def spelt(message: Message, snake: str, dialect: str) -> Any:
    """The value of a key, which must be spelt in the dialect and in no other way."""
    first, *others = snake.split("_")
    camel = first + "".join(word.capitalize() for word in others)
    right, wrong = (snake, camel) if dialect == "snake" else (camel, snake)
    assert right == wrong or wrong not in message
    return message[right]


async def greeted(caller: AudioSocketCaller) -> None:
    await caller.place()
    await until(lambda: caller.heard.sounds())
    await asyncio.sleep(1.7)


async def greets(place: House, number: str) -> AudioSocketCaller:
    """Hear what one is greeted with, and leave if still let."""
    async with place.caller(number) as caller:
        await greeted(caller)
        if number in ("104", "105", "106"):
            await caller.over(20)
        await caller.hang_up()
    return caller


async def asks(place: House, number: str) -> None:
    """Be greeted, ask, hear the answer."""
    async with place.caller(number) as caller:
        await greeted(caller)
        await caller.say(QUESTION).finished.wait()
        await until(lambda: len(caller.heard.sounds()) >= 2)
        await asyncio.sleep(3.0)
        await caller.hang_up()


# --- who answers

NIGHT_MESSAGES = [{"role": "system", "content": "You are the night porter."}]
NIGHT = {"llm_config": {"provider": "openai", "model": "scripted", "messages": NIGHT_MESSAGES}}
ANSWERS: dict[str, dict[str, dict[str, Any]]] = {
    "snake": {
        "101": {},
        "102": {"assistant": {"first_message": "Hello Jan.", "metadata": {"crm_id": 7}, "my_key": {"a_b": 1}}},
        "103": {"assistant_id": "night", "assistant_override": {"first_message": "Good night.", **NIGHT}},
        "104": {"max_duration_seconds": 3},
        "105": {"error": "We are closed today."},
        "106": {"assistant": {"first_message": "Be brief."}, "max_duration_seconds": 3},
    },
    "camel": {
        "101": {},
        "102": {"assistant": {"firstMessage": "Hello Jan.", "metadata": {"crm_id": 7}, "my_key": {"a_b": 1}}},
        "103": {"assistantId": "night", "assistantOverride": {"firstMessage": "Good night.", **NIGHT}},
        "104": {"maxDurationSeconds": 3},
        "105": {"error": "We are closed today."},
        "106": {"assistant": {"firstMessage": "Be brief."}, "maxDurationSeconds": 3},
    },
}
HEARD = {
    "101": (GREETING, "user_hangup"),
    "102": ("Hello Jan.", "user_hangup"),
    "103": ("Good night.", "user_hangup"),
    "104": (GREETING, "max_duration"),
    "105": ("We are closed today.", "rejected"),
    "106": ("Be brief.", "max_duration"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_answer_to_assistant_request_is_heard(tmp_path: Path, dialect: str) -> None:
    async def answer(got: Got) -> web.StreamResponse:
        number = called_number(got.body["message"])
        return web.json_response(ANSWERS[dialect][number] if got.event == "assistant-request" else {})

    async def scene() -> None:
        tool = {"name": "stock", "description": "What is in stock"}
        own = {"webhook_events": EVENTS, "webhook_dialect": dialect}
        day = assistant(**own, llm_config={**assistant()["llm_config"], "tools": [tool]})
        saved = {"reception": day, "night": {**day, "tts_config": {"provider": "elevenlabs", "voice_id": "otto"}}}
        async with house(tmp_path, saved) as place:
            place.receiver.answer = answer
            callers = await asyncio.gather(*(greets(place, number) for number in HEARD))
            assert all(caller.heard.sounds() for caller in callers)
            assert callers[4].variables["SOVEREIGN_NEXT"] == "hangup"
            reports = by_number(await place.reported(len(HEARD)))
            for number, (words, reason) in HEARD.items():
                assert said(reports[number])[:1] == [words]
                assert spelt(reports[number], "end_reason", dialect) == reason
            check_spelling(place, reports["102"], dialect)
            told = reports["103"]["assistant"]
            voice = {**told["tts_config"]}
            assert spelt(voice, "voice_id", dialect) == "otto"  # of the assistant that was chosen
            assert told["llm_config"]["messages"] == NIGHT_MESSAGES
            assert not told["llm_config"].get("tools")  # the whole block was replaced

    play(scene())


def check_spelling(place: House, report: Message, dialect: str) -> None:
    """Our keys in the dialect, the user's own as he wrote them."""
    kind = "inbound_phone_call" if dialect == "snake" else "inboundPhoneCall"
    for event in ("assistant-request", "status-update"):
        for message in place.webhooks(event):
            assert message["call"]["type"] == kind
            assert spelt(message, "phone_number", dialect)["name"] == "Main line"
    assert spelt(report["assistant"], "first_message", dialect) == "Hello Jan."
    assert report["assistant"]["metadata"] == {"crm_id": 7}
    assert report["assistant"]["my_key"] == {"a_b": 1}
    assert isinstance(spelt(report, "duration_seconds", dialect), int)
    states = [m["call"]["status"] for m in place.webhooks("status-update") if called_number(m) == "102"]
    assert states == ["in-progress", "ended"]


# --- what tools say

TOOL_ANSWERS: dict[str, Any] = {
    "201": lambda call_id: {"results": [{"tool_call_id": call_id, "result": {"bread": 3}}]},
    "202": lambda call_id: {"results": [{"toolCallId": call_id, "result": "Three loaves."}]},
    "203": lambda call_id: {"result": "Four loaves."},
    "204": lambda call_id: {"loaves": 5},
    "205": lambda call_id: {"error": "The till is down."},
    "206": lambda call_id: {"results": [{"tool_call_id": call_id, "error": "No such bread."}]},
}
TOLD = {
    "201": '{"bread":3}',
    "202": "Three loaves.",
    "203": "Four loaves.",
    "204": '{"loaves":5}',
    "205": "Error: The till is down.",
    "206": "Error: No such bread.",
}


def model(request: dict[str, Any]) -> Answer:
    """Asks the tool, then says what it said."""
    last = request["messages"][-1]
    if last["role"] == "tool":
        return Answer(f"I was told {last['content'].replace('{', '').replace('}', '')}")
    return Answer(tools=(("stock", '{"item": "bread"}'),))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_answer_of_a_tool_reaches_the_model_and_the_caller(tmp_path: Path, dialect: str) -> None:
    async def answer(got: Got) -> web.StreamResponse:
        message = got.body["message"]
        if got.event != "tool-calls":
            return web.json_response({})
        (call,) = spelt(message, "tool_call_list", dialect)
        assert call["function"] == {"name": "stock", "arguments": {"item": "bread"}}
        return web.json_response(TOOL_ANSWERS[called_number(message)](call["id"]))

    async def scene() -> None:
        tool = {"name": "stock", "description": "What is in stock"}
        llm = {**assistant()["llm_config"], "tools": [tool]}
        async with house(tmp_path, {"reception": assistant(webhook_dialect=dialect, llm_config=llm)}) as place:
            place.receiver.answer = answer
            place.openai.script = model
            await asyncio.gather(*(asks(place, number) for number in TOLD))
            reports = by_number(await place.reported(len(TOLD)))
            told = {m["content"] for r in place.openai.requests for m in r["messages"] if m["role"] == "tool"}
            assert told == set(TOLD.values())
            for number, text in TOLD.items():
                heard = " ".join(said(reports[number])[1:])
                first_words = text.replace("{", "").replace("}", "").split()[0]
                assert heard.startswith("I was told")
                assert first_words.strip('".') in heard

    play(scene())
