"""Workflows against the rest of the configuration: who uses them, whom they may dial, where their tools are asked."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Report, nearest

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_workflows(config: "Config", report: Report) -> None:
    """Report workflows that numbers name in vain, and nodes that can't do what they are for."""
    directory = config.directory
    written = _written(config)
    for index, entry in enumerate(config.numbers[: len(config.own.get("number", ()))]):
        if entry.workflow and entry.workflow not in written and directory.workflow(entry.workflow) is None:
            guess = nearest(entry.workflow, written)
            known = f"known: {', '.join(sorted(written))}" if written else "there are no [workflows.NAME] tables"
            remedy = f'did you mean "{guess}"?' if guess else known
            report.error(("numbers", index, "workflow"), f'there is no workflow "{entry.workflow}"', remedy)
    for name, workflow in config.workflows.items():
        for at, node in enumerate(workflow.definition["nodes"]):
            path = ("workflows", name, "definition", "nodes", at)
            for number in _destinations(node):
                if refusal := config.dialling.rules.refusal(number):
                    remedy = "see [dialling] allow: such a transfer ends at the dialplan's fallback"
                    report.warn(path, refusal, remedy)
            if node["type"] == "tool" and not node.get("url") and not _webhooks(config, name):
                report.warn(path, f'tool "{node["tool_name"]}" has nowhere to be asked', "give the node a url")


def _written(config: "Config") -> set[str]:
    """Names of all workflows, also of those that have errors of their own: one error for them is enough."""
    tables = config.resolved.get("workflows")
    return {*config.workflows, *(tables if isinstance(tables, dict) else ())}


def _destinations(node: dict[str, object]) -> Iterator[str]:
    if "destination" in node:
        yield str(node["destination"])
    tools = node.get("tools", ())
    for tool in tools if isinstance(tools, tuple) else ():
        for destination in tool.get("destinations", ()):
            yield destination["number"]


def _webhooks(config: "Config", name: str) -> bool:
    """Does anybody take the tool calls of this workflow: the account, or the assistant of a number that uses it?"""
    directory = config.directory
    users = (number for number in config.numbers if number.workflow and number.assistant)
    for number in users:
        workflow, assistant = directory.workflow(number.workflow), directory.assistant(number.assistant)
        if workflow is config.workflows[name] and assistant is not None and assistant.webhook_url:
            return True
    return bool(config.webhook.url)
