"""Calls that come in: asked about, answered, reported, and read back (contract §5, §8, §9, §10)."""

from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import play
from tests.moving.customer import BLOCKS, CALLER, EVENTS, LINE, PROMPT, moved, using, with_tools
from tests.moving.events import CAMEL
from tests.moving.receiver import CustomersServer, serving

PLAN = {
    "structured_data_plan": {
        "enabled": True,
        "schema": {"type": "object", "properties": {"sentiment": {"type": "integer"}}, "required": ["sentiment"]},
        "messages": [
            {"role": "system", "content": "Extract. {{schema}}"},
            {"role": "user", "content": "{{transcript}} It ended by {{ended_reason}}."},
        ],
    },
    "min_messages_threshold": 2,
}


def test_a_call_is_told_of_from_its_ring_to_its_report_and_can_be_read_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            desk = await at.assistant(business_name="The Shop", metadata={"crm_id": "12345"}, own_key={"kept": 1})
            line = await at.number(desk, name="Main line")
            await at.call_in()
            (report,) = await at.reports()
            assert at.server.order == ["assistant-request", "status-update", "status-update", "end-of-call-report"]
            ids = {message["call"]["id"] for _, message in at.server.got}
            assert len(ids) == 1
            for _, message in at.server.got:
                assert message["call"]["type"] == "inbound_phone_call"
                assert message["phone_number"] == {"id": line["id"], "number": LINE, "name": "Main line"}
                assert message["customer"] == {"number": CALLER}
            begun, ended = at.server.messages("status-update")
            assert (begun["call"]["status"], ended["call"]["status"]) == ("in-progress", "ended")
            assert "end_reason" not in begun and ended["end_reason"] == "user_hangup"
            for event, message in at.server.got[1:]:
                assert message["assistant"]["metadata"] == {"crm_id": "12345"}, event
                assert message["assistant"]["own_key"] == {"kept": 1}
                assert message["assistant"]["llm_config"]["messages"] == PROMPT
                assert message["assistant"]["stt_config"]["provider"] == "deepgram"
                assert message["assistant"]["tts_config"]["voice_id"] == "anna"
            assert report["summary"] and "analysis" not in report and "recording_url" not in report
            assert [said["role"] for said in report["messages"]] == ["assistant", "user", "assistant"]
            assert report["end_reason"] == "user_hangup" and report["started_at"] < report["ended_at"]
            (row,) = (await at.client.calls())["calls"]
            assert row == await at.client.call(ids.pop())
            assert (row["status"], row["direction"], row["end_reason"]) == ("ended", "inbound", "user_hangup")
            assert (row["caller_phone"], row["assistant_phone"], row["phone_number"]) == (CALLER, LINE, LINE)
            assert (row["agent_id"], row["number_id"]) == (desk["id"], line["id"])
            assert (row["agent_name"], row["business_name"]) == ("Front desk", "The Shop")
            for name in ("duration_seconds", "summary", "messages", "started_at", "ended_at"):
                assert row[name] == report[name], name
            usage = await at.client.usage()
            assert [(log["call_type"], log["agent_name"]) for log in usage["logs"]] == [("phone", "Front desk")]
            assert usage["summary"]["total_duration_seconds"] == report["duration_seconds"]
            assert not at.account.got

    play(scene())


OTHER = {"first_message": "From the webhook."}
EXAMPLE = {
    "assistant": {
        "first_message": "From the webhook.",
        "stt_config": {"provider": "deepgram", "model": "nova-3-general", "language": "nl"},
        "llm_config": {"provider": "openai", "model": "gpt-4o", "temperature": 0.7, "messages": PROMPT, "tools": []},
        "tts_config": {"provider": "elevenlabs", "voice_id": "anna", "model": "eleven_flash_v2_5"},
        "analysis_plan": {
            "structured_data_plan": {"enabled": True, "schema": {}, "messages": []},
            "min_messages_threshold": 2,
        },
        "metadata": {"crm_id": "12345"},
    },
    "max_duration_seconds": 300,
}
"""The contract's own (§9)."""

ANSWERS: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "Hello."),
    "an empty body": (None, "Hello."),
    "a first message": ({"assistant": OTHER}, "From the webhook."),
    "the contract's example": (EXAMPLE, "From the webhook."),
    "one in camelCase": ({"assistant": {"firstMessage": "From the webhook."}}, "From the webhook."),
    "by its older name": ({"agent": OTHER}, "From the webhook."),
    "a model alone": ({"assistant": {"llm_config": BLOCKS["llm_config"]}}, "Hello."),
    "a limit": ({"max_duration_seconds": 300}, "Hello."),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_to_assistant_request_is_understood(tmp_path: Path, name: str) -> None:
    async def scene() -> None:
        answer, said = ANSWERS[name]
        async with moved(tmp_path) as at:
            at.server.answers["assistant-request"] = lambda message: answer
            await at.number(await at.assistant())
            await at.call_in(question=False)
            (report,) = await at.reports()
            assert [message["content"] for message in report["messages"]] == [said]
            if answer and "max_duration_seconds" in answer:
                assert report["assistant"]["max_duration_seconds"] == 300

    play(scene())


ELSEWHERE: list[dict[str, Any]] = [
    {"stt_config": {"provider": "gladia", "model": "solaria-1", "language": "nl"}},
    {"llm_config": {"provider": "google", "model": "gemini-3.5-flash-lite"}},
    {"tts_config": {"provider": "openai", "voiceId": "alloy"}},
]


@pytest.mark.parametrize("block", ELSEWHERE)
def test_a_provider_that_is_not_here_leaves_the_call_to_the_saved_assistant(
    tmp_path: Path, block: dict[str, Any]
) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.server.answers["assistant-request"] = lambda message: {"assistant": {**OTHER, **block}}
            await at.number(await at.assistant())
            await at.call_in(question=False)
            (report,) = await at.reports()
            assert [message["content"] for message in report["messages"]] == ["Hello."]
            assert report["assistant"]["stt_config"]["provider"] == "deepgram"

    play(scene())


@pytest.mark.parametrize("keys", [("assistant_id", "assistant_override"), ("agent_id", "agent_override")])
def test_another_saved_assistant_with_changes_is_merged_shallowly(tmp_path: Path, keys: tuple[str, str]) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            other = await at.assistant(name="Night", first_message="Night desk.", metadata={"a": 1, "b": 2})
            tts = {"provider": "elevenlabs", "voice_id": "bob"}
            override = {"tts_config": tts, "metadata": {"b": 3}, "extra": "kept"}
            at.server.answers["assistant-request"] = lambda message: {keys[0]: other["id"], keys[1]: override}
            await at.number(await at.assistant())
            await at.call_in(question=False)
            (report,) = await at.reports()
            assert report["messages"][0]["content"] == "Night desk."
            resolved = report["assistant"]
            assert resolved["metadata"] == {"b": 3} and resolved["extra"] == "kept"
            assert resolved["tts_config"]["voice_id"] == "bob"
            assert resolved["tts_config"].get("model") != "eleven_flash_v2_5"
            (row,) = (await at.client.calls())["calls"]
            assert row["agent_id"] == other["id"]

    play(scene())


def test_a_rejected_caller_hears_why(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.server.answers["assistant-request"] = lambda message: {"error": "We are closed."}
            await at.number(await at.assistant())
            async with at.house.caller(LINE, CALLER) as caller:
                await caller.place()
                await caller.over(10.0)
                assert caller.steps == ["hangup"]
            (report,) = await at.reports()
            assert [said["content"] for said in report["messages"]] == ["We are closed."]
            (row,) = (await at.client.calls())["calls"]
            assert row["end_reason"] == "rejected"

    play(scene())


def test_a_number_of_nobody_is_asked_about_at_the_accounts_webhook(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.account.answers["assistant-request"] = lambda message: {
                "assistant": {**BLOCKS, "first_message": "Who is it?", "metadata": {"from": "account"}}
            }
            await at.number()
            await at.call_in()
            (report,) = await at.reports(of=at.account)
            assert report["messages"][0]["content"] == "Who is it?"
            assert report["assistant"]["metadata"] == {"from": "account"}
            assert not at.server.got

    play(scene())


def test_only_the_events_that_are_asked_for_come(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            await at.number(await at.assistant(webhook_events=["end-of-call-report"]))
            await at.call_in(question=False)
            await at.reports()
            assert at.server.order == ["end-of-call-report"] and not at.account.got

    play(scene())


@pytest.mark.parametrize("events", [None, EVENTS])
def test_the_accounts_webhook_stands_in_for_an_assistants(tmp_path: Path, events: list[str] | None) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            await at.number(await at.assistant(webhook_url=None, webhook_secret=None, webhook_events=events))
            await at.call_in(question=False)
            await at.reports(of=at.account)
            asked = ["assistant-request"] if events else []  # it lengthens the ringing, so it has to be listed
            assert at.account.order == [*asked, "status-update", "status-update", "end-of-call-report"]

    play(scene())


def test_a_receiver_of_the_older_generation_reads_everything(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at, serving(CustomersServer(reads=CAMEL)) as older:
            tool = {"name": "lookup", "description": "Look it up.", "parameters": {"type": "object"}}
            older.answers["tool-calls"] = lambda message: {
                "results": [{"toolCallId": call["id"], "result": "found"} for call in message["toolCallList"]]
            }
            older.answers["assistant-request"] = lambda message: {"assistant": {"firstMessage": "Hallo."}}
            hook = {"webhook_url": older.url, "webhook_secret": older.secret, "webhook_dialect": "camel"}
            at.house.openai.script = using(("lookup", "{}"))
            await at.number(await at.assistant(**with_tools(tool), **hook))
            await at.call_in()
            (report,) = await at.reports(of=older)
            assert older.order == [
                *("assistant-request", "status-update", "tool-calls", "status-update", "end-of-call-report")
            ]
            assert report["assistant"]["firstMessage"] == "Hallo."
            assert at.told_model() == ["found"]

    play(scene())


def test_a_receiver_without_a_secret_gets_no_signature(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, webhook={"secret": ""}) as at, serving(CustomersServer(secret="")) as plain:
            await at.number(await at.assistant(webhook_url=plain.url, webhook_secret=None, webhook_events=EVENTS))
            await at.call_in(question=False)
            await at.reports(of=plain)

    play(scene())


def test_the_analysis_is_in_the_report_and_on_the_call_without_a_wrapper(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:

            def model(request: dict[str, Any]) -> Answer:
                extracting = "Extract." in str(request["messages"])
                return Answer('{"sentiment": 8}' if extracting else "We open at nine.")

            at.house.openai.script = model
            await at.number(await at.assistant(analysis_plan=PLAN))
            await at.call_in()
            (report,) = await at.reports()
            assert report["analysis"] == {"sentiment": 8}
            asked = next(body for body in at.house.openai.requests if "Extract." in str(body["messages"]))
            assert "user_hangup" in asked["messages"][-1]["content"] and "{{" not in str(asked["messages"])
            assert (await at.client.call(report["call"]["id"]))["analysis_result"] == {"sentiment": 8}

    play(scene())
