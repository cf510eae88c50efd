"""The two spellings of the contract (§24): camelCase of the older generation, snake_case since.

Both are accepted everywhere (`Table.check` reads either); the older one is written only where `webhook_dialect`
asks for it. Only keys that the contract knows are renamed: metadata, schemas, arguments and analysis results
belong to the user.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sovereign_pbx.assistants.blocks import MESSAGE
from sovereign_pbx.assistants.model import ASSISTANT
from sovereign_pbx.assistants.shape import Choice, Nullable, Shape, Text
from sovereign_pbx.assistants.table import ANY, Key, ListOf, MapOf, Table

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

ENVELOPE = Table(
    Key("type", _TEXT),
    Key("timestamp", _TEXT),
    Key("call", Table(Key("id", _TEXT), Key("type", _CALL_TYPES), Key("status", _TEXT))),
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

TOOL_ANSWER = Table(
    Key("results", ListOf(Table(Key("tool_call_id", _TEXT), Key("result", ANY), Key("error", ANY)))),
)
"""The recommended answer to `tool-calls` (contract §11.3)."""


def to_camel_envelope(message: Mapping[str, Any]) -> dict[str, Any]:
    """The `message` of a webhook body, built in snake_case, as a receiver of the older generation knows it."""
    spelt: dict[str, Any] = to_camel(ENVELOPE, message)
    return spelt


def tool_answer(body: Any) -> Any:
    """An answer to `tool-calls` with `toolCallId` as `tool_call_id`; anything else untouched."""
    return to_snake(TOOL_ANSWER, body)


def to_camel(shape: Shape, value: Any) -> Any:
    """A copy of `value` in the older spelling. A key whose older spelling is taken already keeps its own."""
    if isinstance(shape, Table) and isinstance(value, Mapping):
        return dict(_camel_item(shape, name, item, value) for name, item in value.items())
    if isinstance(shape, Choice):
        return shape.camel.get(value, value) if isinstance(value, str) else value
    return _each(shape, value, to_camel)


def to_snake(shape: Shape, value: Any) -> Any:
    """A copy of `value` in the newer spelling; the inverse of `to_camel`."""
    if isinstance(shape, Table) and isinstance(value, Mapping):
        return dict(_snake_item(shape, name, item, value) for name, item in value.items())
    if isinstance(shape, Choice):
        return shape.canonical(value) if isinstance(value, str) else value
    return _each(shape, value, to_snake)


def _camel_item(table: Table, name: str, item: Any, present: Mapping[str, Any]) -> tuple[str, Any]:
    key = table.keys.get(name)
    if key is None:
        return name, item
    return (name if key.camel in present else key.camel), to_camel(key.shape, item)


def _snake_item(table: Table, name: str, item: Any, present: Mapping[str, Any]) -> tuple[str, Any]:
    canonical = table.canonical(name, present)
    key = table.keys.get(canonical)
    return (name, item) if key is None else (canonical, to_snake(key.shape, item))


def _each(shape: Shape, value: Any, spell: Any) -> Any:
    if isinstance(shape, Nullable):
        return spell(shape.inner, value)
    if isinstance(shape, ListOf) and isinstance(value, (list, tuple)):
        return [spell(shape.item, item) for item in value]
    if isinstance(shape, MapOf) and isinstance(value, Mapping):
        return {name: spell(shape.value, item) for name, item in value.items()}
    return value
