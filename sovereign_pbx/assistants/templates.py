"""Templates that people copy into their assistants: tools (contract §11.4) and analyses (§12.2)."""

from collections.abc import Mapping
from typing import Any, Final

from sovereign_pbx.assistants.blocks import MESSAGE, TOOL
from sovereign_pbx.assistants.json_schema import check_schema
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import Choice, Opaque, Text, Whole
from sovereign_pbx.assistants.table import Key, ListOf, Table
from sovereign_pbx.assistants.tools import read_tools

NAME: Final = Text(1, 200)

TOOL_TEMPLATE = Table(
    Key("name", NAME, "Name that people see.", required=True, example="Look up an order"),
    Key("description", Text(0, 2000), "What it is for.", example="Looks an order up by its number."),
    Key(
        "tool_type",
        Choice(
            ("function", "end_call", "transfer_call"),
            {"function": "webhook", "end_call": "endCall", "transfer_call": "transferCall"},
        ),
        "Kind of tool.",
        "function",
        aliases=("type",),
    ),
    Key(
        "tool_config",
        TOOL,
        "The tool: name, description, parameters, url and async; or destinations.",
        example={"name": "look_up_order", "description": "Look up an order by its number."},
    ),
)
"""A template of a tool, as it is kept."""

ANALYSIS_TEMPLATE = Table(
    Key("name", NAME, "Name that people see.", required=True, example="Satisfaction"),
    Key("description", Text(0, 2000), "What it is for.", example="How content was the caller?"),
    Key(
        "system_prompt",
        Text(0, 20_000),
        "What the model is told it does; {transcript}, {summary}, {duration} and {caller_number} are filled in.",
        example="You judge telephone calls.",
    ),
    Key("user_prompt", Text(0, 20_000), "What it is asked, likewise.", example="Judge this call: {transcript}"),
    Key(
        "schema",
        Opaque(),
        "JSON Schema of the result.",
        required=True,
        example={"type": "object", "properties": {"sentiment": {"type": "integer"}}},
    ),
    Key("messages", ListOf(MESSAGE, most=50), "The older way of writing the prompts."),
    Key("min_messages_threshold", Whole(0, 1000), "Calls with fewer messages are not analysed.", example=2),
)
"""A template of an analysis, as it is kept."""


_NAMED: Final = {"name": "unnamed", "description": "Not described."}


def read_tool_template(fields: Mapping[str, Any], path: Path, report: Report) -> Mapping[str, Any] | None:
    """The template, or None with every fault in `report`. `tool_config` may leave name and description to whoever
    copies it into an assistant."""
    checked = _known(TOOL_TEMPLATE, fields, path, report)
    if not isinstance(checked, dict) or report.errors:
        return None
    kind, config = checked.get("tool_type", "function"), checked.get("tool_config", {})
    copied = Report()
    read_tools(({**_NAMED, **config.get("function", {}), **config, "type": kind},), (), copied)
    for problem in copied.errors:
        report.error((*path, "tool_config", *problem.path[1:]), problem.message, problem.remedy)
    return None if report.errors else {**checked, "tool_type": kind, "tool_config": config}


def read_analysis_template(fields: Mapping[str, Any], path: Path, report: Report) -> Mapping[str, Any] | None:
    """The template, or None with every fault in `report`."""
    checked = _known(ANALYSIS_TEMPLATE, fields, path, report)
    if isinstance(checked, dict) and "schema" in checked:
        check_schema(checked["schema"], (*path, "schema"), report)
    return checked if isinstance(checked, dict) and not report.errors else None


def _known(table: Table, fields: Mapping[str, Any], path: Path, report: Report) -> Any:
    known = {name: value for name, value in fields.items() if table.canonical(name, fields) in table.keys}
    return table.check(known, path, report)
