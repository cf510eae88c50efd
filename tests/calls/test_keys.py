"""A caller keys something in, in a whole daemon: who gets to know it, and who does not."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, House, assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got

CARD = "4929123456781234"
PROMPT = "Please key in the number of your card."
PAID = "Thank you, that has been paid."
COLLECTOR: dict[str, Any] = {
    "name": "card_number",
    "description": "Have the caller key in the number of his card.",
    "prompt": PROMPT,
    "min_digits": 16,
    "max_digits": 16,
}
CHARGE = {
    "name": "charge",
    "description": "Charge the card.",
    "parameters": {
        "type": "object",
        "properties": {"card": {"type": "string", "const": "{{digits.card_number}}"}, "euros": {"type": "number"}},
    },
}


def paying(body: dict[str, Any]) -> Answer:
    """The model asks for the card, charges it, and says so."""
    told = [message for message in body["messages"] if message["role"] == "tool"]
    if not told:
        return Answer(tools=(("card_number", "{}"),))
    return Answer(tools=(("charge", '{"euros": 12}'),)) if len(told) == 1 else Answer(PAID)


def payment(mask: bool) -> dict[str, Any]:
    reception = assistant(digits={"collectors": [{**COLLECTOR, "mask": mask}]})
    reception["llm_config"] = {**reception["llm_config"], "tools": [CHARGE]}
    return {"reception": reception}


async def charging(got: Got) -> web.StreamResponse:
    """A server that repeats what it was sent."""
    return web.json_response({"result": f"charged {CARD}"} if got.event == "tool-calls" else {})


async def paid(home: House) -> dict[str, Any]:
    """The report of a call in which the card was keyed in and charged."""
    home.openai.script = paying
    async with home.caller() as caller:
        await caller.place()
        caller.say(QUESTION)
        await until(lambda: len(home.openai.requests) >= 1)
        await asyncio.sleep(0.5)
        caller.press(CARD)
        await until(lambda: len(home.openai.requests) >= 3)
        await asyncio.sleep(0.5)
        await caller.hang_up()
    (report,) = await home.reported()
    return report


def kept(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in (folder / "state").rglob("*") if file.is_file())


def test_a_masked_card_reaches_the_tool_that_charges_it_and_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with house(tmp_path, payment(mask=True)) as home:
            home.receiver.answer = charging
            report = await paid(home)
            (asked,) = home.webhooks("tool-calls")
            assert asked["tool_call_list"][0]["function"]["arguments"] == {"card": CARD, "euros": 12}
            others = [got.body for got in home.receiver.got if got.event != "tool-calls"]
            assert CARD not in str(others)
            assert CARD not in str(list(home.openai.requests))
            assert CARD not in str(report)
            assert "card_number-1" in str(list(home.openai.requests))
            await home.stop()

    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        play(scene())
    assert CARD not in str(logs) + caplog.text
    assert "{{digits" not in str(logs)
    stored = kept(tmp_path)
    assert stored
    assert CARD.encode() not in stored
    single = [
        entry for entry in logs if any(value in tuple(CARD) for value in entry.values() if isinstance(value, str))
    ]
    assert single == []


def test_where_nothing_is_masked_the_model_gets_the_keys(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, payment(mask=False)) as home:
            home.openai.script = lambda body: (
                Answer(PAID)
                if any(message["role"] == "tool" for message in body["messages"])
                else Answer(tools=(("card_number", "{}"),))
            )
            async with home.caller() as caller:
                await caller.place()
                caller.say(QUESTION)
                await until(lambda: len(home.openai.requests) >= 1)
                caller.press(CARD)
                await until(lambda: any(CARD in str(request) for request in home.openai.requests))
                await caller.hang_up()

    play(scene())


def test_keys_that_nobody_asked_for_are_masked_where_a_collector_masks(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, payment(mask=True)) as home:
            async with home.caller() as caller:
                await caller.place()
                await asyncio.sleep(0.5)
                caller.press("73531#")
                await until(lambda: len(home.openai.requests) >= 1)
                await caller.hang_up()
            report = (await home.reported())[0]
            assert "DTMF: ••••• (entry-1)" in str(home.openai.requests[0])
            assert "73531" not in str(report)

    play(scene())
