"""Tools of MCP servers on the real Asterisk: their results are heard, and what goes wrong with them harms nobody."""

from typing import Any

import pytest
from aiohttp.test_utils import unused_port

from sovereign_pbx.testing.mcp_server import ScriptedMcp, ScriptedTool
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, assistant
from tests.calls.scene_hearing import FALLBACK
from tests.calls.scene_stage import ANSWER, Stage
from tests.calls.scene_troupe import scene
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

PORT = unused_port()
SHOP = {"shop": {"url": f"http://127.0.0.1:{PORT}/mcp", "timeout_seconds": 5}}
IN_STOCK = "There are seven loaves of rye bread on the shelf."
SORRY = "I could not find out."
STOCK = ScriptedTool(
    "stock",
    "Looks into the stock.",
    {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
    lambda given: IN_STOCK if given == {"item": "rye bread"} else "That is not what was asked.",
)


def borrowing(**more: Any) -> dict[str, Any]:
    mcp = {"type": "mcp", "mcp_server_id": "shop", "allowed_tools": ["stock"], **more}
    return {"reception": assistant(llm_config={**assistant()["llm_config"], "tools": [mcp]})}


def passing_on(request: dict[str, Any]) -> Answer:
    """A model that looks, and says what it was told."""
    last = request["messages"][-1]
    if last["role"] != "tool":
        return Answer(tools=(("stock", '{"item": "rye bread"}'),))
    return Answer(SORRY if last["content"].startswith("The tool failed") else last["content"])


@scene(
    "8",
    "A tool of an MCP server, for comparison",
    bounded="listed while it rings, 2 s at most",
    assistants=borrowing(),
    mcp_servers=SHOP,
    phrases=[IN_STOCK],
)
async def test_the_caller_hears_what_an_mcp_tool_found(stage: Stage) -> None:
    async with ScriptedMcp(STOCK, port=PORT) as server:
        stage.openai.script = passing_on
        person = await stage.greeted()
        asked = await person.ask()
        await person.hears(IN_STOCK, after=asked)
        await person.hang_up()
        assert server.calls == [("stock", {"item": "rye bread"})] and not server.refused


@scene(
    "8",
    "A `required` MCP server is not there",
    bounded="at once; a server that hangs 2 s",
    assistants=borrowing(),
    mcp_servers=SHOP,
)
async def test_a_required_mcp_server_that_is_away(stage: Stage) -> None:
    person = await stage.dial()
    await person.call.answered(15.0)
    await person.hears(FALLBACK)
    await person.hang_up()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason, row.started_at) == ("failed", "error", None)
    assert GREETING not in person.story()


@scene(
    "8",
    "An MCP server that is not `required` is not there",
    bounded="at once; a server that hangs 2 s",
    assistants=borrowing(required=False),
    mcp_servers=SHOP,
)
async def test_an_mcp_server_that_may_be_away(stage: Stage) -> None:
    stage.openai.script = (ANSWER,)
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()


@scene(
    "8",
    "An MCP server dies while its tool works",
    bounded="at once; told to the model",
    assistants=borrowing(),
    mcp_servers=SHOP,
    phrases=[SORRY],
)
async def test_an_mcp_server_that_dies_in_the_middle(stage: Stage) -> None:
    async with ScriptedMcp(STOCK, port=PORT) as server:
        stage.openai.script = passing_on
        person = await stage.greeted()
        server.fail("slow")
        asked = await person.ask()
        await until(lambda: server.calls, 10.0)
        await server.stop()
        await person.hears(SORRY, after=asked)
        await person.hang_up()
