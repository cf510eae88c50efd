"""MCP tools and wrong arguments, heard through a whole call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, NotAnswered
from sovereign_pbx.testing.mcp_server import McpFault, ScriptedMcp, ScriptedTool
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, House, house, play
from tests.calls.test_review_tools import answered, ask, results, said, tool, with_tools
from tests.waiting import until

SCHEMA = {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}
STOCK = ScriptedTool("stock", "Looks into the stock.", SCHEMA, lambda given: f"{given['item']}: seven loaves")
BREAD = '{"item": "bread"}'
TOKEN = {"Authorization": "Bearer hunter2"}


def borrowing(*allowed: str, **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "mcp_server_id": "shop", "allowed_tools": list(allowed or ("stock",)), **more}


@asynccontextmanager
async def shop(folder: Path, *tools: Mapping[str, Any], **more: Any) -> AsyncIterator[tuple[House, ScriptedMcp]]:
    """A house whose assistant borrows tools of a scripted server."""
    async with ScriptedMcp(STOCK, ScriptedTool("secret"), headers=TOKEN) as server:
        section = {"shop": {"url": server.url, "headers": TOKEN, "timeout_seconds": 5}}
        async with house(folder, with_tools(*(tools or (borrowing(),)), **more), mcp_servers=section) as place:
            yield place, server


def told(place: House, request: int = 1) -> list[str]:
    """What the model was told by tools, as of its question number `request`."""
    return [message["content"] for message in place.openai.requests[request]["messages"] if message["role"] == "tool"]


def offered(place: House) -> list[str]:
    return [each["function"]["name"] for each in place.openai.requests[0].get("tools", ())]


def in_turn(*answers: Answer | str) -> Callable[[dict[str, Any]], Answer]:
    """The model's answers by how many tools it has heard of."""

    def answer(request: dict[str, Any]) -> Answer:
        heard = sum(message["role"] == "tool" for message in request["messages"])
        chosen = answers[min(heard, len(answers) - 1)]
        return Answer(chosen) if isinstance(chosen, str) else chosen

    return answer


def using(name: str, arguments: str) -> Answer:
    return Answer(tools=((name, arguments),))


def test_an_mcp_tool_is_listed_while_it_rings_and_used_in_the_call(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shop(tmp_path) as (place, server):
            place.openai.script = in_turn(using("stock", BREAD), "There are seven loaves.")
            await answered(place)
            assert offered(place) == ["stock"]
            assert server.calls == [("stock", {"item": "bread"})] and not server.refused
            assert told(place) == ["bread: seven loaves"]
            (report,) = await place.reported()
            assert said(report)[-1] == "There are seven loaves."
            assert "hunter2" not in str(place.webhooks("end-of-call-report"))

    play(scene())


async def short_call(place: House) -> None:
    async with place.caller() as caller:
        await caller.place()
        await until(lambda: caller.heard.sounds())
        await caller.hang_up()


def test_a_busy_number_does_not_list_at_every_call(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shop(tmp_path) as (place, server):
            for _ in range(3):
                await short_call(place)
            assert server.listings == 1

    play(scene())


@pytest.mark.parametrize("fault", ["refuse", "hang", "garbage"])
def test_a_required_server_that_is_away_leaves_the_caller_to_the_dialplan(tmp_path: Path, fault: McpFault) -> None:
    async def scene() -> None:
        async with shop(tmp_path) as (place, server):
            server.fail(fault)
            async with place.caller() as caller:
                began = asyncio.get_running_loop().time()
                with pytest.raises(NotAnswered) as caught:
                    await caller.place()
                assert caught.value.action == "fallback"
                assert asyncio.get_running_loop().time() - began < 4.0
            (row,) = await ended_rows(place)
            assert (row.status, row.end_reason) == ("failed", "error")
            assert row.error is not None and row.error.startswith("MCP server shop: ")

    play(scene())


async def ended_rows(place: House) -> list[Any]:
    await until(lambda: len(place.daemon.desk) == 0)
    return await place.rows()


@pytest.mark.parametrize("fault", ["refuse", "hang"])
def test_the_call_goes_on_without_a_server_that_is_not_required(tmp_path: Path, fault: McpFault) -> None:
    async def scene() -> None:
        async with shop(tmp_path, borrowing(required=False), tool("own")) as (place, server):
            server.fail(fault)
            place.openai.script = ("We open at nine.",)
            await answered(place, requests=1)
            assert offered(place) == ["own"]
            (report,) = await place.reported()
            assert said(report)[-1] == "We open at nine."

    play(scene())


@pytest.mark.parametrize(
    ("fault", "why"),
    [("slow", "no answer within 5 s"), ("huge", "the server sends more than 300000 bytes"), ("refuse", "")],
)
def test_a_server_that_fails_in_the_call_is_told_to_the_model(tmp_path: Path, fault: McpFault, why: str) -> None:
    async def scene() -> None:
        async with shop(tmp_path) as (place, server):
            place.openai.script = in_turn(using("stock", BREAD), "I could not find out.")
            async with place.caller() as caller:
                await caller.place()
                server.fail(fault)
                await asked(caller)
                await until(lambda: len(place.openai.requests) >= 2, 15)
                await asyncio.sleep(2.5)
                await caller.hang_up()
            assert told(place)[0].startswith(f"The tool failed ({why}")
            (report,) = await place.reported()
            assert said(report)[-1] == "I could not find out."

    play(scene())


async def asked(caller: AudioSocketCaller) -> None:
    """The question, once the greeting is over."""
    await until(lambda: caller.heard.sounds())
    await asyncio.sleep(1.5)
    await caller.say(QUESTION).finished.wait()


def test_a_server_that_is_killed_while_it_works_fails_its_tool_only(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shop(tmp_path) as (place, server):
            place.openai.script = in_turn(using("stock", BREAD), "I could not find out.")
            server.fail("slow")
            async with place.caller() as caller:
                await ask(caller)
                await until(lambda: server.calls)
                await server.stop()
                await until(lambda: len(place.openai.requests) >= 2)
                await asyncio.sleep(2.5)
                await caller.hang_up()
            assert told(place)[0].startswith("The tool failed (")
            (report,) = await place.reported()
            assert (said(report)[-1], report["end_reason"]) == ("I could not find out.", "user_hangup")

    play(scene())


def test_a_webhook_tool_keeps_its_name_and_the_borrowed_one_gets_its_servers(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shop(tmp_path, tool("stock"), borrowing()) as (place, server):
            place.receiver.answer = results
            place.openai.script = in_turn(Answer(tools=(("stock", "{}"), ("shop_stock", BREAD))), "Well.")
            await answered(place)
            assert offered(place) == ["stock", "shop_stock"]
            assert told(place) == ["stock done", "bread: seven loaves"]
            assert server.calls == [("stock", {"item": "bread"})]

    play(scene())


@pytest.mark.parametrize("kind", ["webhook", "mcp"])
def test_rubbish_is_told_once_and_right_arguments_are_used_then(tmp_path: Path, kind: str) -> None:
    async def scene() -> None:
        used = tool("stock", parameters=SCHEMA) if kind == "webhook" else borrowing()
        async with shop(tmp_path, used) as (place, server):
            place.receiver.answer = results
            place.openai.script = in_turn(using("stock", '{"item": 5}'), using("stock", BREAD), "Seven.")
            await answered(place, requests=3)
            wrong, right = told(place, 2)
            assert wrong.startswith('Not used: "item" must be of type string. Call the tool again')
            assert right == ("stock done" if kind == "webhook" else "bread: seven loaves")
            assert len(place.webhooks("tool-calls")) + len(server.calls) == 1

    play(scene())


@pytest.mark.parametrize("kind", ["webhook", "mcp"])
def test_rubbish_twice_is_told_to_go_on_without_the_tool(tmp_path: Path, kind: str) -> None:
    async def scene() -> None:
        used = tool("stock", parameters=SCHEMA) if kind == "webhook" else borrowing()
        async with shop(tmp_path, used) as (place, server):
            place.openai.script = in_turn(using("stock", "{}"), using("stock", "[]"), "I can't look it up.")
            await answered(place, requests=3)
            first, second = told(place, 2)
            assert "Call the tool again" in first and "go on without it" in second
            assert not place.webhooks("tool-calls") and not server.calls
            (report,) = await place.reported()
            assert said(report)[-1] == "I can't look it up."

    play(scene())
