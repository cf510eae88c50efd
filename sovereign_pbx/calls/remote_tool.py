"""A tool as an MCP server lists it, and whether a model would take it."""

from dataclasses import dataclass
from typing import Any

from sovereign_pbx.assistants.json_schema import check_schema
from sovereign_pbx.assistants.problem import MOST_ENTRIES, Report
from sovereign_pbx.assistants.shape import unsendable


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """`fault` says why it can't be used, "" where it can."""

    name: str
    description: str
    input_schema: dict[str, Any]
    fault: str = ""


def listed(name: str, description: str, schema: dict[str, Any]) -> RemoteTool:
    """The tool, its schema looked through. Takes up to 50 ms for a hostile one: not for the loop of the audio."""
    return RemoteTool(name, description, schema, _fault(schema))


def _fault(schema: dict[str, Any]) -> str:
    report = Report(entries=MOST_ENTRIES)
    fault = unsendable(schema, (), report)
    if not fault:
        if schema.get("type", "object") != "object" or not isinstance(schema.get("properties", {}), dict):
            return 'its schema is not of type "object"'
        check_schema(schema, (), report)
    return fault or next((str(problem) for problem in report.errors), "")
