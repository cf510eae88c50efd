"""The tools of one call: the assistant's own, and those it borrows from MCP servers while the call rings."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.tools import NO_ARGUMENTS, Tool
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.mcp_result import McpFailed
from sovereign_pbx.calls.remote_tool import RemoteTool
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.speech.llm import ToolSpec

log = structlog.get_logger(__name__)

LISTING_S: Final = 2.0
"""What MCP servers may take to name their tools while a caller hears ringing."""

_LONGEST_NAME: Final = 64
_LONGEST_DESCRIPTION: Final = 1024  # OpenAI refuses the whole request for a longer one


@dataclass(frozen=True, slots=True)
class Borrowed:
    """An MCP server's tool under the name that the model calls it by."""

    spec: ToolSpec
    server: McpServer
    tool: str


def specs(tools: Sequence[Tool], borrowed: Sequence[Borrowed] = ()) -> list[ToolSpec]:
    """The tools as the model sees them."""
    own = [ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in tools if tool.kind != "mcp"]
    return [*own, *(each.spec for each in borrowed)]


async def borrow(
    tools: Sequence[Tool], directory: Directory, servers: McpServers, within_s: float = LISTING_S
) -> tuple[Borrowed, ...]:
    """The tools that the assistant's `mcp` entries allow, in that order.

    Raises Refused when a server cannot be reached that is `required` (contract §11.1.5); the tools of another one are
    left out, and so are single ones that the server does not have or that no model would take.
    """
    wanted = [tool for tool in tools if tool.kind == "mcp"]
    offers = await asyncio.gather(*(_offer(tool, directory, servers, within_s) for tool in wanted))
    taken = {tool.name for tool in tools}
    return tuple(
        Borrowed(_spec(found, _unique(found.name, server, taken)), server, found.name)
        for server, found in (each for offer in offers for each in offer)
    )


async def _offer(
    tool: Tool, directory: Directory, servers: McpServers, within_s: float
) -> list[tuple[McpServer, RemoteTool]]:
    server = directory.mcp_server(tool.mcp_server_id)
    try:
        if server is None:
            raise McpFailed("there is none of that name")
        async with asyncio.timeout(within_s):
            listed = await servers.tools(server)
    except (McpFailed, TimeoutError) as exc:
        why = str(exc) or f"no list of tools within {within_s:g} s"
        log.warning("mcp.unreachable", server=tool.mcp_server_id, required=tool.required, error=why)
        if tool.required:
            raise Refused("mcp_server_unreachable", f"MCP server {tool.mcp_server_id}: {why}") from exc
        return []
    known = {each.name: each for each in listed}
    return [(server, known[name]) for name in dict.fromkeys(tool.allowed_tools) if _usable(name, known, tool)]


def _usable(name: str, known: dict[str, RemoteTool], tool: Tool) -> bool:
    fault = known[name].fault if name in known else "the server has no such tool"
    if fault:
        log.warning("mcp.tool_left_out", server=tool.mcp_server_id, tool=name, why=fault)
    return not fault


def _spec(found: RemoteTool, name: str) -> ToolSpec:
    description = found.description[:_LONGEST_DESCRIPTION] or f"The tool {found.name}."
    return ToolSpec(name, description, {**NO_ARGUMENTS, **found.input_schema})


def _unique(name: str, server: McpServer, taken: set[str]) -> str:
    """A name that models accept and nobody else has: the assistant's own tools keep theirs, a borrowed one gets its
    server's name in front, and a number in the end if need be."""
    plain = _plain(name)
    candidates = [plain, _plain(f"{server.name}_{name}"), *(f"{plain[:60]}_{number}" for number in range(2, 200))]
    chosen = next(each for each in candidates if each not in taken)
    taken.add(chosen)
    return chosen


def _plain(name: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return (clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}")[:_LONGEST_NAME]
