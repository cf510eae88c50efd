"""Tool servers of customers, in every shape and with every answer they have had (contract §11, §13)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.calls.house import QUESTION, play
from tests.moving.customer import CALLER, LINE, moved, quiet, using, with_tools
from tests.moving.receiver import CustomersServer, serving
from tests.waiting import until

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
WORDS: dict[str, Any] = {"name": "lookup", "description": "Look it up.", "parameters": SCHEMA}
USED = ("lookup", '{"query": "John"}')

Shape = Callable[[str], dict[str, Any]]
SHAPES: dict[str, Shape] = {
    "flat": lambda url: {**WORDS, "url": url},
    "server": lambda url: {**WORDS, "server": {"url": url, "secret": "whsec-tool"}},
    "url before server": lambda url: {**WORDS, "url": url, "server": {"url": "http://127.0.0.1:9/", "secret": ""}},
    "nested": lambda url: {"type": "function", "function": WORDS, "server": {"url": url}},
    "the assistant's": lambda url: WORDS,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_tool_is_asked_with_an_object_and_the_right_secret(tmp_path: Path, shape: str) -> None:
    async def scene() -> None:
        secret = "whsec-tool" if shape == "server" else CustomersServer().secret
        async with moved(tmp_path) as at, serving(CustomersServer(secret=secret)) as tools:
            server = at.server if shape == "the assistant's" else tools
            server.answers["tool-calls"] = lambda message: {
                "results": [{"tool_call_id": call["id"], "result": {"found": 1}} for call in message["tool_call_list"]]
            }
            at.house.openai.script = using(USED)
            desk = await at.assistant(**with_tools(SHAPES[shape](tools.url)), metadata={"crm_id": "1"})
            await at.number(desk)
            await at.call_in()
            (report,) = await at.reports()
            (message,) = server.messages("tool-calls")
            (call,) = message["tool_call_list"]
            assert call["function"] == {"name": "lookup", "arguments": {"query": "John"}}
            assert message["assistant"]["metadata"] == {"crm_id": "1"}
            assert message["call"]["id"] == report["call"]["id"]
            assert at.told_model() == ['{"found":1}']

    play(scene())


def numbered(message: dict[str, Any]) -> Any:
    return [{"tool_call_id": call["id"], "result": call["function"]["arguments"]} for call in message["tool_call_list"]]


FORMS: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "results": (lambda message: {"results": numbered(message)}, ['{"query":"John"}', '{"query":"Ann"}']),
    "result": (lambda message: {"result": "Both."}, ["Both.", "Both."]),
    "anything else": (lambda message: {"stock": 7}, ['{"stock":7}', '{"stock":7}']),
}


@pytest.mark.parametrize("form", FORMS)
def test_tools_that_are_used_together_come_together_and_each_answer_is_told(tmp_path: Path, form: str) -> None:
    async def scene() -> None:
        answer, told = FORMS[form]
        async with moved(tmp_path) as at:
            at.server.answers["tool-calls"] = answer
            at.house.openai.script = using(USED, ("lookup", '{"query": "Ann"}'))
            await at.number(await at.assistant(**with_tools(WORDS)))
            await at.call_in()
            await at.reports()
            (message,) = at.server.messages("tool-calls")
            assert len(message["tool_call_list"]) == 2
            assert at.told_model() == told

    play(scene())


def test_an_error_of_a_tool_is_told_and_the_talk_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.server.answers["tool-calls"] = lambda message: {"error": "no such person"}
            at.house.openai.script = using(USED, then="I can't find him.")
            await at.number(await at.assistant(**with_tools(WORDS)))
            await at.call_in()
            (report,) = await at.reports()
            (told,) = at.told_model()
            assert "no such person" in told
            assert report["messages"][-1]["content"] == "I can't find him."

    play(scene())


@pytest.mark.parametrize("key", ["async_response", "asyncResponse", "message"])
def test_an_async_tool_is_told_of_and_answered_at_once_with_its_words(tmp_path: Path, key: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.server.answers["tool-calls"] = lambda message: {"result": "never read"}
            at.house.openai.script = using(USED, then="It is noted.")
            await at.number(await at.assistant(**with_tools({**WORDS, "async": True, key: "Noted for them."})))
            await at.call_in()
            await at.reports()
            assert len(at.server.messages("tool-calls")) == 1
            assert at.told_model() == ["Noted for them."]

    play(scene())


@pytest.mark.parametrize("spelling", ["end_call", "endCall"])
def test_the_assistant_ends_the_call_by_either_spelling_of_its_tool(tmp_path: Path, spelling: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.house.openai.script = using(("end_call", "{}"))
            desk = await at.assistant(**with_tools({"type": spelling}))
            assert desk["llm_config"]["tools"][0]["type"] == "end_call"
            await at.number(desk)
            async with at.house.caller(LINE, CALLER) as caller:
                await caller.place()
                await quiet(caller)
                caller.say(QUESTION)
                await caller.over(10.0)
            (report,) = await at.reports()
            assert report["end_reason"] == "assistant_hangup"

    play(scene())


@pytest.mark.parametrize("spelling", ["transfer_call", "transferCall"])
def test_the_assistant_transfers_by_either_spelling_of_its_tool(tmp_path: Path, spelling: str) -> None:
    async def scene() -> None:
        sales = {"type": "number", "number": "+31201234567", "description": "Sales.", "message": "To sales."}
        async with moved(tmp_path, dialling={"allow": ["+3120*"]}) as at:
            at.house.openai.script = using(("transfer_call", '{"destination": "+31201234567"}'))
            desk = await at.assistant(**with_tools({"type": spelling, "destinations": [sales]}))
            assert desk["llm_config"]["tools"][0]["type"] == "transfer_call"
            await at.number(desk)
            async with at.house.caller(LINE, CALLER) as caller:
                await caller.place()
                await quiet(caller)
                caller.say(QUESTION)
                await until(lambda: bool(caller.steps))
                assert caller.steps[0] == "dial"
                await caller.hang_up()
            (report,) = await at.reports()
            assert report["end_reason"] == "transferred"
            assert "To sales." in report["messages"][-1]["content"]

    play(scene())
