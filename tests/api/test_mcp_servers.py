"""`/mcp-servers` (contract §22)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.rest import serving_rest

BODY = {"name": "Orders", "url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer hush-hush"}}


def test_headers_are_write_only_and_their_names_shown(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/mcp-servers", BODY)
            assert made.status == 201
            server = made.body["mcp_server"]
            assert (server["header_names"], server["transport"], server["timeout_seconds"]) == (
                ["Authorization"],
                "streamable_http",
                20,
            )
            path = f"/mcp-servers/{server['id']}"
            shown = [made.body, (await api.get(path)).body, (await api.get("/mcp-servers")).body]
            assert shown[1:] == [{"mcp_server": server}, {"mcp_servers": [server]}]
            shown.append((await api.patch(path, {"transport": "sse", "timeout_seconds": 5})).body)
            assert shown[-1]["mcp_server"]["header_names"] == ["Authorization"]
            assert "hush" not in str(shown)
            (entry,) = api.backend.estate.mcp_servers
            assert entry.thing.headers == {"Authorization": "Bearer hush-hush"}
            assert "hush" not in repr(entry)
            assert (await api.patch(path, {"headers": None})).body["mcp_server"]["header_names"] == []
            assert (await api.delete(path)).body == {"success": True}

    asyncio.run(run())


@pytest.mark.parametrize(
    "url", ["https://evil.example.com/mcp", "http://mcp.example.com/mcp", "https://mcp.example.com:8443/"]
)
def test_another_host_needs_its_headers_again(tmp_path: Path, url: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            path = f"/mcp-servers/{(await api.post('/mcp-servers', BODY)).body['mcp_server']['id']}"
            refused = await api.patch(path, {"url": url})
            assert (refused.status, refused.body["details"]) == (
                400,
                ["headers: must be sent again, because the server's host changes"],
            )
            same_host = await api.patch(path, {"url": "https://mcp.example.com/other"})
            assert same_host.body["mcp_server"]["header_names"] == ["Authorization"]
            assert (await api.patch(path, {"url": url, "headers": {"X-Key": "new"}})).status == 200
            assert (await api.patch(path, {"url": BODY["url"], "headers": None})).status == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({f"X-{n}": "v" for n in range(11)}, "headers"),
        ({"X Y": "v"}, "headers"),
        ({"": "v"}, "headers"),
        ({"X": "a\r\nHost: b"}, "headers.X"),
        ({"X": 1}, "headers.X"),
        (["X"], "headers"),
    ],
)
def test_headers_that_can_not_be_sent_are_refused(tmp_path: Path, headers: Any, key: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            refused = await api.post("/mcp-servers", {**BODY, "headers": headers})
            assert refused.status == 400 and refused.body["details"][0].startswith(key)

    asyncio.run(run())


def test_names_are_unique_also_among_those_of_the_file(tmp_path: Path) -> None:
    async def run() -> None:
        file = {"mcp_servers": {"Stock": {"url": "https://example.com/"}}}
        async with serving_rest(tmp_path, **file) as api:
            first = (await api.post("/mcp-servers", BODY)).body["mcp_server"]["id"]
            for name in ("Orders", "Stock"):
                refused = await api.post("/mcp-servers", {**BODY, "name": name})
                assert (refused.status, refused.body["code"]) == (409, "already_exists")
            assert (await api.patch(f"/mcp-servers/{first}", {"name": "Stock"})).status == 409
            assert (await api.patch(f"/mcp-servers/{first}", {"name": "Orders"})).status == 200

    asyncio.run(run())


def test_a_test_answers_200_either_way(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            for name, ok in (("Orders", True), ("away", False)):
                made = (await api.post("/mcp-servers", {**BODY, "name": name})).body["mcp_server"]
                got = await api.post(f"/mcp-servers/{made['id']}/test")
                assert (got.status, got.body["ok"]) == (200, ok)
                assert ("tools" in got.body, "error" in got.body) == (ok, not ok)
            assert (await api.post("/mcp-servers/nothing/test")).status == 404

    asyncio.run(run())


def test_a_server_that_assistants_or_workflows_use_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            server = (await api.post("/mcp-servers", BODY)).body["mcp_server"]["id"]
            tool = {"type": "mcp", "mcp_server_id": server, "allowed_tools": ["search"]}
            assistant = await api.post("/assistants", {"name": "Desk", "llm_config": {"tools": [tool]}})
            assert assistant.status == 201, assistant.body
            refused = await api.delete(f"/mcp-servers/{server}")
            assert (refused.status, refused.body["code"]) == (409, "in_use")
            assert "assistant 'Desk'" in refused.body["message"]
            await api.delete(f"/assistants/{assistant.body['assistant']['id']}")
            node = {"id": "intake", "type": "conversation", "instructions": "Ask.", "tools": [tool]}
            definition = {"version": 1, "entry_node": "intake", "nodes": [node]}
            workflow = await api.post("/workflows", {"name": "Intake", "definition": definition})
            assert workflow.status == 201, workflow.body
            assert "workflow 'Intake'" in (await api.delete(f"/mcp-servers/{server}")).body["message"]
            await api.delete(f"/workflows/{workflow.body['workflow']['id']}")
            assert (await api.delete(f"/mcp-servers/{server}")).status == 200
            gone = await api.post("/assistants", {"name": "Desk", "llm_config": {"tools": [tool]}})
            assert gone.body["details"] == [f'llm_config.tools[0].mcp_server_id: there is no MCP server "{server}"']

    asyncio.run(run())
