"""Workflows and MCP servers of the customer, in calls (contract §21, §11.1)."""

from pathlib import Path
from typing import Any

from sovereign_pbx.testing.mcp_server import ScriptedMcp, ScriptedTool
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import play
from tests.moving.customer import CALLER, LINE, asked, moved, quiet, using, with_tools

DEFINITION: dict[str, Any] = {
    "version": 1,
    "entry_node": "intake",
    "nodes": [
        {"id": "intake", "type": "conversation", "instructions": "Ask.", "first_line": "What is it about?"},
        {"id": "look_up", "type": "tool", "tool_name": "find_order", "arguments": {"by": "caller"}},
        {"id": "orders", "type": "conversation", "instructions": "Tell him how it stands."},
    ],
    "edges": [{"from": "intake", "to": "look_up", "description": "An order."}, {"from": "look_up", "to": "orders"}],
}


def takes_the_way(request: dict[str, Any]) -> Answer:
    """Into the tool node at the caller's first words, and talks after that."""
    offered = [tool["function"]["name"] for tool in request.get("tools", ())]
    way = "go_to_look_up" in offered and request["messages"][-1]["role"] == "user"
    return Answer(tools=(("go_to_look_up", "{}"),)) if way else Answer("It is on its way.")


def test_a_workflow_conducts_the_call_and_asks_the_tool_server_itself(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.server.answers["tool-calls"] = lambda message: {"result": "shipped"}
            at.house.openai.script = takes_the_way
            workflow = await at.client.workflows.create(name="Orders", definition=DEFINITION)
            await at.number(await at.assistant(), workflow_id=workflow["id"])
            async with at.house.caller(LINE, CALLER) as caller:
                await caller.place()
                await quiet(caller)
                changed = {**DEFINITION, "nodes": [DEFINITION["nodes"][0]], "edges": []}
                await at.client.workflows.update(workflow["id"], definition=changed)
                await asked(caller)  # a call that runs keeps the old one
                await caller.hang_up()
            (report,) = await at.reports()
            assert report["messages"][0]["content"] == "What is it about?"
            (message,) = at.server.messages("tool-calls")
            (call,) = message["tool_call_list"]
            assert call["function"] == {"name": "find_order", "arguments": {"by": "caller"}}
            assert report["messages"][-1]["content"] == "It is on its way."

    play(scene())


def test_a_tool_of_an_mcp_server_is_used_in_a_call(tmp_path: Path) -> None:
    async def scene() -> None:
        stock = ScriptedTool("stock", answer=lambda arguments: "seven")
        async with moved(tmp_path) as at, ScriptedMcp(stock, ScriptedTool("other")) as server:
            shop = await at.client.mcp_servers.create(name="Shop", url=server.url)
            borrowed = {"type": "mcp", "mcp_server_id": shop["id"], "allowed_tools": ["stock"], "required": True}
            at.house.openai.script = using(("stock", "{}"))
            await at.number(await at.assistant(**with_tools(borrowed)))
            await at.call_in()
            await at.reports()
            assert at.told_model() == ["seven"] and server.calls == [("stock", {})]
            offered = [tool["function"]["name"] for tool in at.house.openai.requests[0]["tools"]]
            assert offered == ["stock"] and not at.server.messages("tool-calls")

    play(scene())
