"""Borrowing tools of MCP servers while a call rings."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.tools import Tool, parse_tools
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.mcp_result import McpFailed
from sovereign_pbx.calls.remote_tool import RemoteTool, listed
from sovereign_pbx.calls.toolbox import Borrowed, borrow, specs
from sovereign_pbx.core.errors import Refused

OBJECT = {"type": "object", "properties": {}}
SHOP = McpServer(id="shop", name="Shop", url="http://127.0.0.1:1/")


class Listing(McpServers):
    """Servers whose lists are known, and one that hangs."""

    def __init__(self, **lists: list[RemoteTool] | McpFailed) -> None:
        self.lists = lists

    async def tools(self, server: McpServer) -> tuple[RemoteTool, ...]:
        found = self.lists[server.id]
        if isinstance(found, McpFailed):
            raise found
        if not found:
            await asyncio.sleep(3600)
        return tuple(found)


def remote(name: str, schema: dict[str, Any] | None = None, description: str = "It does.") -> RemoteTool:
    return listed(name, description, OBJECT if schema is None else schema)


def mcp(*allowed: str, server: str = "shop", **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "mcp_server_id": server, "allowed_tools": list(allowed), **more}


def borrowed(tools: tuple[Tool, ...], servers: Listing, **more: McpServer) -> tuple[Borrowed, ...]:
    directory = Directory({}, mcp_servers={"shop": SHOP, **more})
    return asyncio.run(borrow(tools, directory, servers, within_s=0.2))


def names(tools: list[dict[str, Any]], servers: Listing, **more: McpServer) -> list[str]:
    return [each.spec.name for each in borrowed(parse_tools(tools), servers, **more)]


def test_only_allowed_tools_are_borrowed_in_the_order_in_which_they_are_allowed() -> None:
    servers = Listing(shop=[remote("buy"), remote("sell"), remote("steal")])
    assert names([mcp("sell", "buy", "sell")], servers) == ["sell", "buy"]


def test_the_model_sees_own_and_borrowed_tools_together() -> None:
    tools = parse_tools([{"name": "own", "description": "Own."}, mcp("buy"), {"type": "end_call"}])
    schema = {"type": "object", "properties": {"what": {"type": "string"}}}
    seen = specs(tools, borrowed(tools, Listing(shop=[remote("buy", schema, "Buys.")])))
    assert [spec.name for spec in seen] == ["own", "end_call", "buy"]
    assert seen[-1].description == "Buys." and seen[-1].parameters == schema


def test_a_borrowed_tool_gives_way_to_the_assistants_own_names() -> None:
    own = {"name": "buy", "description": "Own."}
    other = McpServer(id="other", name="The other", url="http://127.0.0.1:1/")
    servers = Listing(shop=[remote("buy")], other=[remote("buy")])
    found = names([own, mcp("buy"), mcp("buy", server="other")], servers, other=other)
    assert found == ["Shop_buy", "The_other_buy"]
    assert names([mcp("end_call"), {"type": "end_call"}], Listing(shop=[remote("end_call")])) == ["Shop_end_call"]


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("orders.search", "orders_search"),
        ("2fa", "_2fa"),
        ("zoek één", "zoek___n"),
        ("x" * 100, "x" * 64),
        ("a/b", "a_b"),
    ],
)
def test_names_become_such_as_models_accept(name: str, called: str) -> None:
    (found,) = borrowed(parse_tools([mcp(name)]), Listing(shop=[remote(name)]))
    assert (found.spec.name, found.tool) == (called, name)


def test_names_that_become_the_same_are_told_apart() -> None:
    found = names([mcp("a.b", "a/b", "a b")], Listing(shop=[remote("a.b"), remote("a/b"), remote("a b")]))
    assert len(set(found)) == 3


def deep() -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"properties": []},
        {"properties": {"a": {"type": "date"}}},
        {"properties": {"a": {"$ref": "https://example.com/x.json"}}},
        {"properties": {f"a{number}": {} for number in range(11_000)}},
        deep(),
    ],
)
def test_a_tool_that_no_model_would_take_is_left_out_alone(schema: dict[str, Any]) -> None:
    servers = Listing(shop=[remote("bad", schema), remote("good")])
    assert names([mcp("bad", "good", "not-there")], servers) == ["good"]


def test_a_long_description_is_cut_and_a_missing_one_made() -> None:
    found = borrowed(
        parse_tools([mcp("long", "none")]),
        Listing(shop=[remote("long", description="x" * 5000), remote("none", description="")]),
    )
    assert [len(each.spec.description) for each in found] == [1024, len("The tool none.")]


@pytest.mark.parametrize("lists", [{"shop": McpFailed("no connection")}, {"shop": []}])
def test_a_required_server_that_can_not_be_reached_refuses_the_call(lists: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="MCP server shop") as caught:
        names([mcp("buy")], Listing(**lists))
    assert caught.value.code == "mcp_server_unreachable"


@pytest.mark.parametrize("lists", [{"shop": McpFailed("no connection")}, {"shop": []}])
def test_the_call_goes_on_without_a_server_that_is_not_required(lists: dict[str, Any]) -> None:
    assert names([mcp("buy", required=False)], Listing(**lists)) == []


def test_a_server_that_nobody_knows_counts_as_one_that_can_not_be_reached() -> None:
    with pytest.raises(Refused, match="there is none of that name"):
        names([mcp("buy", server="gone")], Listing())
    assert names([mcp("buy", server="gone", required=False)], Listing()) == []


def test_an_assistant_without_mcp_tools_asks_nobody() -> None:
    assert borrowed(parse_tools([{"name": "own", "description": "Own."}]), Listing()) == ()
