"""What webhooks say: the bodies of the four events, from plain values (contract §8.6, §9, §10, §11.2).

Every builder returns the exact bytes to sign and send. `at` is a time as `utc_text` gives it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from sovereign_pbx.assistants.dialect import Dialect, to_camel_envelope
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.store.rows import to_json

CallType = Literal["inbound_phone_call", "outbound_phone_call", "web_call"]
CALL_TYPES: Final[Mapping[str, CallType]] = {
    "inbound": "inbound_phone_call",
    "outbound": "outbound_phone_call",
    "web": "web_call",
}
"""By a row's direction."""

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})

Status = Literal["ringing", "in-progress", "ended", "ended-with-error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What every webhook of a call says about it. Numbers are None where there are none (web calls, withheld)."""

    call_id: str
    caller: str | None
    called: str | None
    type: CallType = "inbound_phone_call"
    number_id: str | None = None
    number_name: str | None = None
    assistant: Mapping[str, Any] = field(default_factory=dict)  # resolved, extra keys kept, secrets not
    dialect: Dialect = "snake"


def utc_text(moment: datetime) -> str:
    """`2026-11-20T07:32:00.123Z`: how times look in webhooks and in the store."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """This moment, as `utc_text` writes it."""
    return utc_text(datetime.now(UTC))


def assistant_request(facts: CallFacts, at: str) -> bytes:
    """Asked before an inbound call is answered; the one event without `assistant`, which it is to choose."""
    return _encode(facts, "assistant-request", at, "ringing", {})


def status_update(
    facts: CallFacts, status: Status, at: str, *, error: str | None = None, end_reason: str | None = None
) -> bytes:
    """The call is now in-progress, ended or ended-with-error."""
    more: dict[str, Any] = {}
    if error:
        more["error"] = error
    if end_reason:
        more["end_reason"] = end_reason
    return _encode(facts, "status-update", at, status, more)


def tool_calls(facts: CallFacts, calls: Sequence[ToolCall], at: str) -> bytes:
    """The model wants tools run. BadInput if it wrote arguments that are no JSON object."""
    return _encode(facts, "tool-calls", at, "in-progress", {"tool_call_list": [_tool_call(call) for call in calls]})


def end_of_call_report(
    facts: CallFacts,
    at: str,
    *,
    status: Status = "ended",
    duration_seconds: int,
    summary: str,
    messages: Sequence[Message],
    end_reason: str,
    started_at: str | None = None,
    ended_at: str | None = None,
    analysis: Mapping[str, Any] | None = None,
    recording_url: str | None = None,
    error: str | None = None,
    transfers: Sequence[Mapping[str, Any]] = (),
    media_quality: Mapping[str, Any] | None = None,
) -> bytes:
    """The whole call. Of `messages` only what was spoken is told: system and tool messages are the assistant's own.
    `transfers`, what became of each attempt to put the caller through, and `media_quality` are additions of ours to the
    contract; they stand in `call`, where they are known."""
    spoken = [
        {"role": message.role, "content": message.content}
        for message in messages
        if message.role in ("user", "assistant") and message.content
    ]
    report: dict[str, Any] = {"duration_seconds": duration_seconds, "end_reason": end_reason}
    optional = {"started_at": started_at, "ended_at": ended_at, "error": error}
    report |= {key: value for key, value in optional.items() if value is not None}
    report |= {"summary": summary, "messages": spoken}
    if analysis is not None:
        report["analysis"] = dict(analysis)
    if recording_url is not None:
        report["recording_url"] = recording_url
    about: dict[str, Any] = {"transfers": [dict(each) for each in transfers]} if transfers else {}
    about |= {"media_quality": dict(media_quality)} if media_quality else {}
    return _encode(facts, "end-of-call-report", at, status, report, about)


def _encode(
    facts: CallFacts, event: str, at: str, status: Status, more: Mapping[str, Any], about: Mapping[str, Any] = EMPTY
) -> bytes:
    message: dict[str, Any] = {
        "type": event,
        "timestamp": at,
        "call": {"id": facts.call_id, "type": facts.type, "status": status, **about},
        "phone_number": {"id": facts.number_id, "number": facts.called, "name": facts.number_name},
        "customer": {"number": facts.caller},
    }
    if event != "assistant-request":
        message["assistant"] = dict(facts.assistant)
    message |= more
    if facts.dialect == "camel":
        message = to_camel_envelope(message)
    return to_json({"message": message}).encode()


def tool_arguments(call: ToolCall) -> dict[str, Any]:
    """What the model wrote, decoded. BadInput if it is no JSON object."""
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise BadInput(f"the arguments of tool {call.name} are not valid JSON: {str(exc)[:120]}") from exc
    if not isinstance(arguments, dict):
        raise BadInput(f"the arguments of tool {call.name} must be a JSON object")
    return arguments


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": tool_arguments(call)}}
