"""`/assistants` as a client of the hosted platform uses it (contract §4)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.rest import serving_rest


def test_an_assistant_is_made_read_changed_and_removed(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/assistants", {"name": "Front desk", "first_message": "Hello."})
            assert made.status == 201
            assistant = made.body["assistant"]
            assert (await api.get("/assistants")).body == {"assistants": [assistant]}
            changed = await api.patch(f"/assistants/{assistant['id']}", {"first_message": None, "is_active": False})
            assert changed.body["assistant"]["first_message"] is None
            assert changed.body["assistant"]["is_active"] is False
            assert changed.body["assistant"]["name"] == "Front desk"
            assert (await api.delete(f"/assistants/{assistant['id']}")).body == {"success": True}
            assert (await api.get(f"/assistants/{assistant['id']}")).status == 404

    asyncio.run(run())


def test_an_assistant_is_there_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            fields = {"name": "Desk", "metadata": {"crm": None}, "webhook_secret": "a secret"}
            made = (await api.post("/assistants", fields)).body["assistant"]
        async with serving_rest(tmp_path) as api:
            assert (await api.get(f"/assistants/{made['id']}")).body == {"assistant": made}
            assert made["metadata"] == {"crm": None}

    asyncio.run(run())


def test_the_administrators_own_is_readable_and_refuses_changes_with_its_place(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, assistants={"desk": {"webhook_secret": "a secret"}}) as api:
            (assistant,) = (await api.get("/assistants")).body["assistants"]
            assert assistant["webhook_secret"] is None
            for got in (
                await api.patch(f"/assistants/{assistant['id']}", {"name": "Mine"}),
                await api.delete(f"/assistants/{assistant['id']}"),
            ):
                assert (got.status, got.body["code"]) == (409, "owned_by_file")
                assert "config.toml:" in got.body["message"]

    asyncio.run(run())


def test_without_a_key_and_with_too_small_a_scope_nothing_is_done(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assert (await api.as_key("").get("/assistants")).status == 401
            assert (await api.as_key("fl_live_guess").get("/assistants")).body["code"] == "unauthorized"
            reader = await api.with_scopes("read")
            assert (await reader.get("/assistants")).status == 200
            refused = await reader.post("/assistants", {"name": "Desk"})
            assert (refused.status, refused.body["error"], refused.body["code"]) == (403, "Forbidden", "forbidden")

    asyncio.run(run())


def test_what_is_not_given_has_the_defaults_of_the_contract(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = (await api.post("/assistants", {"name": "Desk"})).body["assistant"]
            blocks = {name: made.pop(name) for name in ("stt_config", "llm_config", "tts_config")}
            assert all(block["provider"] for block in blocks.values())
            for name in ("id", "created_at", "updated_at"):
                assert made.pop(name)
            given = {"name": "Desk", "is_active": True, "metadata": {}}
            off = ("autonomous_silence_handling", "voicemail_detection", "gdpr_mode")
            assert made == dict.fromkeys(made) | given | dict.fromkeys(off, False)
            assert len(made) == 21

    asyncio.run(run())


FULL: dict[str, Any] = {
    "name": "Desk",
    "business_name": "Bakery",
    "notification_email": "a@example.com",
    "notification_emails": ["b@example.com", "c@example.com"],
    "first_message": "Hello.",
    "is_active": False,
    "max_duration_seconds": 300,
    "autonomous_silence_handling": True,
    "silence_timeout_seconds": 8,
    "voicemail_detection": True,
    "voicemail_message": "Call us.",
    "gdpr_mode": True,
    "recording_consent": {"enabled": True, "message": "Press 1."},
    "webhook_url": "https://example.com/hook",
    "webhook_secret": "a secret",
    "webhook_events": ["status-update"],
    "webhook_dialect": "camel",
    "analysis_plan": {
        "structured_data_plan": {"enabled": True, "schema": {"type": "object"}, "messages": []},
        "min_messages_threshold": 5,
    },
    "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "nl", "keyterms": ["SIP"]},
    "llm_config": {
        "provider": "openai",
        "model": "gpt-5.4",
        "temperature": 0.2,
        "messages": [{"role": "system", "content": "Be kind."}],
        "tools": [
            {
                "name": "look_up",
                "description": "Looks up.",
                "server": {"url": "https://e.com/", "secret": "tool secret"},
            },
            {"type": "end_call"},
        ],
    },
    "tts_config": {"provider": "elevenlabs", "voice_id": "anna", "stability": 0.5},
    "speech_config": {"turn_taking": {"interruption_min_words": 2, "false_interruption_timeout": None}},
    "phrases": {"filler": "One moment."},
    "metadata": {"crm": {"id": 7, "none": None}},
    "my_own_key": {"anything": [1, None]},
}


def test_every_field_comes_back_as_it_was_sent_also_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/assistants", FULL)
            assert made.status == 201, made.body
            assistant = made.body["assistant"]
            assert {name: assistant[name] for name in FULL} == FULL
        async with serving_rest(tmp_path) as api:
            path = f"/assistants/{assistant['id']}"
            assert (await api.get(path)).body["assistant"] == assistant
            again = (await api.patch(path, assistant)).body["assistant"]
            assert again | {"updated_at": 0} == assistant | {"updated_at": 0}
            assert again["updated_at"] >= assistant["updated_at"]

    asyncio.run(run())


def test_null_clears_every_field_but_the_name(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            empty = (await api.post("/assistants", {"name": "Desk"})).body["assistant"]
            path = f"/assistants/{(await api.post('/assistants', FULL)).body['assistant']['id']}"
            cleared = await api.patch(path, {name: None for name in FULL if name != "name"})
            own = ("id", "created_at", "updated_at")
            wanted = {name: value for name, value in empty.items() if name not in own}
            assert {name: value for name, value in cleared.body["assistant"].items() if name not in own} == wanted
            refused = await api.patch(path, {"name": None})
            assert refused.body["details"] == ["name: must be text of 1 to 200 characters, not null"]

    asyncio.run(run())


def test_bodies_of_the_older_generation_are_taken_and_the_newer_is_answered(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            older = {
                "name": "Desk",
                "firstMessage": "Hello.",
                "maxDurationSeconds": 300,
                "webhookEvents": ["tool-calls"],
                "analysisPlan": {"structuredDataPlan": {"enabled": False}, "minMessagesThreshold": 3},
                "tts_config": {"provider": "11labs", "voiceId": "anna"},
                "llm_config": {
                    "provider": "openai",
                    "model": "gpt-5.4",
                    "tools": [
                        {"type": "endCall"},
                        {"type": "function", "function": {"name": "f", "description": "F."}, "async": True},
                        {"name": "g", "description": "G.", "asyncResponse": "Noted."},
                    ],
                },
            }
            made = await api.post("/agents", older)
            assert made.status == 201, made.body
            assistant = made.body["assistant"]
            assert (assistant["first_message"], assistant["max_duration_seconds"]) == ("Hello.", 300)
            assert assistant["analysis_plan"]["min_messages_threshold"] == 3
            assert assistant["tts_config"] == {"provider": "elevenlabs", "voice_id": "anna"}
            kinds = [tool.get("type", tool.get("async_response")) for tool in assistant["llm_config"]["tools"]]
            assert kinds == ["end_call", "function", "Noted."]
            path = f"/agents/{assistant['id']}"
            assert (await api.patch(path, {"firstMessage": None})).body["assistant"]["first_message"] is None
            assert "firstMessage" not in assistant

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({}, '"name" is missing (it must be text of 1 to 200 characters)'),
        ({"name": "x", "notification_emails": ["a@b.c"] * 6}, "notification_emails: "),
        ({"name": "x", "max_duration_seconds": 0}, "max_duration_seconds: "),
        ({"name": "x", "llm_config": {"provider": "openai", "temperature": 3}}, "llm_config.temperature: "),
        ({"name": "x", "tts_config": {"provider": "elevenlabs", "stability": 2}}, "tts_config.stability: "),
        ({"name": "x", "webhook_events": ["call-started"]}, "webhook_events[0]: "),
        ({"name": "x", "webhook_url": "example.com"}, "webhook_url: "),
        ({"name": "x", "stt_config": {"provider": "depgram"}}, "stt_config.provider: there is no provider 'depgram'"),
        ({"name": "x", "stt_config": {"model": "nova-3"}}, "stt_config.provider: "),
        ({"name": "x", "llm_config": {"provider": "google_realtime", "model": "m"}}, "llm_config.provider: "),
        ({"name": "x", "llm_config": {"tools": [{"name": "a b", "description": "?"}]}}, "llm_config.tools[0].name: "),
        ({"name": "x", "speech_config": {"silence": {"max_attempts": 11}}}, "speech_config.silence.max_attempts: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, body: dict[str, Any], line: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            refused = await api.post("/assistants", body)
            assert refused.status == 400
            assert refused.body["details"][0].startswith(line), refused.body
            assert (await api.get("/assistants")).body == {"assistants": []}

    asyncio.run(run())


def test_a_provider_whose_key_is_still_missing_is_no_fault_of_the_assistant(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            body = {"name": "Desk", "tts_config": {"provider": "elevenlabs", "voice_id": "anna"}}
            assert (await api.post("/assistants", body)).status == 201

    asyncio.run(run())


def test_secrets_are_shown_to_keys_that_could_change_them_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            path = f"/assistants/{(await api.post('/assistants', FULL)).body['assistant']['id']}"
            assert (await api.get(path)).body["assistant"]["webhook_secret"] == "a secret"
            for scopes in (("read",), ("read", "calls")):
                got = await (await api.with_scopes(*scopes)).get(path)
                assert got.body["assistant"]["webhook_secret"] is None
                assert "secret'" not in str(got.body).replace("webhook_secret'", "")

    asyncio.run(run())
