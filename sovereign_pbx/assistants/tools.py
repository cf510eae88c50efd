"""The tools of an assistant: every accepted way of writing them (contract §11.1), brought into one shape."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sovereign_pbx.assistants.blocks import TOOL
from sovereign_pbx.assistants.json_schema import check_schema
from sovereign_pbx.assistants.problem import InvalidSettings, Path, Report
from sovereign_pbx.assistants.secret import NO_SECRET, Secret
from sovereign_pbx.assistants.table import ListOf
from sovereign_pbx.core.plan import Collector
from sovereign_pbx.core.values import BLIND, TransferTerms

# way: to another node of a workflow; collect, tones: of an assistant's `digits`; recording: of its `recording`
ToolKind = Literal["webhook", "end_call", "transfer_call", "mcp", "way", "collect", "tones", "recording"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}

_END_CALL = "End the call. Use it when the caller says goodbye or has nothing more to ask."
_TRANSFER = "Connect the caller to one of the destinations."
_SUMMARY = "Who is calling and what about, in one or two sentences for the person called to hear first."


@dataclass(frozen=True, slots=True)
class Destination:
    """Where `transfer_call` may connect the caller."""

    number: str
    description: str
    message: str = ""
    terms: TransferTerms = BLIND


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool, whatever way it was written. `parameters` is JSON Schema, also for the built-in ones.

    `url` is "" where the assistant's (or the account's) webhook is meant, `secret` "" where the assistant's signs.
    `message` is spoken while a sync tool runs, and given to the model instead of a result by an async one.
    """

    name: str
    kind: ToolKind
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)
    url: str = ""
    secret: Secret = NO_SECRET
    is_async: bool = False
    message: str = ""
    destinations: tuple[Destination, ...] = ()
    mcp_server_id: str = ""
    allowed_tools: tuple[str, ...] = ()
    required: bool = True
    collector: Collector | None = None


END_CALL = Tool(name="end_call", kind="end_call", description=_END_CALL)


def parse_tools(tools: Sequence[Any], where: str = "tools") -> tuple[Tool, ...]:
    """The tools of `llm_config.tools`, or InvalidSettings with every problem in them."""
    report = Report()
    checked = ListOf(TOOL).check(tools, (), report)
    read = read_tools(checked if isinstance(checked, tuple) else (), (), report)
    if report.errors:
        raise InvalidSettings(f"{where} can't be used", problems=report.errors)
    return read


def read_tools(tools: Sequence[Mapping[str, Any]], path: Path, report: Report) -> tuple[Tool, ...]:
    """Normalise tools whose single values `blocks.TOOL` has already checked."""
    read: list[Tool] = []
    names: set[str] = set()
    for index, table in enumerate(tools):
        if _faulty((*path, index), report):
            continue  # its shape has been complained about; what follows from that would only confuse
        tool = _read(table, (*path, index), report)
        if tool is not None and tool.name in names:
            report.error((*path, index), f'a second tool is named "{tool.name}"', "give each tool a name of its own")
        elif tool is not None:
            names.add(tool.name)
            read.append(tool)
    return tuple(read)


def with_end_call(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Autonomous silence handling needs a way to hang up (contract §15.2)."""
    return tools if any(tool.kind == "end_call" for tool in tools) else (*tools, END_CALL)


def _faulty(path: Path, report: Report) -> bool:
    return any(problem.path[: len(path)] == path for problem in report.errors)


def _read(table: Mapping[str, Any], path: Path, report: Report) -> Tool | None:
    kind = table.get("type", "webhook")
    if kind == "end_call":
        name = _built_in_name(table, "end_call", path, report)
        return Tool(name=name, kind="end_call", description=table.get("description", _END_CALL))
    if kind == "transfer_call":
        return _transfer(table, path, report)
    if kind == "mcp":
        return _mcp(table, path, report)
    return _webhook(table, path, report)


def _webhook(table: Mapping[str, Any], path: Path, report: Report) -> Tool | None:
    # the flat keys win over OpenAI's nested ones: a tool that has both was wrapped for OpenAI afterwards
    named = {
        **table.get("function", {}),
        **{key: table[key] for key in ("name", "description", "parameters") if key in table},
    }
    server = table.get("server", {})
    if not _named_well(named, path, report):
        return None
    return Tool(
        name=named["name"],
        kind="webhook",
        description=named["description"],
        parameters=_schema(named.get("parameters"), path, report),
        url=table.get("url", server.get("url", "")),
        secret=server.get("secret", NO_SECRET),
        is_async=table.get("async", False),
        message=table.get("message", table.get("async_response", "")),
    )


def _named_well(named: Mapping[str, Any], path: Path, report: Report) -> bool:
    for key in ("name", "description"):
        if not named.get(key):
            report.error(path, f'the tool has no "{key}"', "the model chooses a tool by its name and description")
    return bool(named.get("name") and named.get("description")) and _callable(named["name"], path, report)


def _built_in_name(table: Mapping[str, Any], usual: str, path: Path, report: Report) -> str:
    name = str(table.get("name", usual))
    return name if _callable(name, path, report) else usual


def _callable(name: str, path: Path, report: Report) -> bool:
    if NAME.fullmatch(name):
        return True
    remedy = "begin with a letter or _, go on with letters, digits, _ and -, 64 at most"
    report.error((*path, "name"), "is not a name that language models accept", remedy)
    return False


def _schema(parameters: Mapping[str, Any] | None, path: Path, report: Report) -> Mapping[str, Any]:
    """Models refuse a whole request for one schema whose root is not an object."""
    if not parameters:
        return NO_ARGUMENTS
    if parameters.get("type", "object") != "object" or not isinstance(parameters.get("properties", {}), Mapping):
        report.error((*path, "parameters"), 'must be a JSON Schema of type "object" with a table of properties')
        return NO_ARGUMENTS
    check_schema(parameters, (*path, "parameters"), report)
    return {"type": "object", "properties": {}, **parameters}


def _transfer(table: Mapping[str, Any], path: Path, report: Report) -> Tool | None:
    destinations = tuple(
        Destination(item["number"], item["description"], item.get("message", ""), terms_of(item))
        for item in table.get("destinations", ())
    )
    if not destinations:
        report.error(path, 'a transfer_call tool needs "destinations"', "name at least one number with a description")
        return None
    return Tool(
        name=_built_in_name(table, "transfer_call", path, report),
        kind="transfer_call",
        description=table.get("description", _TRANSFER),
        parameters=_transfer_schema(destinations),
        destinations=destinations,
    )


def terms_of(table: Mapping[str, Any]) -> TransferTerms:
    """Of what `blocks.TRANSFER_TERMS` has checked."""
    ring_s = table.get("ring_timeout_seconds")
    return TransferTerms(
        mode=table.get("mode", "blind"),
        ring_s=None if ring_s is None else float(ring_s),
        summary=table.get("summary", ""),
        briefing=table.get("briefing", ""),
    )


def _transfer_schema(destinations: Sequence[Destination]) -> dict[str, Any]:
    """With a destination that is told who calls, the model may say what it is to be told."""
    choices = "; ".join(f"{item.number}: {item.description}" for item in destinations)
    number = {"type": "string", "enum": [item.number for item in destinations], "description": choices}
    properties: dict[str, Any] = {"destination": number}
    if any(item.terms.mode == "attended" for item in destinations):
        properties["summary"] = {"type": "string", "description": _SUMMARY}
    return {"type": "object", "properties": properties, "required": ["destination"]}


def _mcp(table: Mapping[str, Any], path: Path, report: Report) -> Tool | None:
    if "mcp_server_id" not in table or not table.get("allowed_tools"):
        report.error(path, 'an mcp tool needs "mcp_server_id" and "allowed_tools"')
        return None
    return Tool(
        name=f"mcp:{table['mcp_server_id']}",
        kind="mcp",
        mcp_server_id=table["mcp_server_id"],
        allowed_tools=table["allowed_tools"],
        required=table.get("required", True),
    )
