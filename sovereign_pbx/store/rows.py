"""Between the interface's values and the columns they are kept in."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sovereign_pbx.core.values import Message, ToolCall, TurnRecord, TurnTiming
from sovereign_pbx.store import CallRow

CALL_COLUMNS = tuple(field.name for field in fields(CallRow))
MESSAGE_COLUMNS = ("role", "content", "tool_calls", "tool_call_id", "interrupted")
TURN_COLUMNS = tuple(field.name for field in fields(TurnRecord))
_JSON = frozenset({"analysis_result", "assistant", "statistics", "recording", "transfers", "media_quality"})


def clean(text: str) -> str:
    """Without lone surrogates: a model may write them, UTF-8 and so SQLite can't hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def to_json(value: Any) -> str:
    """Compact JSON; what JSON doesn't know is kept as its text rather than refused."""
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_cleaned(value), enc_hook=str).decode()


def call_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Column values of CallRow fields."""
    return {name: _column(name, value) for name, value in changes.items()}


def _column(name: str, value: Any) -> Any:
    if name in _JSON:
        return None if value is None else to_json(value)
    return clean(value) if isinstance(value, str) else value


def call_from(row: tuple[Any, ...]) -> CallRow:
    """From a row of CALL_COLUMNS."""
    values = dict(zip(CALL_COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    return CallRow(**values)


def message_values(message: Message) -> tuple[Any, ...]:
    """In the order of MESSAGE_COLUMNS."""
    tools = to_json([asdict(call) for call in message.tool_calls])
    return message.role, clean(message.content), tools, message.tool_call_id, message.interrupted


def message_from(row: tuple[Any, ...]) -> Message:
    """From a row of MESSAGE_COLUMNS."""
    role, content, tools, tool_call_id, interrupted = row
    calls = tuple(ToolCall(**call) for call in msgspec.json.decode(tools))
    return Message(role, content, calls, tool_call_id, bool(interrupted))


def turn_values(turn: TurnRecord) -> tuple[Any, ...]:
    """In the order of TURN_COLUMNS."""
    values = {name: getattr(turn, name) for name in TURN_COLUMNS}
    values["said"], values["heard"] = clean(turn.said), clean(turn.heard)
    values["timing"] = None if turn.timing is None else to_json(asdict(turn.timing))
    values["usage"] = to_json(turn.usage)
    return tuple(values.values())


def turn_from(row: tuple[Any, ...]) -> TurnRecord:
    """From a row of TURN_COLUMNS."""
    values = dict(zip(TURN_COLUMNS, row, strict=True))
    values["interrupted"] = bool(values["interrupted"])
    values["usage"] = msgspec.json.decode(values["usage"])
    if values["timing"] is not None:
        values["timing"] = TurnTiming(**msgspec.json.decode(values["timing"]))
    return TurnRecord(**values)


def origin_of(url: str) -> str:
    """`scheme://host:port` of a URL, lower case: receivers share fate by origin. The text itself if it is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.hostname or ''}:{port}"


def lane_of(url: str) -> str:
    """The URL without its query: one receiver of those that may share a server."""
    return url.partition("?")[0]


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in value]
    return value
