"""What makes a graph of well-shaped nodes and edges a workflow (contract §21). Every fault is told with its path."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sovereign_pbx.assistants.problem import Path, Report, shown
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.assistants.tools import Tool, read_tools

REALTIME_NOT_ALLOWED: Final = "realtime_provider_not_allowed_per_node"
"""Begins the message of that fault, and is its code in REST (contract §18)."""

MOST_FUNCTIONS: Final = 128
"""Tools and ways of one node together: more than this language models refuse."""

WAY: Final = "go_to_"

Node = Mapping[str, Any]
Edge = Mapping[str, Any]

_EVERYWHERE = {"id", "type", "first_line"}
_OWN: Final[Mapping[str, frozenset[str]]] = {
    "conversation": frozenset(
        ("instructions", "global", "global_description", "llm_config", "voice", "tts_config", "stt_config", "tools")
    ),
    "tool": frozenset(("tool_name", "url", "arguments")),
    "transfer": frozenset(("destination", "mode", "ring_timeout_seconds", "briefing")),
    "end": frozenset(),
}
_NEEDED: Final[Mapping[str, str]] = {"conversation": "instructions", "tool": "tool_name", "transfer": "destination"}
_ANY_OWN = frozenset().union(*_OWN.values())


def way_to(node_id: str) -> str:
    """The name of the function by which the model goes to a node."""
    return WAY + node_id


def check_graph(
    definition: Mapping[str, Any], path: Path, report: Report, *, whole: bool
) -> dict[str, tuple[Tool, ...]]:
    """Report what is wrong with a definition whose single values `DEFINITION` has checked; `whole`: all were well.

    Returns the tools of its conversations, by node.
    """
    before = len(report.errors)
    nodes: Sequence[Node] = definition.get("nodes", ())
    edges: Sequence[Edge] = definition.get("edges", ())
    tools = {
        str(node.get("id")): _check_node(node, (*path, "nodes", index), report) for index, node in enumerate(nodes)
    }
    _check_ids(nodes, path, report)
    types = {node["id"]: node.get("type", "") for node in nodes if "id" in node}
    _check_entry(definition, types, path, report)
    _check_edges(edges, types, path, report)
    _check_tool_nodes(nodes, edges, path, report)
    _check_functions(nodes, edges, path, report)
    if whole and len(report.errors) == before:  # else more nodes look unreachable than are
        _check_reachable(definition, nodes, edges, path, report)
    return tools


def _check_node(node: Node, path: Path, report: Report) -> tuple[Tool, ...]:
    kind = node.get("type", "")
    if kind not in _OWN:
        return ()
    needed = _NEEDED.get(kind)
    if needed is not None and not str(node.get(needed) or "").strip():
        report.error(path, f'a {kind} node needs "{needed}"')
    for name in sorted(_ANY_OWN & set(node) - _OWN[kind] - _EVERYWHERE):
        if node[name] not in (None, False, "", (), {}):
            report.error((*path, name), f"has no place in a node of the type {kind}")
    return _check_conversation(node, path, report) if kind == "conversation" else ()


def _check_conversation(node: Node, path: Path, report: Report) -> tuple[Tool, ...]:
    if "voice" in node and "tts_config" in node:
        report.error((*path, "voice"), "and tts_config exclude each other", "keep one of them")
    if node.get("global") and not node.get("global_description", "").strip():
        report.error(path, 'a global node needs "global_description"', "the model goes there by it")
    tools = read_tools(node.get("tools", ()), (*path, "tools"), report)
    block = node.get("llm_config", {})
    for name, place in (("messages", "instructions"), ("tools", "tools")):
        if block.get(name):
            report.error((*path, "llm_config", name), "are not taken from here", f'use "{place}" of the node')
    _check_model(block, (*path, "llm_config"), report)
    return tools


def _check_model(block: Mapping[str, Any], path: Path, report: Report) -> None:
    """A realtime model is ears, head and mouth in one, and can't be changed during a call."""
    chosen = [((*path, "provider"), block)]
    chosen += [((*path, "fallbacks", at, "provider"), each) for at, each in enumerate(block.get("fallbacks", ()))]
    for place, model in chosen:
        if is_realtime(model):
            provider = model["provider"]
            report.error(place, f'{REALTIME_NOT_ALLOWED}: a node can\'t change to "{provider}"', "use another model")


def _check_ids(nodes: Sequence[Node], path: Path, report: Report) -> None:
    seen: set[str] = set()
    for index, node in enumerate(nodes):
        if node.get("id") in seen:
            report.error((*path, "nodes", index, "id"), f'a second node is named "{shown(node["id"])}"')
        seen.add(node.get("id", ""))


def _check_entry(definition: Mapping[str, Any], types: Mapping[str, str], path: Path, report: Report) -> None:
    entry = definition.get("entry_node")
    if entry is None or not types:
        return
    if entry not in types:
        report.error((*path, "entry_node"), *_unknown(entry, types, report))
    elif types[entry] not in ("conversation", ""):
        report.error((*path, "entry_node"), f"is a node of the type {types[entry]}: a call begins with a conversation")


def _check_edges(edges: Sequence[Edge], types: Mapping[str, str], path: Path, report: Report) -> None:
    seen: set[tuple[str, str]] = set()
    for index, edge in enumerate(edges):
        place = (*path, "edges", index)
        for end in ("from", "to"):
            if end in edge and edge[end] not in types:
                report.error((*place, end), *_unknown(edge[end], types, report))
        ways = (edge.get("from", ""), edge.get("to", ""))
        if ways[0] and ways[0] == ways[1]:
            report.error(place, "leads back to the node where it begins")
        elif all(ways) and ways in seen:
            report.error(place, f'is a second edge from "{ways[0]}" to "{ways[1]}"')
        seen.add(ways)
        _check_way(edge, types.get(ways[0], ""), place, report)


def _check_way(edge: Edge, origin: str, path: Path, report: Report) -> None:
    if origin in ("transfer", "end"):
        report.error((*path, "from"), f"nothing comes after a node of the type {origin}")
    elif origin == "conversation" and not edge.get("description", "").strip():
        report.error(path, '"description" is missing', "the model takes an edge by it")


def _unknown(name: str, types: Mapping[str, str], report: Report) -> tuple[str, str]:
    guess = report.guess(name, types)
    return f'there is no node "{shown(name)}"', f'did you mean "{guess}"?' if guess else ""


def _check_tool_nodes(nodes: Sequence[Node], edges: Sequence[Edge], path: Path, report: Report) -> None:
    leaving = Counter(edge.get("from") for edge in edges)
    for index, node in enumerate(nodes):
        count = leaving[node.get("id")]
        if node.get("type") == "tool" and count != 1:
            report.error((*path, "nodes", index), f"a tool node has one edge that leaves it, not {count or 'none'}")


def _check_functions(nodes: Sequence[Node], edges: Sequence[Edge], path: Path, report: Report) -> None:
    anywhere = {node["id"] for node in nodes if node.get("global") and "id" in node}
    targets: dict[str, set[str]] = {}
    for edge in edges:
        targets.setdefault(edge.get("from", ""), set()).add(edge.get("to", ""))
    for index, node in enumerate(nodes):
        if node.get("type") != "conversation":
            continue
        ways = (targets.get(node.get("id", ""), set()) | anywhere) - {node.get("id")}
        tools = node.get("tools", ())
        if len(ways) + len(tools) > MOST_FUNCTIONS:
            where = (*path, "nodes", index)
            report.error(where, f"has {len(ways) + len(tools)} ways and tools; a model takes {MOST_FUNCTIONS} at most")
        for at, name in _names(tools):
            if name.removeprefix(WAY) in ways and name.startswith(WAY):
                report.error((*path, "nodes", index, "tools", at), f'"{shown(name)}" is the name of a way to a node')


def _names(tools: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for at, tool in enumerate(tools):
        yield at, str(tool.get("name") or tool.get("function", {}).get("name") or tool.get("type", ""))


def _check_reachable(
    definition: Mapping[str, Any], nodes: Sequence[Node], edges: Sequence[Edge], path: Path, report: Report
) -> None:
    """By edges from the entry, and from anywhere to the global nodes."""
    following: dict[str, list[str]] = {}
    for edge in edges:
        following.setdefault(edge["from"], []).append(edge["to"])
    waiting = [definition["entry_node"], *(node["id"] for node in nodes if node.get("global"))]
    reached: set[str] = set()
    while waiting:
        at = waiting.pop()
        if at not in reached:
            reached.add(at)
            waiting += following.get(at, ())
    for index, node in enumerate(nodes):
        if node["id"] not in reached:
            report.error((*path, "nodes", index), f'no way leads to "{shown(node["id"])}"', "add an edge, or remove it")
