"""An MCP server whose tools assistants may use (contract §22)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sovereign_pbx.assistants.model import IDENTIFIER
from sovereign_pbx.assistants.shape import Choice, Real, Text, Url
from sovereign_pbx.assistants.table import MapOf, setting


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class McpServer:
    """Where it is and how it is spoken to. `headers` are secrets: they usually hold a token."""

    id: str = setting("", IDENTIFIER, "Identifier; without it one is derived from the name.", example="orders")
    name: str = setting("", Text(1, 200), "Name that people see; without it the name of the table.", example="Orders")
    url: str = setting("", Url(), "Its address.", required=True, example="https://example.com/mcp")
    transport: Literal["streamable_http", "sse"] = setting(
        "streamable_http", Choice(("streamable_http", "sse")), "How it is spoken to."
    )
    headers: Mapping[str, str] = setting(
        {},
        MapOf(Text(0, 4096, secret=True)),
        "Headers of every request, 10 at most; never shown again.",
        example={"Authorization": "${env:MCP_TOKEN}"},
    )
    timeout_seconds: float = setting(20.0, Real(5, 60), "How long it may take to answer.")

    def __repr__(self) -> str:
        return f"<McpServer {self.name!r} {self.id}>"
