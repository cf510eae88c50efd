"""What only shows when tools are seen together with the rest: MCP servers that are not there, schemas that are none."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign_pbx.assistants.problem import Path as KeyPath
from sovereign_pbx.assistants.problem import Problem, Report, nearest
from sovereign_pbx.assistants.tools import NO_ARGUMENTS, Tool
from sovereign_pbx.calls.arguments import schema_fault
from sovereign_pbx.config_findings import Finding, located
from sovereign_pbx.config_source import read_source

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_tools(config: "Config", report: Report) -> None:
    """Report tools of assistants that can't work, whatever machine they run on."""
    own = config.resolved.get("assistants")
    for name, assistant in config.assistants.items():
        path = ("assistants", name, "llm_config", "tools")
        complain = report.error if isinstance(own, dict) and name in own else report.warn
        for tool in assistant.tools:
            if tool.kind == "mcp" and config.directory.mcp_server(tool.mcp_server_id) is None:
                complain(path, *_unknown_server(tool.mcp_server_id, config))
            elif tool.kind == "webhook" and (fault := _schema_fault(tool)):
                complain(path, f'the parameters of tool "{tool.name}" are no JSON Schema: {fault}')


def mcp_findings(config: "Config", file: Path) -> list[Finding]:
    """Assistants whose MCP tools can't work on this machine."""
    if find_spec("mcp") is not None:
        return []
    remedy = "install sovereign-pbx with the extra mcp"
    problems = [
        Problem(path, f'the tools of MCP server "{tool.mcp_server_id}" need the package mcp', remedy)
        for path, tool in _mcp_tools(config)
    ]
    return located(problems, str(file), read_source(file).positions) if problems else []


def _schema_fault(tool: Tool) -> str:
    return schema_fault(tool.parameters) if tool.parameters != NO_ARGUMENTS else ""  # the library takes 60 ms to load


def _mcp_tools(config: "Config") -> Iterator[tuple[KeyPath, Tool]]:
    for name, assistant in config.assistants.items():
        path = ("assistants", name, "llm_config", "tools")
        yield from ((path, tool) for tool in assistant.tools if tool.kind == "mcp")


def _unknown_server(name: str, config: "Config") -> tuple[str, str]:
    known: list[Any] = sorted(config.mcp_servers)
    guess = nearest(name, known)
    words = f"known: {', '.join(known)}" if known else "add an [mcp_servers.NAME] table"
    return f'there is no MCP server "{name}"', f'did you mean "{guess}"?' if guess else words
