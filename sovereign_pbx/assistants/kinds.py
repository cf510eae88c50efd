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
from sovereign_pbx.assistants.templates import (
    ANALYSIS_TEMPLATE,
    TOOL_TEMPLATE,
    read_analysis_template,
    read_tool_template,
)
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.assistants.workflow import WORKFLOW, Workflow, read_workflow

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


ASSISTANTS: Kind[Assistant] = Kind("assistant", ASSISTANT, Assistant.read)
NUMBERS: Kind[Number] = _record("number", Number)
TRUNKS: Kind[Trunk] = _record("sip_trunk", Trunk)
MCP_SERVERS: Kind[McpServer] = _record("mcp_server", McpServer)
WORKFLOWS: Kind[Workflow] = Kind("workflow", WORKFLOW, read_workflow)
TOOL_TEMPLATES = Kind("tool_template", TOOL_TEMPLATE, read_tool_template)
ANALYSIS_TEMPLATES = Kind("analysis_template", ANALYSIS_TEMPLATE, read_analysis_template)

KINDS: tuple[Kind[Any], ...] = (
    *(ASSISTANTS, NUMBERS, TRUNKS, MCP_SERVERS, WORKFLOWS),
    *(TOOL_TEMPLATES, ANALYSIS_TEMPLATES),
)
