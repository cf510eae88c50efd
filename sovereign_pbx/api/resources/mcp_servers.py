"""`/mcp-servers` (contract §22): servers whose tools assistants may use, and a test of one."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from sovereign_pbx.api.errors import conflict, invalid
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.crud import SERVER_OWNED, OrgId, Resource, in_use
from sovereign_pbx.api.resources.references import users_of_mcp_server
from sovereign_pbx.api.schema import COUNT, FLAG, LIST, MAYBE_TIME, STRING, object_schema
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.kinds import MCP_SERVERS
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Table, keys_of

Probe = Callable[[McpServer], Awaitable[Mapping[str, Any]]]
"""Connects anew and lists: `{ok: true, duration_ms, tools}` or `{ok: false, duration_ms, error}`."""

BODY = Table(
    *(
        dataclasses.replace(key, required=key.name in ("name", "url"))
        for key in keys_of(McpServer)
        if key.name not in SERVER_OWNED
    )
)
"""What a client may send."""

SCHEMA = object_schema(
    {
        "id": STRING,
        "org_id": STRING,
        "name": STRING,
        "url": STRING,
        "transport": {"enum": ["streamable_http", "sse"]},
        "header_names": {"type": "array", "items": STRING},
        "timeout_seconds": {"type": "number"},
        "created_at": MAYBE_TIME,
        "updated_at": MAYBE_TIME,
    }
)
"""A server, as it is answered: the names of its headers, never their values."""

TESTED = object_schema(
    {"ok": FLAG, "duration_ms": COUNT, "tools": LIST, "error": STRING},
    optional=("tools", "error"),
)
"""What a test gives."""


def operations(estate: Estate, org_id: OrgId, probe: Probe) -> list[Operation]:
    """List, make, get, change, delete and test servers."""

    async def check(entry: Entry[McpServer], before: Entry[McpServer] | None, asked: Asked) -> None:
        _check_headers(entry, before, asked)
        twin = next((one for one in estate.mcp_servers if one.thing.name == entry.thing.name), None)
        if twin is not None and twin.id != entry.id:
            raise conflict(
                "already_exists", f"There is an MCP server {twin.thing.name!r} already ({twin.place or twin.id})."
            )

    async def unused(entry: Entry[McpServer]) -> None:
        in_use("MCP server", users_of_mcp_server(estate, entry))

    resource = Resource(
        path="/mcp-servers",
        one="mcp_server",
        many="mcp_servers",
        title="MCP server",
        operation="McpServer",
        shelf=estate.mcp_servers,
        body=BODY,
        read=MCP_SERVERS.read,
        show=lambda entry, asked: show(entry, org_id()),
        schema=SCHEMA,
        check=check,
        removing=unused,
    )

    async def test(asked: Asked) -> Mapping[str, Any]:
        return await probe(resource.entry(asked).thing)

    return [*resource.operations(), _test(test)]


def show(entry: Entry[McpServer], org_id: str) -> dict[str, Any]:
    """The REST object."""
    server = entry.thing
    return {
        "id": entry.id,
        "org_id": org_id,
        "name": server.name,
        "url": server.url,
        "transport": server.transport,
        "header_names": list(server.headers),
        "timeout_seconds": _written(server.timeout_seconds),
        "created_at": entry.created_at or None,
        "updated_at": entry.updated_at or None,
    }


def _written(seconds: float) -> float:
    """20 rather than 20.0: typed clients read whole seconds (contract §22)."""
    return int(seconds) if seconds == int(seconds) else seconds


def _test(handler: Callable[[Asked], Awaitable[Any]]) -> Operation:
    return Operation(
        method="POST",
        path="/mcp-servers/{id}/test",
        name="testMcpServer",
        summary="Connect to one MCP server and list its tools.",
        description="Answers 200 either way: `ok` says whether it could be reached, `error` why not.",
        tag="mcp servers",
        scope="admin",
        handler=handler,
        answer=TESTED,
        errors=(503,),
    )


def _check_headers(entry: Entry[McpServer], before: Entry[McpServer] | None, asked: Asked) -> None:
    moved = before is not None and _host(before.thing.url) != _host(entry.thing.url)
    if moved and entry.thing.headers and "headers" not in asked.given:
        # or whoever may change the address would have the secrets sent to a host of his own
        raise invalid([Problem(("headers",), "must be sent again, because the server's host changes")])


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
