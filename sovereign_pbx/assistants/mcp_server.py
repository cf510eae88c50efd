"""An MCP server whose tools assistants may use (contract §22)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sovereign_pbx.assistants.model import IDENTIFIER
from sovereign_pbx.assistants.problem import Path, Report, shown
from sovereign_pbx.assistants.shape import NOTHING, Choice, Real, Text, Url
from sovereign_pbx.assistants.table import MapOf, setting

MOST_HEADERS = 10

_VALUE = Text(0, 4096, pattern=r"[\t\x20-\x7e]*", what="text of printable ASCII, at most 4096 characters", secret=True)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OURS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "last-event-id"}
    | {"mcp-protocol-version", "mcp-session-id", "transfer-encoding"}
)


@dataclass(frozen=True, slots=True)
class _Headers(MapOf):
    """Headers that go with every request: what no other header could be smuggled in by (RFC 9110 §5)."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, Mapping):
            if len(value) > MOST_HEADERS:
                report.error(path, f"must be at most {MOST_HEADERS} headers, not {len(value)}")
                return NOTHING
            for name in value:
                if not isinstance(name, str) or not _NAME.fullmatch(name):
                    report.error(path, f'"{shown(str(name))}" is not the name of a header')
                elif name.lower() in _OURS:
                    report.error((*path, name), "is set by the daemon itself", "leave it out")
        return MapOf.check(self, value, path, report)


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
        _Headers(_VALUE),
        "Headers of every request, 10 at most; never shown again.",
        example={"Authorization": "${env:MCP_TOKEN}"},
    )
    timeout_seconds: float = setting(20.0, Real(5, 60), "How long it may take to answer.")

    def __repr__(self) -> str:
        return f"<McpServer {self.name!r} {self.id}>"
