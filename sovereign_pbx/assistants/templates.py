"""Templates that people copy into their assistants: tools (contract §11.4) and analyses (§12.2)."""

from typing import Final

from sovereign_pbx.assistants.blocks import MESSAGE
from sovereign_pbx.assistants.shape import Choice, Opaque, Text, Whole
from sovereign_pbx.assistants.table import Key, ListOf, Table

NAME: Final = Text(1, 200)

TOOL_TEMPLATE = Table(
    Key("name", NAME, "Name that people see.", required=True, example="Look up an order"),
    Key("description", Text(0, 2000), "What it is for.", example="Looks an order up by its number."),
    Key(
        "tool_type",
        Choice(("function", "end_call", "transfer_call"), {"end_call": "endCall", "transfer_call": "transferCall"}),
        "Kind of tool.",
        "function",
        aliases=("type",),
    ),
    Key(
        "tool_config",
        Opaque(),
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
