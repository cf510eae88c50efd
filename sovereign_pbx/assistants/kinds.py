"""The kinds of objects that can be made through the API, and how each is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from sovereign_pbx.assistants.directory import Number
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.model import ASSISTANT, Assistant
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING
from sovereign_pbx.assistants.table import Record, Table
from sovereign_pbx.assistants.templates import ANALYSIS_TEMPLATE, TOOL_TEMPLATE
from sovereign_pbx.assistants.trunk import Trunk

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`name` is the singular, as folders and errors say it. `read` gives the object, or None after saying why not."""

    name: str
    shape: Table
    read: Callable[[Mapping[str, Any], Path, Report], T | None]


def _record(name: str, cls: type[T]) -> Kind[T]:
    shape = Record(cls)

    def read(fields: Mapping[str, Any], path: Path, report: Report) -> T | None:
        known = {key: value for key, value in fields.items() if shape.table.canonical(key, fields) in shape.table.keys}
        found = shape.check(known, path, report)
        return None if found is NOTHING or report.errors else cast(T, found)

    return Kind(name, shape.table, read)


def _plain(name: str, table: Table) -> Kind[Mapping[str, Any]]:
    def read(fields: Mapping[str, Any], path: Path, report: Report) -> Mapping[str, Any] | None:
        known = {key: value for key, value in fields.items() if table.canonical(key, fields) in table.keys}
        found = table.check(known, path, report)
        return None if found is NOTHING or report.errors else cast(Mapping[str, Any], found)

    return Kind(name, table, read)


ASSISTANTS: Kind[Assistant] = Kind("assistant", ASSISTANT, Assistant.read)
NUMBERS: Kind[Number] = _record("number", Number)
TRUNKS: Kind[Trunk] = _record("sip_trunk", Trunk)
MCP_SERVERS: Kind[McpServer] = _record("mcp_server", McpServer)
TOOL_TEMPLATES = _plain("tool_template", TOOL_TEMPLATE)
ANALYSIS_TEMPLATES = _plain("analysis_template", ANALYSIS_TEMPLATE)

KINDS: tuple[Kind[Any], ...] = (ASSISTANTS, NUMBERS, TRUNKS, MCP_SERVERS, TOOL_TEMPLATES, ANALYSIS_TEMPLATES)
