"""What an existing receiver gets, event by event, to the letter of contract §8 to §11.2 and §24."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from sovereign_pbx.assistants.dialect import Dialect
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.webhooks import envelope, signing
from sovereign_pbx.webhooks.envelope import CallFacts, CallType

AT = "2025-12-13T12:00:00.000Z"
RESOLVED = Assistant.parse(
    {
        "id": "front",
        "name": "Front desk",
        "first_message": "Grüezi",
        "max_duration_seconds": 300,
        "webhook_url": "https://crm.example/hook",
        "webhook_secret": "never shown",
        "llm_config": {
            "provider": "openai",
            "model": "gpt-4o",
            "api_key": "never shown",
            "tools": [
                {
                    "name": "lookup",
                    "description": "d",
                    "server": {"url": "https://t.example/", "secret": "never shown"},
                    "parameters": {"type": "object", "properties": {"phone_number": {"type": "string"}}},
                }
            ],
        },
        "analysis_plan": {
            "structured_data_plan": {"enabled": True, "schema": {"properties": {"first_message": {}}}},
            "min_messages_threshold": 5,
        },
        "tts_config": {"provider": "elevenlabs", "voice_id": "anna"},
        "metadata": {"crm_id": "12345", "phone_number": {"tool_call_list": 1}},
        "own_key": {"first_message": "mine"},
    },
    where="test",
).to_public()


def facts(dialect: Dialect, kind: CallType = "inbound_phone_call", **changes: Any) -> CallFacts:
    usual: dict[str, Any] = {
        "call_id": "5c4d030f",
        "caller": "+31612345678",
        "called": "+31850835037",
        "number_id": "n1",
        "number_name": "Main line",
        "assistant": RESOLVED,
    }
    return CallFacts(**{**usual, **changes}, type=kind, dialect=dialect)


def report(about: CallFacts) -> bytes:
    return envelope.end_of_call_report(
        about,
        AT,
        duration_seconds=84,
        summary="Said hello.",
        messages=[Message("assistant", "Grüezi"), Message("user", "Hi")],
        end_reason="user_hangup",
        started_at=AT,
        ended_at=AT,
        analysis={"primary_topic": "x", "question_answered": True},
        recording_url="https://pbx.example/r.wav",
    )


CALL = ToolCall("tool_abc", "lookup", '{"phone_number": "1", "deep_key": {"first_message": 2}}')
BODIES: dict[str, Callable[[CallFacts], bytes]] = {
    "assistant-request": lambda about: envelope.assistant_request(about, AT),
    "tool-calls": lambda about: envelope.tool_calls(about, [CALL], AT),
    "status-update": lambda about: envelope.status_update(
        about, "ended-with-error", AT, error="STT connection failed", end_reason="error"
    ),
    "end-of-call-report": report,
}
STATUS = {
    "assistant-request": "ringing",
    "tool-calls": "in-progress",
    "status-update": "ended-with-error",
    "end-of-call-report": "ended",
}
SNAKE: dict[str, dict[str, Any]] = {
    "assistant-request": {},
    "tool-calls": {
        "tool_call_list": [
            {
                "id": "tool_abc",
                "type": "function",
                "function": {"name": "lookup", "arguments": {"phone_number": "1", "deep_key": {"first_message": 2}}},
            }
        ]
    },
    "status-update": {"error": "STT connection failed", "end_reason": "error"},
    "end-of-call-report": {
        "duration_seconds": 84,
        "end_reason": "user_hangup",
        "started_at": AT,
        "ended_at": AT,
        "summary": "Said hello.",
        "messages": [{"role": "assistant", "content": "Grüezi"}, {"role": "user", "content": "Hi"}],
        "analysis": {"primary_topic": "x", "question_answered": True},
        "recording_url": "https://pbx.example/r.wav",
    },
}
CAMEL = {
    "tool_call_list": "toolCallList",
    "end_reason": "endReason",
    "duration_seconds": "durationSeconds",
    "started_at": "startedAt",
    "ended_at": "endedAt",
    "recording_url": "recordingUrl",
}
EVENTS = list(BODIES)


def message(event: str, about: CallFacts) -> dict[str, Any]:
    body = json.loads(BODIES[event](about))
    assert list(body) == ["message"]
    found: dict[str, Any] = body["message"]
    return found


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_is_the_contracts_and_nothing_more(event: str) -> None:
    found = message(event, facts("snake"))
    expected: dict[str, Any] = {
        "type": event,
        "timestamp": AT,
        "call": {"id": "5c4d030f", "type": "inbound_phone_call", "status": STATUS[event]},
        "phone_number": {"id": "n1", "number": "+31850835037", "name": "Main line"},
        "customer": {"number": "+31612345678"},
        **SNAKE[event],
    }
    if event != "assistant-request":  # it is what chooses
        expected["assistant"] = json.loads(json.dumps(RESOLVED))
    assert found == expected


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_in_the_older_spelling(event: str) -> None:
    found = message(event, facts("camel"))
    assert (found["type"], found["timestamp"], found["customer"]) == (event, AT, {"number": "+31612345678"})
    assert found["call"] == {"id": "5c4d030f", "type": "inboundPhoneCall", "status": STATUS[event]}
    assert found["phoneNumber"] == {"id": "n1", "number": "+31850835037", "name": "Main line"}
    for name, value in SNAKE[event].items():
        assert found[CAMEL.get(name, name)] == value, "what is inside is the user's own, or spelt alike in both"
    assert not {"phone_number", *CAMEL} & set(found)


@pytest.mark.parametrize("event", EVENTS[1:])
def test_the_resolved_assistant_in_the_older_spelling(event: str) -> None:
    found = message(event, facts("camel"))["assistant"]
    assert (found["firstMessage"], found["maxDurationSeconds"]) == ("Grüezi", 300)
    assert found["tts_config"]["voiceId"] == "anna"
    plan = found["analysisPlan"]
    assert plan["minMessagesThreshold"] == 5
    assert plan["structuredDataPlan"]["schema"] == {"properties": {"first_message": {}}}
    (tool,) = found["llm_config"]["tools"]
    assert tool["parameters"]["properties"] == {"phone_number": {"type": "string"}}


@pytest.mark.parametrize("dialect", ["snake", "camel"])
@pytest.mark.parametrize("event", EVENTS[1:])
def test_the_users_own_data_is_echoed_untouched_and_no_secret_is(event: str, dialect: Dialect) -> None:
    found = message(event, facts(dialect))["assistant"]
    assert found["metadata"] == {"crm_id": "12345", "phone_number": {"tool_call_list": 1}}
    assert found["own_key"] == {"first_message": "mine"}
    assert b"never shown" not in BODIES[event](facts(dialect))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    ("kind", "older"),
    [
        ("inbound_phone_call", "inboundPhoneCall"),
        ("outbound_phone_call", "outboundPhoneCall"),
        ("web_call", "webCall"),
    ],
)
def test_the_kind_of_call_is_told(event: str, kind: CallType, older: str) -> None:
    assert message(event, facts("snake", kind))["call"]["type"] == kind
    assert message(event, facts("camel", kind))["call"]["type"] == older


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(("dialect", "key"), [("snake", "phone_number"), ("camel", "phoneNumber")])
def test_numbers_that_there_are_none_of_are_null(event: str, dialect: Dialect, key: str) -> None:
    unknown = facts(dialect, "web_call", caller=None, called=None, number_id=None, number_name=None)
    found = message(event, unknown)
    assert (found[key], found["customer"]) == ({"id": None, "number": None, "name": None}, {"number": None})


def test_a_report_leaves_out_what_there_is_not() -> None:
    body = envelope.end_of_call_report(
        facts("snake"), AT, duration_seconds=0, summary="", messages=[], end_reason="user_hangup"
    )
    found = set(json.loads(body)["message"])
    always = {"type", "timestamp", "call", "phone_number", "customer", "assistant"}
    assert found == always | {"duration_seconds", "summary", "messages", "end_reason"}


def test_only_an_end_has_a_reason_and_only_an_error_an_error() -> None:
    begun = json.loads(envelope.status_update(facts("snake"), "in-progress", AT))["message"]
    ended = json.loads(envelope.status_update(facts("snake"), "ended", AT, end_reason="user_hangup"))["message"]
    assert not {"error", "end_reason"} & set(begun)
    assert ended["end_reason"] == "user_hangup" and "error" not in ended


def test_times_are_what_the_contract_shows() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", envelope.utc_now())


# --- headers


@pytest.mark.parametrize("event", EVENTS)
def test_the_headers_are_the_contracts(event: str) -> None:
    body = BODIES[event](facts("snake"))
    found = signing.headers(event, body, "sécret", webhook_id="w1", unix_s=1_765_627_200)
    assert found == {
        "Content-Type": "application/json",
        "User-Agent": "HMS-Sovereign/1.0",
        "X-Webhook-Event": event,
        "X-Webhook-Timestamp": "1765627200",
        "X-Webhook-Id": "w1",
        "X-Webhook-Signature": signing.sign("sécret", "1765627200", body),
    }


@pytest.mark.parametrize("event", EVENTS)
def test_the_signature_is_over_the_bytes_as_they_are_sent(event: str) -> None:
    """Checked by another implementation than ours: openssl."""
    body = BODIES[event](facts("snake"))

    async def digest() -> str:
        command = ("openssl", "dgst", "-sha256", "-hmac", "secret")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        out, _ = await process.communicate(b"1765627200." + body)
        return out.decode().strip().rpartition("= ")[2]

    if event == "assistant-request":
        assert "Grüezi".encode() not in body
    elif event != "tool-calls":
        assert "Grüezi".encode() in body, "not escaped: what is signed is UTF-8"
    assert signing.sign("secret", "1765627200", body) == f"sha256={asyncio.run(digest())}"


def test_without_a_secret_nothing_is_signed() -> None:
    found = signing.headers("status-update", b"{}", "", webhook_id="w1", unix_s=1)
    assert "X-Webhook-Signature" not in found
