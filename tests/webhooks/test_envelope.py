"""The bodies are the contract's, in both spellings."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.assistants.dialect import Dialect
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.webhooks import envelope
from sovereign_pbx.webhooks.envelope import CallFacts

AT = "2025-12-13T12:00:00.000Z"


def facts(dialect: Dialect = "snake") -> CallFacts:
    return CallFacts(
        call_id="5c4d030f",
        caller="+31612345678",
        called="+31850835037",
        number_id="n1",
        number_name="Main line",
        assistant={"first_message": "Hi", "metadata": {"crm_id": "12345"}},
        dialect=dialect,
    )


ABOUT = {
    "timestamp": AT,
    "phone_number": {"id": "n1", "number": "+31850835037", "name": "Main line"},
    "customer": {"number": "+31612345678"},
}
ASSISTANT = {"first_message": "Hi", "metadata": {"crm_id": "12345"}}


def test_assistant_request_tells_of_a_ringing_call_and_names_no_assistant() -> None:
    call = {"id": "5c4d030f", "type": "inbound_phone_call", "status": "ringing"}
    expected = {"message": {"type": "assistant-request", "call": call, **ABOUT}}
    assert json.loads(envelope.assistant_request(facts(), AT)) == expected


def test_status_update_carries_the_assistant_with_its_metadata() -> None:
    call = {"id": "5c4d030f", "type": "inbound_phone_call", "status": "in-progress"}
    expected = {"message": {"type": "status-update", "call": call, "assistant": ASSISTANT, **ABOUT}}
    assert json.loads(envelope.status_update(facts(), "in-progress", AT)) == expected


def test_an_end_with_an_error_says_which_and_why() -> None:
    body = envelope.status_update(facts(), "ended-with-error", AT, error="STT connection failed", end_reason="error")
    message = json.loads(body)["message"]
    assert (message["call"]["status"], message["error"]) == ("ended-with-error", "STT connection failed")
    assert message["end_reason"] == "error"


def test_tool_arguments_are_sent_as_an_object() -> None:
    calls = [ToolCall("t1", "lookup_contact", '{"query": "John"}'), ToolCall("t2", "clock", "")]
    message = json.loads(envelope.tool_calls(facts(), calls, AT))["message"]
    assert message["tool_call_list"] == [
        {"id": "t1", "type": "function", "function": {"name": "lookup_contact", "arguments": {"query": "John"}}},
        {"id": "t2", "type": "function", "function": {"name": "clock", "arguments": {}}},
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", '"text"', "null", "[" * 5000])
def test_arguments_that_are_no_object_are_bad_input(arguments: str) -> None:
    with pytest.raises(BadInput, match="arguments of tool lookup"):
        envelope.tool_calls(facts(), [ToolCall("t1", "lookup", arguments)], AT)


def test_the_report_tells_what_was_spoken_and_leaves_out_what_was_not() -> None:
    messages = [
        Message("system", "You are a receptionist"),
        Message("assistant", "Hello"),
        Message("user", "Hi"),
        Message("assistant", "", (ToolCall("t1", "lookup", "{}"),)),
        Message("tool", "found", tool_call_id="t1"),
    ]
    body = envelope.end_of_call_report(
        facts(),
        AT,
        duration_seconds=84,
        summary="Said hello.",
        messages=messages,
        end_reason="user_hangup",
        started_at=AT,
        ended_at=AT,
        analysis={"sentiment": 8},
    )
    message = json.loads(body)["message"]
    assert message["messages"] == [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Hi"}]
    assert (message["duration_seconds"], message["summary"], message["end_reason"]) == (
        84,
        "Said hello.",
        "user_hangup",
    )
    assert message["analysis"] == {"sentiment": 8}
    assert message["assistant"] == ASSISTANT
    assert "recording_url" not in message and "error" not in message


def test_the_older_spelling_renames_the_contracts_keys_and_leaves_the_users_alone() -> None:
    call = ToolCall("t1", "lookup", '{"phone_number": "1"}')
    message = json.loads(envelope.tool_calls(facts("camel"), [call], AT))["message"]
    assert message["call"]["type"] == "inboundPhoneCall"
    assert message["phoneNumber"]["number"] == "+31850835037"
    assert message["assistant"]["firstMessage"] == "Hi"
    assert message["assistant"]["metadata"] == {"crm_id": "12345"}
    assert message["toolCallList"][0]["function"]["arguments"] == {"phone_number": "1"}


def test_a_withheld_number_is_null() -> None:
    message = json.loads(envelope.assistant_request(CallFacts(call_id="c", caller=None, called=None), AT))["message"]
    assert message["customer"] == {"number": None}
    assert message["phone_number"] == {"id": None, "number": None, "name": None}


def test_times_are_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 20, 8, 32, 0, 123_999, timezone(timedelta(hours=1)))
    assert envelope.utc_text(moment) == "2026-11-20T07:32:00.123Z"


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_times_sort_as_text(one: datetime, other: datetime) -> None:
    assert (envelope.utc_text(one) < envelope.utc_text(other)) <= (one < other)


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_told(text: str) -> None:
    message = json.loads(envelope.status_update(facts(), "ended-with-error", AT, error=text))["message"]
    assert message.get("error", "") == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(("dialect", "began"), [("snake", "started_at"), ("camel", "startedAt")])
def test_the_report_tells_what_became_of_transfers(dialect: Dialect, began: str) -> None:
    attempt = {"destination": "100", "mode": "blind", "started_at": "x", "outcome": "busy", "seconds": 1.5, "why": ""}
    told = {"duration_seconds": 3, "summary": "", "messages": [], "end_reason": "user_hangup"}
    body = envelope.end_of_call_report(facts(dialect), "now", transfers=[attempt], **told)  # type: ignore[arg-type]  # passed on as they are
    (found,) = json.loads(body)["message"]["call"]["transfers"]
    assert (found["destination"], found["outcome"], found[began]) == ("100", "busy", "x")
    assert "transfers" not in json.loads(envelope.end_of_call_report(facts(), "now", **told))["message"]["call"]  # type: ignore[arg-type]  # passed on as they are
