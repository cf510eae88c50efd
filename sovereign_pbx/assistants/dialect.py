"""The two spellings of the contract (§24): camelCase of the older generation, snake_case since.

Both are accepted everywhere (`Table.check` in table.py reads either); the older one is written only where
`webhook_dialect` asks for it. Only keys that the contract knows are renamed: metadata, schemas, arguments and
analysis results belong to the user.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sovereign_pbx.assistants.blocks import MESSAGE
from sovereign_pbx.assistants.model import ASSISTANT
from sovereign_pbx.assistants.shape import Choice, Shape, Text
from sovereign_pbx.assistants.table import ANY, Key, ListOf, Table

Dialect = Literal["snake", "camel"]

_TEXT = Text()

_CALL_TYPES = Choice(
    ("inbound_phone_call", "outbound_phone_call", "web_call"),
    {
        "inbound_phone_call": "inboundPhoneCall",
        "outbound_phone_call": "outboundPhoneCall",
        "web_call": "webCall",
    },
)

TOOL_CALL = Table(
    Key("id", _TEXT),
    Key("type", _TEXT),
    Key("function", Table(Key("name", _TEXT), Key("arguments", ANY))),
)

TRANSFER = Table(
    Key("destination", _TEXT),
    Key("mode", _TEXT),
    Key("started_at", _TEXT),
    Key("outcome", _TEXT),
    Key("seconds", ANY),
    Key("why", _TEXT),
)

ENVELOPE = Table(
    Key("type", _TEXT),
    Key("timestamp", _TEXT),
    Key(
        "call",
        Table(Key("id", _TEXT), Key("type", _CALL_TYPES), Key("status", _TEXT), Key("transfers", ListOf(TRANSFER))),
    ),
    Key("phone_number", Table(Key("id", _TEXT), Key("number", _TEXT), Key("name", _TEXT))),
    Key("customer", Table(Key("number", _TEXT))),
    Key("assistant", ASSISTANT),
    Key("tool_call_list", ListOf(TOOL_CALL)),
    Key("error", _TEXT),
    Key("end_reason", _TEXT),
    Key("duration_seconds", ANY),
    Key("started_at", _TEXT),
    Key("ended_at", _TEXT),
    Key("summary", _TEXT),
    Key("messages", ListOf(MESSAGE)),
    Key("analysis", ANY),
    Key("recording_url", _TEXT),
)
"""The `message` of every webhook body (contract §8.6, §10, §11.2)."""


def to_camel_envelope(message: Mapping[str, Any]) -> dict[str, Any]:
    """The `message` of a webhook body, built in snake_case, as a receiver of the older generation knows it."""
    spelt: dict[str, Any] = to_camel(ENVELOPE, message)
    return spelt


def to_camel(shape: Shape, value: Any) -> Any:
    """A copy of `value` in the older spelling. A key whose older spelling is taken already keeps its own."""
    if isinstance(shape, Table) and isinstance(value, Mapping):
        return dict(_camel_item(shape, name, item, value) for name, item in value.items())
    if isinstance(shape, Choice):
        return shape.camel.get(value, value) if isinstance(value, str) else value
    if isinstance(shape, ListOf) and isinstance(value, (list, tuple)):
        return [to_camel(shape.item, item) for item in value]
    return value


def _camel_item(table: Table, name: str, item: Any, present: Mapping[str, Any]) -> tuple[str, Any]:
    key = table.keys.get(name)
    if key is None:
        return name, item
    return (name if key.camel in present else key.camel), to_camel(key.shape, item)
