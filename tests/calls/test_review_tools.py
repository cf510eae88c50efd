"""Tools and transfers as the contract has them, heard through a whole call."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, House, assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got, Receiver, fine, listening


def with_tools(*tools: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"reception": assistant(llm_config={**assistant()["llm_config"], "tools": list(tools)}, **more)}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"It is about {name}.", **more}


def calls_of(got: Got) -> list[dict[str, Any]]:
    message = got.body["message"]
    found: list[dict[str, Any]] = message.get("tool_call_list") or message.get("toolCallList") or []
    return found


async def results(got: Got) -> web.StreamResponse:
    answers = [{"tool_call_id": call["id"], "result": f"{call['function']['name']} done"} for call in calls_of(got)]
    return web.json_response({"results": answers})


def in_rounds(first: Answer) -> Callable[[dict[str, Any]], Answer]:
    """The model's answer to the caller, and to whatever tools then said."""
    return lambda request: Answer("That is all I know.") if request["messages"][-1]["role"] == "tool" else first


def said(report: dict[str, Any]) -> list[str]:
    return [message["content"] for message in report["messages"] if message["role"] == "assistant"]


async def ask(caller: AudioSocketCaller) -> None:
    """Be greeted, then ask."""
    await caller.place()
    await until(lambda: caller.heard.sounds())
    await asyncio.sleep(1.5)
    await caller.say(QUESTION).finished.wait()


async def answered(place: House, requests: int = 2) -> None:
    """Ask, and hear the answer that the model gives to its question number `requests`."""
    async with place.caller() as caller:
        await ask(caller)
        await until(lambda: len(place.openai.requests) >= requests)
        await asyncio.sleep(3.0)
        await caller.hang_up()


def test_tools_that_the_model_uses_together_are_asked_in_one_request(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, with_tools(tool("hours"), tool("stock"))) as place:
            place.receiver.answer = results
            place.openai.script = in_rounds(Answer(tools=(("hours", "{}"), ("stock", '{"item": "bread"}'))))
            await answered(place)
            (asked,) = place.webhooks("tool-calls")
            assert [call["function"]["name"] for call in asked["tool_call_list"]] == ["hours", "stock"]
            told = [message["content"] for message in place.openai.requests[1]["messages"] if message["role"] == "tool"]
            assert told == ["hours done", "stock done"]

    play(scene())


def test_arguments_that_are_no_json_keep_no_other_tool_from_running(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, with_tools(tool("hours"), tool("stock"))) as place:
            place.receiver.answer = results
            place.openai.script = in_rounds(Answer(tools=(("hours", "[1]"), ("stock", "{}"))))
            await answered(place)
            (asked,) = place.webhooks("tool-calls")
            assert [call["function"]["name"] for call in asked["tool_call_list"]] == ["stock"]
            told = [message["content"] for message in place.openai.requests[1]["messages"] if message["role"] == "tool"]
            assert "JSON object" in told[0]
            assert told[1] == "stock done"

    play(scene())


def test_a_tools_own_message_is_heard_while_it_runs(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = with_tools(tool("stock", message="I am looking it up."))
        async with house(tmp_path, saved) as place, place.caller() as caller:
            heard = asyncio.Event()

            async def slow(got: Got) -> web.StreamResponse:
                if calls_of(got):
                    await until(lambda: len(caller.heard.sounds()) >= 2)
                    heard.set()
                return await results(got)

            place.receiver.answer = slow
            place.openai.script = (Answer(tools=(("stock", "{}"),)), "Bread is there.")
            await ask(caller)
            await until(lambda: len(place.openai.requests) >= 2)
            await asyncio.sleep(2.5)
            await caller.hang_up()
            (report,) = await place.reported()
            assert said(report)[1:] == ["I am looking it up.", "Bread is there."]
            assert heard.is_set()

    play(scene())


def test_a_tool_that_was_asked_is_not_torn_up_when_the_call_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        tools = (tool("note", **{"async": True}), {"type": "end_call"})
        async with house(tmp_path, with_tools(*tools)) as place:
            finished = asyncio.Event()

            async def slow(got: Got) -> web.StreamResponse:
                if not calls_of(got):
                    return await fine(got)
                await asyncio.sleep(1.0)
                answer = await results(got)
                finished.set()
                return answer

            place.receiver.answer = slow
            place.openai.script = (Answer(tools=(("note", "{}"), ("end_call", "{}"))),)
            async with place.caller() as caller:
                await ask(caller)
                await caller.over(10)
            await until(finished.is_set)
            assert len(place.webhooks("tool-calls")) == 1
            await until(lambda: len(place.daemon.desk) == 0)

    play(scene())


@pytest.mark.parametrize("secret", [{}, {"server": {"secret": "the-tools-own"}}])
def test_a_tools_own_address_is_signed_and_spelt_whatever_events_are_wanted(
    tmp_path: Path, secret: dict[str, Any]
) -> None:
    async def scene() -> None:
        async with listening(Receiver(results, secret="the-tools-own" if secret else "of-the-assistant")) as shop:
            own = {
                "webhook_events": ["end-of-call-report"],
                "webhook_secret": "of-the-assistant",
                "webhook_dialect": "camel",
            }
            async with house(tmp_path, with_tools(tool("stock", url=shop.url, **secret), **own)) as place:
                place.openai.script = (Answer(tools=(("stock", "{}"),)), "Bread is there.")
                await answered(place)
                assert not shop.refused
                (asked,) = shop.got
                assert asked.body["message"]["toolCallList"][0]["function"]["name"] == "stock"

    play(scene())


def transferring(**more: Any) -> dict[str, Any]:
    destination = {"number": "+31 20 123 45 67", "description": "Sales", "message": "I put you through to sales."}
    return {"type": "transfer_call", "destinations": [{"type": "number", **destination}], **more}


@pytest.mark.parametrize("name", ["transfer_call", "connect"])
def test_a_transfer_is_announced_and_dialled(tmp_path: Path, name: str) -> None:
    async def scene() -> None:
        saved = with_tools(transferring(name=name))
        async with house(tmp_path, saved, dialling={"allow": ["+3120*"]}) as place, place.caller() as caller:
            place.openai.script = (Answer(tools=((name, '{"destination": "+31 20 123 45 67"}'),)),)
            await ask(caller)
            await caller.over(15)
            assert caller.steps[0] == "dial"
            assert caller.variables["SOVEREIGN_DEST"] == "+31201234567"
            (report,) = await place.reported()
            assert said(report)[-1] == "I put you through to sales."
            assert report["end_reason"] == "transferred"

    play(scene())


def test_nobody_answering_a_transfer_brings_the_caller_back(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = with_tools(transferring())
        async with house(tmp_path, saved, dialling={"allow": ["+3120*"]}) as place, place.caller() as caller:
            place.openai.script = (Answer(tools=(("transfer_call", '{"destination": "+31201234567"}'),)),)
            caller.reached = False
            await ask(caller)
            await until(lambda: caller.steps == ["dial", "talk"], 15)
            await caller.hang_up()
            (report,) = await place.reported()
            assert report["end_reason"] == "user_hangup"

    play(scene())


def test_a_destination_of_the_callers_own_is_not_dialled_even_if_it_may_be(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = with_tools(transferring())
        async with house(tmp_path, saved, dialling={"allow": ["*"]}) as place:
            place.openai.script = (
                Answer(tools=(("transfer_call", '{"destination": "+31900555"}'),)),
                "I can't put you through there.",
            )
            await answered(place)
            (report,) = await place.reported()
            assert said(report)[-1] == "I can't put you through there."
            assert report["end_reason"] == "user_hangup"

    play(scene())
