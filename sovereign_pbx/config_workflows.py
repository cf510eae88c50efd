"""Workflows against the rest of the configuration: who uses them, whom they may dial, where their tools are asked."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sovereign_pbx.assistants.problem import Report, nearest
from sovereign_pbx.assistants.tools import Tool
from sovereign_pbx.calls.arguments import schema_fault

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_workflows(config: "Config", report: Report) -> None:
    """Report workflows that numbers name in vain, and nodes that can't do what they are for."""
    _check_numbers(config, report)
    own = _written(config)
    for name, workflow in config.workflows.items():
        asked = _webhooks(config, name)
        complain = report.error if name in own else report.warn  # what the API made keeps no daemon down
        for at, node in enumerate(workflow.definition["nodes"]):
            path = ("workflows", name, "definition", "nodes", at)
            tools = workflow.tools.get(node["id"], ())
            for destination in _destinations(node, tools):
                if refusal := config.dialling.rules.refusal(destination):
                    remedy = "see [dialling] allow: the caller is told that nobody can be reached there"
                    report.warn(path, refusal, remedy)
            for tool in _asked(node, tools):
                if not tool.url and not asked:
                    report.warn(path, f'tool "{tool.name}" has nowhere to be asked', "give it a url")
                if fault := schema_fault(tool.parameters):
                    complain(path, f'the parameters of tool "{tool.name}" are no JSON Schema: {fault}')
            for tool in tools:
                if tool.kind == "mcp" and config.directory.mcp_server(tool.mcp_server_id) is None:
                    complain(
                        path,
                        f'there is no MCP server "{tool.mcp_server_id}"',
                        _known("mcp_servers", config.mcp_servers),
                    )


def _check_numbers(config: "Config", report: Report) -> None:
    written, directory = _written(config), config.directory
    for index, entry in enumerate(config.numbers[: len(config.own.get("number", ()))]):
        if entry.workflow and entry.workflow not in written and directory.workflow(entry.workflow) is None:
            guess = nearest(entry.workflow, config.workflows)
            remedy = f'did you mean "{guess}"?' if guess else _known("workflows", config.workflows)
            report.error(("numbers", index, "workflow"), f'there is no workflow "{entry.workflow}"', remedy)


def _written(config: "Config") -> set[str]:
    """Names of the file's own workflows, also of those that have errors of their own: one error for them is enough."""
    tables = config.resolved.get("workflows")
    return set(tables) if isinstance(tables, dict) else set()


def _known(table: str, names: Mapping[str, object]) -> str:
    return f"known: {', '.join(sorted(names))}" if names else f"there are no [{table}.NAME] tables"


def _destinations(node: Mapping[str, Any], tools: tuple[Tool, ...]) -> Iterator[str]:
    if "destination" in node:
        yield node["destination"]
    yield from (destination.number for tool in tools for destination in tool.destinations)


def _asked(node: Mapping[str, Any], tools: tuple[Tool, ...]) -> Iterator[Tool]:
    """What is asked by webhook at this node."""
    if node["type"] == "tool":
        yield Tool(name=node["tool_name"], kind="webhook", url=node.get("url", ""))
    yield from (tool for tool in tools if tool.kind == "webhook")


def _webhooks(config: "Config", name: str) -> bool:
    """Does anybody take the tool calls of this workflow: the account, or the assistant of a number that uses it?"""
    directory = config.directory
    for number in config.numbers:
        if number.workflow and directory.workflow(number.workflow) is config.workflows[name]:
            assistant = directory.assistant(number.assistant)
            if assistant is not None and assistant.webhook_url:
                return True
    return bool(config.webhook.url)
