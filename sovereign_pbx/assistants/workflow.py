"""A workflow: a graph that conducts a call from node to node (contract §21)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sovereign_pbx.assistants.problem import Path, Problem, Report
from sovereign_pbx.assistants.public import without_secrets
from sovereign_pbx.assistants.tools import Tool
from sovereign_pbx.assistants.workflow_rules import REALTIME_NOT_ALLOWED, check_graph
from sovereign_pbx.assistants.workflow_shape import WORKFLOW

__all__ = ["WORKFLOW", "Workflow", "error_code", "read_workflow", "workflow_item", "workflow_object"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One workflow, validated. `definition` is the graph with canonical names; it may hold the secrets of tools."""

    id: str
    name: str
    is_active: bool = True
    definition: Mapping[str, Any] = field(default_factory=dict, repr=False)
    created_at: str | None = None
    updated_at: str | None = None
    tools: Mapping[str, tuple[Tool, ...]] = field(default_factory=dict, repr=False)  # of its conversations, by node


def read_workflow(data: Any, path: Path, report: Report) -> Workflow | None:
    """The workflow in `data` (either spelling), or None with every fault of it in `report`."""
    before = len(report.errors)
    checked = WORKFLOW.check(data, path, report)
    if not isinstance(checked, dict):
        return None
    tools: Mapping[str, tuple[Tool, ...]] = {}
    if "definition" in checked:
        well_shaped = len(report.errors) == before and not report.is_full
        tools = check_graph(checked["definition"], (*path, "definition"), report, whole=well_shaped)
    if "name" not in checked and len(report.errors) == before:
        report.error(path, '"name" is missing')
    if len(report.errors) > before or report.is_full:
        return None
    known = {name: value for name, value in checked.items() if name in WORKFLOW.keys}
    return Workflow(**{"id": "", **known}, tools=tools)


def error_code(problems: Iterable[Problem]) -> str:
    """The code of contract §18 for these faults of a workflow; "" where they have none of their own."""
    found = any(problem.message.startswith(REALTIME_NOT_ALLOWED) for problem in problems)
    return REALTIME_NOT_ALLOWED if found else ""


def workflow_object(workflow: Workflow) -> dict[str, Any]:
    """The whole workflow as REST shows it: without the secrets of its tools."""
    names = ("id", "name", "is_active", "definition", "created_at", "updated_at")
    shown: dict[str, Any] = without_secrets(WORKFLOW, {name: getattr(workflow, name) for name in names})
    return shown


def workflow_item(workflow: Workflow) -> dict[str, Any]:
    """The workflow as it stands in the list (contract §21)."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "is_active": workflow.is_active,
        "entry_node": workflow.definition.get("entry_node"),
        "node_count": len(workflow.definition.get("nodes", ())),
        "edge_count": len(workflow.definition.get("edges", ())),
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
    }
