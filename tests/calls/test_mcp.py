"""MCP servers through the official library: both transports, and everything a server may do wrong."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
import uvloop

from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.mcp_result import LONGEST, McpFailed
from sovereign_pbx.testing.mcp_server import McpFault, ScriptedMcp, ScriptedTool
from sovereign_pbx.webhooks.post import open_session
from tests.waiting import until

TOKEN = {"Authorization": "Bearer hunter2"}
SCHEMA = {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}
STOCK = ScriptedTool("stock", "Looks into the stock.", SCHEMA, lambda given: f"There is {given['item']}.")
BREAD = {"item": "bread"}

Transport = Literal["streamable_http", "sse"]
BOTH: tuple[Transport, ...] = ("streamable_http", "sse")


def play(scene: Coroutine[Any, Any, None]) -> None:
    """On the loop that the daemon runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


@asynccontextmanager
async def stage(
    transport: Transport = "streamable_http", *tools: ScriptedTool, **more: Any
) -> AsyncIterator[tuple[ScriptedMcp, McpServers, McpServer]]:
    servers = McpServers(open_session, max_bytes=200_000)
    async with ScriptedMcp(*(tools or (STOCK,)), transport=transport, headers=TOKEN, **more) as script:
        try:
            yield script, servers, described(script)
        finally:
            await servers.close()


def described(script: ScriptedMcp, **changes: Any) -> McpServer:
    fields = {"url": script.url, "transport": script.transport, "headers": TOKEN, "timeout_seconds": 5.0}
    return McpServer(**{"id": "shop", "name": "Shop", **fields, **changes})


@pytest.mark.parametrize("transport", BOTH)
def test_a_servers_tools_are_listed_and_used(transport: Transport) -> None:
    async def scene() -> None:
        async with stage(transport) as (script, servers, server):
            (tool,) = await servers.tools(server)
            assert (tool.name, tool.description, tool.input_schema) == ("stock", "Looks into the stock.", SCHEMA)
            told = await servers.call(server, "stock", BREAD)
            assert (told.text, told.failed) == ("There is bread.", False)
            assert script.calls == [("stock", BREAD)] and not script.refused

    play(scene())


@pytest.mark.parametrize("transport", BOTH)
def test_calls_share_a_connection_and_a_list_of_tools(transport: Transport) -> None:
    async def scene() -> None:
        async with stage(transport) as (script, servers, server):
            await asyncio.gather(*(servers.tools(server) for _ in range(20)))
            told = await asyncio.gather(*(servers.call(server, "stock", {"item": str(n)}) for n in range(20)))
            assert [each.text for each in told] == [f"There is {number}." for number in range(20)]
            assert script.listings == 1

    play(scene())


def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    async def scene() -> None:
        tools = [ScriptedTool(f"t{number}") for number in range(7)]
        async with stage("streamable_http", *tools, page=3) as (_, servers, server):
            assert [tool.name for tool in await servers.tools(server)] == [tool.name for tool in tools]

    play(scene())


def test_a_probe_says_what_the_contract_says() -> None:
    async def scene() -> None:
        async with stage() as (script, servers, server):
            found = await servers.probe(server)
            assert found.pop("duration_ms") >= 0
            tool = {"name": "stock", "description": "Looks into the stock.", "input_schema": SCHEMA}
            assert found == {"ok": True, "tools": [tool]}
            wrong = await servers.probe(described(script, headers={"Authorization": "Bearer wrong"}))
            assert wrong.pop("duration_ms") >= 0
            assert wrong == {"ok": False, "error": "the server answered 401"}

    play(scene())


@pytest.mark.parametrize(
    ("fault", "text", "failed"),
    [
        ("error", "Error: There is bread.", True),
        ("picture", "(an answer of type image, which can't be used on the telephone)", False),
        ("structured", '{"arguments": {"item": "bread"}}', False),
    ],
)
def test_results_become_text(fault: McpFault, text: str, failed: bool) -> None:
    async def scene() -> None:
        async with stage() as (script, servers, server):
            script.fail(fault)
            told = await servers.call(server, "stock", BREAD)
            assert (told.text, told.failed) == (text, failed)

    play(scene())


def test_a_long_result_is_cut() -> None:
    async def scene() -> None:
        async with stage("streamable_http", ScriptedTool("long", answer=lambda _: "x" * 50_000)) as (
            _,
            servers,
            server,
        ):
            told = await servers.call(server, "long", {})
            assert told.text == "x" * LONGEST + " … (cut)"

    play(scene())


GARBAGE_UNSEEN: tuple[McpFault, Transport] = ("garbage", "sse")  # passed over: the answer is still awaited


def faults(*names: McpFault) -> list[tuple[McpFault, Transport]]:
    return [(name, transport) for name in names for transport in BOTH]


@pytest.mark.parametrize(
    ("fault", "transport"), [*faults("refuse", "redirect", "flood", "huge"), ("garbage", "streamable_http")]
)
def test_what_a_server_does_wrong_fails_its_own_call_soon_and_is_over_with_it(
    fault: McpFault, transport: Transport
) -> None:
    async def scene() -> None:
        async with stage(transport) as (script, servers, server):
            await servers.tools(server)
            script.fail(fault)
            began = time.monotonic()
            with pytest.raises(McpFailed) as caught:
                await servers.call(server, "stock", BREAD)
            assert time.monotonic() - began < server.timeout_seconds  # for what it answered, not for being late
            assert "hunter2" not in str(caught.value)
            script.fail(None)
            await works_again(servers, server)

    play(scene())


async def works_again(servers: McpServers, server: McpServer) -> None:
    """Within the back-off."""
    async with asyncio.timeout(8):
        while True:
            try:
                assert (await servers.call(server, "stock", BREAD)).text == "There is bread."
                return
            except McpFailed:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(("fault", "transport"), [*faults("hang", "slow"), GARBAGE_UNSEEN])
def test_a_server_that_does_not_answer_has_its_time_and_no_more(fault: McpFault, transport: Transport) -> None:
    async def scene() -> None:
        async with stage(transport) as (script, servers, _):
            server = described(script, timeout_seconds=0.5)
            await works_again(servers, server)
            script.fail(fault)
            with pytest.raises(McpFailed, match=r"no answer within 0\.5 s"):
                await servers.call(server, "stock", BREAD)
            script.fail(None)
            await works_again(servers, server)

    play(scene())


# mcp's server forgets streams of its SSE transport when it is cut off, and says so when they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("transport", BOTH)
def test_a_server_that_dies_in_the_middle_of_a_call_fails_it_at_once_and_is_found_again(transport: Transport) -> None:
    async def scene() -> None:
        async with stage(transport) as (script, servers, server):
            script.fail("slow")
            calling = asyncio.ensure_future(servers.call(server, "stock", BREAD))
            await until(lambda: script.calls)
            await script.stop()
            began = time.monotonic()
            with pytest.raises(McpFailed):
                await calling
            assert time.monotonic() - began < 2.0
            script.fail(None)
            await script.start()
            await works_again(servers, server)

    play(scene())
    gc.collect()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_server_that_was_started_anew_between_two_calls_is_asked_again_and_once(legacy: bool) -> None:
    async def scene() -> None:
        async with stage(legacy=legacy) as (script, servers, server):
            await servers.call(server, "stock", BREAD)
            await script.stop()
            await script.start()
            assert (await servers.call(server, "stock", BREAD)).text == "There is bread."
            assert len(script.calls) == 2

    play(scene())


@pytest.mark.parametrize("legacy", [False, True])
def test_a_list_that_has_grown_old_is_asked_for_anew_even_if_the_connection_is_gone(
    legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with stage(legacy=legacy) as (script, servers, server):
            await servers.tools(server)
            monkeypatch.setattr("sovereign_pbx.calls.mcp_session.LISTED_S", 0.0)
            await script.stop()
            script.tools = [ScriptedTool("other")]
            await script.start()
            assert [tool.name for tool in await servers.tools(server)] == ["other"]

    play(scene())


def test_a_server_that_is_away_is_not_tried_by_every_call() -> None:
    async def scene() -> None:
        async with stage() as (script, servers, server):
            script.fail("refuse")
            for _ in range(20):
                with pytest.raises(McpFailed, match="the server answered 503"):
                    await servers.tools(server)
            assert script.requests <= 4  # a probe and a handshake each time that it is tried
            script.fail(None)
            await works_again(servers, server)

    play(scene())


def test_one_server_that_hangs_holds_up_no_other() -> None:
    async def scene() -> None:
        async with stage() as (script, servers, server), ScriptedMcp(STOCK) as other:
            script.fail("hang")
            waiting = asyncio.ensure_future(servers.tools(server))
            told = await servers.call(described(other, id="other", headers={}), "stock", BREAD)
            assert told.text == "There is bread." and not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})

    play(scene())


def test_private_addresses_are_refused_where_the_configuration_says_so() -> None:
    async def scene() -> None:
        servers = McpServers(lambda: open_session(allow_private=False))
        async with ScriptedMcp(STOCK) as script:
            found = await servers.probe(described(script, headers={}))
            await servers.close()
            assert not found["ok"] and not script.requests

    play(scene())


def test_nobody_answers_once_it_is_closed() -> None:
    async def scene() -> None:
        async with stage() as (_, servers, server):
            await servers.tools(server)
            await servers.close()
            await servers.close()
            with pytest.raises(McpFailed, match="stopping"):
                await servers.tools(server)

    play(scene())


def test_the_scripted_server_refuses_what_a_real_one_refuses() -> None:
    async def scene() -> None:
        async with stage() as (script, servers, server):
            assert (await servers.call(server, "fly", {})).failed
            assert (await servers.call(server, "stock", {})).failed
            assert not script.calls and len(script.refused) == 2

    play(scene())
