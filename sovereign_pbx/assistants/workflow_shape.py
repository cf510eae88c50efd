"""The shape of a workflow (contract §21), either spelling: what each key may be. How they fit: `workflow_rules.py`.

Bounds, chosen so that a graph stays one that a person can draw and a model can follow: 100 nodes, 400 edges,
20,000 characters of instructions, 1,000 of anything that is spoken at once or describes a way, 64 tools a node.
"""

from sovereign_pbx.assistants.blocks import LLM_CONFIG, STT_CONFIG, TOOL, TRANSFER_TERMS, TTS_CONFIG
from sovereign_pbx.assistants.model import IDENTIFIER
from sovereign_pbx.assistants.shape import Choice, Flag, Opaque, Text, Url, Whole
from sovereign_pbx.assistants.table import Key, ListOf, Table
from sovereign_pbx.assistants.tools import NAME

MOST_NODES = 100
MOST_EDGES = 400
MOST_TOOLS = 64
LONGEST_INSTRUCTIONS = 20_000
LONGEST_SENTENCE = 1000

NODE_ID = Text(
    1,
    41,
    pattern=r"[a-z][a-z0-9_]{0,40}",
    what="the id of a node (a lower-case letter, then lower-case letters, digits and _, 41 characters at most)",
)
E164 = Text(3, 16, pattern=r"\+[1-9][0-9]{1,14}", what="an E.164 number, as +31201234567")
NODE_TYPES = ("conversation", "tool", "transfer", "end")

_SENTENCE = Text(0, LONGEST_SENTENCE)
_INSTRUCTIONS = Text(0, LONGEST_INSTRUCTIONS)

NODE = Table(
    Key("id", NODE_ID, "Name of the node, unique in the workflow.", required=True, example="intake"),
    Key("type", Choice(NODE_TYPES), "What happens there.", required=True, example="conversation"),
    Key(
        "instructions",
        _INSTRUCTIONS,
        "conversation: what the model is to do here, after the global prompt.",
        example="Ask for the order number.",
    ),
    Key(
        "first_line",
        _SENTENCE,
        "Said word for word on arrival; a conversation without it lets the model begin.",
        example="What is your order number?",
    ),
    Key("global", Flag(), "conversation: can be reached from every other conversation.", False),
    Key(
        "global_description",
        _SENTENCE,
        "conversation: when the model should go to this global node.",
        example="The caller wants to speak to a person.",
    ),
    Key(
        "llm_config", LLM_CONFIG, "conversation: another language model from here on, its messages and tools left out."
    ),
    Key("voice", Text(1, 200), "conversation: another voice of the same provider from here on.", example="emma"),
    Key("tts_config", TTS_CONFIG, "conversation: another voice from here on; not together with voice."),
    Key("stt_config", STT_CONFIG, "conversation: another recogniser from here on."),
    Key("tools", ListOf(TOOL, most=MOST_TOOLS), "conversation: what the model may do here."),
    Key(
        "tool_name",
        Text(1, 64, pattern=NAME.pattern, what="a name that begins with a letter or _, 64 characters at most"),
        "tool: the tool that is called.",
        example="look_up_order",
    ),
    Key(
        "url",
        Url(),
        "tool: where it is called; without it the webhook that gets tool-calls.",
        example="https://example.com/orders",
    ),
    Key("arguments", Opaque(), "tool: what it is called with.", example={"source": "telephone"}),
    Key("destination", E164, "transfer: whom the caller is put through to.", example="+31201234567"),
    *TRANSFER_TERMS,
)

EDGE = Table(
    Key("from", NODE_ID, "Node where it begins.", required=True, example="intake"),
    Key("to", NODE_ID, "Node where it leads.", required=True, example="billing"),
    Key(
        "description",
        _SENTENCE,
        "When the model should take it; needed unless it leaves a tool node.",
        example="The caller has a question about an invoice.",
    ),
    Key("message", _SENTENCE, "Said word for word on the way.", example="I will look at your invoice."),
)

DEFINITION = Table(
    Key("version", Whole(1, 1), "Version of the graph.", required=True, example=1),
    Key("entry_node", NODE_ID, "Conversation that a call begins with.", required=True, example="intake"),
    Key(
        "global_prompt",
        _INSTRUCTIONS,
        "What the model is told in every conversation node, before the node's instructions.",
        example="You answer the telephone of a bicycle shop.",
    ),
    Key("nodes", ListOf(NODE, least=1, most=MOST_NODES), "The nodes.", required=True),
    Key("edges", ListOf(EDGE, most=MOST_EDGES), "The ways between them."),
)

_EXAMPLE = {
    "version": 1,
    "entry_node": "intake",
    "global_prompt": "You answer the telephone of a bicycle shop.",
    "nodes": [
        {"id": "intake", "type": "conversation", "instructions": "Find out what it is.", "first_line": "Good day."},
        {"id": "workshop", "type": "transfer", "destination": "+31201234567", "first_line": "I am connecting you."},
    ],
    "edges": [{"from": "intake", "to": "workshop", "description": "It is about a repair."}],
}

WORKFLOW = Table(
    Key("id", IDENTIFIER, "Identifier; without it one is derived from the name.", example="intake"),
    Key("name", Text(1, 200), "Name that people see; without it the name of the table.", example="Intake"),
    Key("is_active", Flag(), "Off: the assistant of the number takes its calls.", True),
    Key("definition", DEFINITION, "The graph; docs/workflows.md explains it.", required=True, example=_EXAMPLE),
    Key("created_at", Text(0, 64), "When it was made (REST).", example="2026-11-20T07:32:00.000Z"),
    Key("updated_at", Text(0, 64), "When it was last changed (REST).", example="2026-11-20T07:32:00.000Z"),
)
"""A workflow as it stands in TOML and in REST bodies; its `definition` is the graph."""
