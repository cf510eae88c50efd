"""What objects refer to, and who refers to an object: ids that are given must exist, and what is in use stays."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sovereign_pbx.api.errors import invalid
from sovereign_pbx.api.resources.crud import told
from sovereign_pbx.assistants.directory import Number
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.problem import Path, Report, shown
from sovereign_pbx.assistants.shelf import Entry, Shelf

PickName = Callable[[Number], str]


def kept_reference(shelf: Shelf[Any], reference: Any) -> Any:
    """How a reference is kept: by the name of the table, which stays when the administrator changes an id, else by id.

    As it was given where it leads nowhere; null for none.
    """
    found = shelf.find(reference) if isinstance(reference, str) else None
    return (found.table or found.id) if found is not None else reference or None


def must_exist(references: Mapping[str, tuple[str, Shelf[Any]]], sent: Mapping[str, Any]) -> None:
    """400, naming every reference of `sent` that leads nowhere. `references`: title and shelf by key."""
    report = Report()
    for key, (title, shelf) in references.items():
        if sent.get(key) and shelf.find(sent[key]) is None:
            report.error((key,), nowhere(title, sent[key]))
    if report.errors:
        raise invalid(report.errors)


def nowhere(title: str, reference: str) -> str:
    """Said of a reference that leads nowhere."""
    return f'there is no {title} "{shown(reference)}"'


def numbers_with(estate: Estate, pick: PickName, resolve: Callable[[str], Any], thing_id: str) -> list[Entry[Number]]:
    """The numbers whose `pick` is the object with this id, by whatever name they call it."""

    def leads_there(number: Number) -> bool:
        found = resolve(pick(number)) if pick(number) else None
        return found is not None and found.id == thing_id

    return [entry for entry in estate.numbers if leads_there(entry.thing)]


def told_numbers(entries: Iterable[Entry[Number]]) -> list[str]:
    """As conflicts name them."""
    return [told("number", entry, entry.thing.number) for entry in entries]


def missing_mcp_servers(estate: Estate, tools: Any, path: Path, report: Report) -> None:
    """Report every tool of `tools` (`llm_config.tools`, canonical) that names a server which is not there."""
    for index, server in _mcp_servers(tools):
        if estate.mcp_servers.find(server) is None:
            report.error((*path, index, "mcp_server_id"), nowhere("MCP server", server))


def users_of_mcp_server(estate: Estate, entry: Entry[McpServer]) -> Iterator[str]:
    """Assistants and workflows whose tools come from this server."""
    for assistant in estate.assistants:
        if _uses(estate, assistant.thing.llm_config.get("tools"), entry.id):
            yield told("assistant", assistant, assistant.thing.name)
    for workflow in estate.workflows:
        nodes = workflow.thing.definition.get("nodes", ())
        if any(_uses(estate, node.get("tools"), entry.id) for node in nodes):
            yield told("workflow", workflow, workflow.thing.name)


def _uses(estate: Estate, tools: Any, server_id: str) -> bool:
    named = (estate.directory.mcp_server(server) for _, server in _mcp_servers(tools))
    return any(server is not None and server.id == server_id for server in named)


def _mcp_servers(tools: Any) -> Iterator[tuple[int, str]]:
    for index, tool in enumerate(tools or ()):
        if tool.get("type") == "mcp" and tool.get("mcp_server_id"):
            yield index, tool["mcp_server_id"]
