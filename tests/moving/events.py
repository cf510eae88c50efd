"""The bodies of webhooks, as receivers of both generations read them (contract §8.6, §9, §10, §11.2, §24)."""

from collections.abc import Mapping

from tests.moving.shapes import Check, block, listed, maybe, moment, one_of, shape, text, whole

EVENTS = ("assistant-request", "tool-calls", "status-update", "end-of-call-report")

_PHONE_NUMBER = shape({"id": maybe(text), "number": maybe(text), "name": maybe(text)}, closed=True)
_CUSTOMER = shape({"number": maybe(text)}, closed=True)
_SAID = shape({"role": one_of("user", "assistant"), "content": text}, closed=True)
_FUNCTION = shape({"name": text, "arguments": block}, closed=True)
_TOOL_CALL = shape({"id": text, "type": one_of("function"), "function": _FUNCTION}, closed=True)

_STATUS = {
    "assistant-request": one_of("ringing"),
    "tool-calls": one_of("in-progress"),
    "status-update": one_of("in-progress", "ended", "ended-with-error"),
    "end-of-call-report": one_of("ended", "ended-with-error"),
}

_OURS = {"end-of-call-report": {"transfers": listed(block)}}  # where there were any


def _event(name: str, assistant: Mapping[str, Check], more: Mapping[str, Check], may: Mapping[str, Check]) -> Check:
    call_type = one_of("inbound_phone_call", "outbound_phone_call", "web_call")
    message = {
        "type": one_of(name),
        "timestamp": moment,
        "call": shape({"id": text, "type": call_type, "status": _STATUS[name]}, _OURS.get(name, {}), closed=True),
        "phone_number": _PHONE_NUMBER,
        "customer": _CUSTOMER,
        **assistant,
        **more,
    }
    return shape({"message": shape(message, may, closed=True)}, closed=True)


_ASSISTANT = {"assistant": block}

SNAKE: Mapping[str, Check] = {
    "assistant-request": _event("assistant-request", {}, {}, {}),
    "tool-calls": _event("tool-calls", _ASSISTANT, {"tool_call_list": listed(_TOOL_CALL)}, {}),
    "status-update": _event("status-update", _ASSISTANT, {}, {"error": text, "end_reason": text}),
    "end-of-call-report": _event(
        "end-of-call-report",
        _ASSISTANT,
        {"duration_seconds": whole, "summary": text, "messages": listed(_SAID)},
        {
            "analysis": block,
            "recording_url": text,
            "end_reason": text,
            "started_at": moment,
            "ended_at": moment,
            "error": text,
        },
    ),
}
"""By event, the current generation."""


def _older(name: str, more: Mapping[str, Check]) -> Check:
    call_type = one_of("inboundPhoneCall", "outboundPhoneCall")
    assistant = {} if name == "assistant-request" else {"assistant": block}
    message = {
        "type": one_of(name),
        "timestamp": moment,
        "call": shape({"id": text, "type": call_type, "status": _STATUS[name]}),
        "phoneNumber": shape({"number": maybe(text), "name": maybe(text)}),
        "customer": _CUSTOMER,
        **assistant,
        **more,
    }
    return shape({"message": shape(message)}, closed=True)


CAMEL: Mapping[str, Check] = {
    "assistant-request": _older("assistant-request", {}),
    "tool-calls": _older("tool-calls", {"toolCallList": listed(_TOOL_CALL)}),
    "status-update": _older("status-update", {}),
    "end-of-call-report": _older("end-of-call-report", {"summary": text, "messages": listed(_SAID)}),
}
"""By event, the generation before."""
