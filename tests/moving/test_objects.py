"""Everything the customer keeps here: made in each generation's spelling, listed, changed, deleted (§4 to §23)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.mcp_server import ScriptedMcp, ScriptedTool
from tests.calls.house import play
from tests.moving import answers
from tests.moving.client import ApiError, Collection
from tests.moving.customer import BLOCKS, LINE, Place, moved
from tests.moving.shapes import envelope, listed

UNKNOWN = "497f6eca-0000-4000-8000-000000000000"


async def lifecycle(collection: Collection, made: dict[str, Any], change: dict[str, Any]) -> None:
    """What was made is listed, read, changed and deleted, and is gone."""
    assert made["id"] in [one["id"] for one in await collection.list()]
    assert await collection.get(made["id"]) == made
    changed = await collection.update(made["id"], **change)
    assert {key: changed[key] for key in change} == change
    await collection.delete(made["id"])
    assert made["id"] not in [one["id"] for one in await collection.list()]
    for object_id in (made["id"], UNKNOWN):
        with pytest.raises(ApiError) as caught:
            await collection.get(object_id)
        assert (caught.value.status, caught.value.error) == (404, "Not Found")


GENERATIONS: dict[str, dict[str, Any]] = {
    "only a name": {"name": "Front desk"},
    "current": {
        "name": "Front desk",
        "business_name": "The Shop",
        "notification_email": "desk@example.com",
        "first_message": "Hello.",
        "is_active": True,
        "max_duration_seconds": 300,
        "autonomous_silence_handling": True,
        "silence_timeout_seconds": 8,
        "voicemail_detection": True,
        "voicemail_message": "Call us back.",
        "gdpr_mode": False,
        "recording_consent": {"enabled": True, "message": "Press 1 to agree."},
        "webhook_url": "https://crm.example.com/hook",
        "webhook_secret": "whsec",
        "webhook_events": ["assistant-request"],
        "analysis_plan": {
            "structured_data_plan": {"enabled": True, "schema": {}, "messages": []},
            "min_messages_threshold": 5,
        },
        "speech_config": {"background_audio": {"enabled": True, "clip": "office", "volume": 0.3}},
        **BLOCKS,
    },
    "camelCase": {
        "name": "Front desk",
        "firstMessage": "Hello.",
        "maxDurationSeconds": 300,
        "analysisPlan": {"structuredDataPlan": {"enabled": True, "schema": {}}, "minMessagesThreshold": 5},
        "stt_config": BLOCKS["stt_config"],
        "llm_config": {**BLOCKS["llm_config"], "tools": [{"type": "endCall"}]},
        "tts_config": {"provider": "11labs", "voiceId": "anna"},
    },
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", ["assistants", "agents"])
def test_assistants_of_every_generation_live_and_are_read(tmp_path: Path, generation: str, name: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            collection: Collection = getattr(at.client, name)
            body = GENERATIONS[generation]
            made = await collection.create(**body)
            if generation == "current":
                for key, value in body.items():
                    if not key.endswith("_config") and key != "analysis_plan":
                        assert made[key] == value, key
                for key in ("stt_config", "llm_config", "tts_config"):
                    assert made[key].items() >= body[key].items(), key
            if generation == "camelCase":
                assert (made["first_message"], made["max_duration_seconds"]) == ("Hello.", 300)
                assert made["analysis_plan"]["min_messages_threshold"] == 5
                assert made["analysis_plan"]["structured_data_plan"]["enabled"] is True
                assert (made["tts_config"]["provider"], made["tts_config"]["voice_id"]) == ("elevenlabs", "anna")
                assert made["llm_config"]["tools"] == [{"type": "end_call"}]
            cleared = {"first_message": None, "max_duration_seconds": None, "business_name": None}
            emails = {"notification_emails": ["a@example.com", "b@example.com"]}
            await lifecycle(collection, made, {"name": "Night desk", **cleared, **emails})

    play(scene())


def test_what_was_read_can_be_sent_back_and_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            made = await at.client.assistants.create(**GENERATIONS["current"])
            again = await at.client.assistants.update(made["id"], **made)
            assert again | {"updated_at": ""} == made | {"updated_at": ""}
            copy = await at.client.assistants.create(**made)
            own = ("id", "created_at", "updated_at")
            assert {key: copy[key] for key in copy if key not in own} == {
                key: made[key] for key in made if key not in own
            }

    play(scene())


NUMBERS: dict[str, dict[str, Any]] = {
    "guide": {"phone_number": LINE, "name": "Main line", "assistant_id": "DESK"},
    "library": {"phone_number": LINE, "agent_id": "DESK", "is_active": True, "workflow_id": None},
    "introduction": {"number": LINE, "assistant_id": "DESK"},
    "camelCase": {"phoneNumber": LINE, "agentId": "DESK", "isActive": True},
    "nobody's": {"phone_number": LINE},
}


@pytest.mark.parametrize("spelling", NUMBERS)
def test_numbers_in_every_spelling_live_and_lose_a_deleted_assistant(tmp_path: Path, spelling: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            desk = await at.assistant(business_name="The Shop")
            body = {key: desk["id"] if value == "DESK" else value for key, value in NUMBERS[spelling].items()}
            made = await at.client.numbers.create(**body)
            assert made["phone_number"] == LINE
            linked = spelling != "nobody's"
            assert made["assistant_id"] == made["agent_id"] == (desk["id"] if linked else None)
            assert made["agent_name"] == ("Front desk" if linked else None)
            await at.client.assistants.delete(desk["id"])
            orphan = await at.client.numbers.get(made["id"])
            assert orphan["assistant_id"] is None and orphan["agent_id"] is None
            await lifecycle(at.client.numbers, orphan, {"is_active": False, "agent_id": None, "workflow_id": None})

    play(scene())


TRUNKS: dict[str, dict[str, Any]] = {
    "guide": {"name": "Carrier", "host": "192.168.1.100", "port": 5060, "username": "u", "password": "p"},
    "library 1.0": {
        **{"name": "Carrier", "provider": "voys", "inbound_addresses": ["192.0.2.1"]},
        **{"outbound_address": "sip.example.com", "outbound_number": LINE, "auth_username": "u", "auth_password": "p"},
    },
    "library": {
        **{"name": "Carrier", "provider": "voys", "address": "sip.example.com", "auth_username": "u"},
        **{"auth_password": "p", "transport": "tls"},
    },
}


@pytest.mark.parametrize("generation", TRUNKS)
def test_trunks_of_every_generation_are_kept_without_their_password(tmp_path: Path, generation: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            made = await at.client.trunks.create(**TRUNKS[generation])
            assert made["auth_username"] == "u" and not {"password", "auth_password"} & made.keys()
            assert await at.client.trunks.list() == [made]
            assert await at.client.trunks.get(made["id"]) == made
            await at.client.trunks.delete(made["id"])
            assert await at.client.trunks.list() == []

    play(scene())


PARAMETERS = {"type": "object", "properties": {"query": {"type": "string"}}}
FUNCTION = {"name": "lookup", "description": "Look it up.", "parameters": PARAMETERS}
URL = "https://tools.example.com/lookup"

TOOL_TEMPLATES: dict[str, dict[str, Any]] = {
    "current": {"name": "Lookup", "tool_type": "function", "tool_config": {**FUNCTION, "url": URL, "async": False}},
    "guide": {**FUNCTION, "type": "function", "url": URL, "async": False},
    "library 1.0": {"name": "lookup", "function_definition": FUNCTION, "server_url": URL, "async": False},
    "end_call": {"name": "End", "tool_type": "end_call", "tool_config": {}},
    "transfer_call": {
        "name": "Sales",
        "tool_type": "transfer_call",
        "tool_config": {"destinations": [{"type": "number", "number": "+31201234567", "description": "Sales."}]},
    },
}


@pytest.mark.parametrize("generation", TOOL_TEMPLATES)
def test_tool_templates_of_every_generation_live(tmp_path: Path, generation: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            made = await at.client.tool_templates.create(**TOOL_TEMPLATES[generation])
            if made["tool_type"] == "function":
                config = made["tool_config"]
                assert {key: config[key] for key in FUNCTION} == FUNCTION
                assert (config["url"], config["async"]) == (URL, False)
            await lifecycle(at.client.tool_templates, made, {"name": "renamed", "description": "Changed."})

    play(scene())


SCHEMA = {"type": "object", "properties": {"sentiment": {"type": "integer"}}}
MESSAGES = [{"role": "system", "content": "Extract {{schema}}."}, {"role": "user", "content": "{{transcript}}"}]
ANALYSIS: dict[str, dict[str, Any]] = {
    "current": {
        **{"name": "Mood", "system_prompt": "Judge.", "user_prompt": "{transcript} {summary} {duration}"},
        **{"schema": SCHEMA},
    },
    "guide": {"name": "Mood", "schema": SCHEMA, "messages": MESSAGES, "min_messages_threshold": 5},
    "library 1.0": {"name": "Mood", "schema": SCHEMA},
}


@pytest.mark.parametrize("generation", ANALYSIS)
def test_analysis_templates_of_every_generation_live(tmp_path: Path, generation: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            templates = at.client.analysis_templates
            if generation == "library 1.0":
                older = answers.OLDER_ANALYSIS_TEMPLATE
                templates.item = templates.in_list = older
            made = await templates.create(**ANALYSIS[generation])
            assert made["schema"] == SCHEMA
            await lifecycle(templates, made, {"name": "Other", "description": "Changed."})

    play(scene())


DEFINITION: dict[str, Any] = {
    "version": 1,
    "entry_node": "intake",
    "global_prompt": "Be brief.",
    "nodes": [
        {"id": "intake", "type": "conversation", "instructions": "Ask.", "first_line": "Hello."},
        {"id": "look", "type": "tool", "tool_name": "lookup", "url": URL, "arguments": {"a": 1}},
        {"id": "sales", "type": "transfer", "destination": "+31201234567"},
        {"id": "bye", "type": "end", "first_line": "Goodbye."},
    ],
    "edges": [
        {"from": "intake", "to": "look", "description": "He asks about an order."},
        {"from": "intake", "to": "sales", "description": "He wants sales.", "message": "One moment."},
        {"from": "look", "to": "bye"},
    ],
}


def test_workflows_live_are_told_by_their_counts_and_stay_while_a_number_has_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            made = await at.client.workflows.create(name="Intake", definition=DEFINITION)
            assert made["definition"]["entry_node"] == "intake"
            (item,) = await at.client.workflows.list()
            assert (item["entry_node"], item["node_count"], item["edge_count"]) == ("intake", 4, 3)
            number = await at.number(workflow_id=made["id"])
            assert number["workflow_name"] == "Intake"
            with pytest.raises(ApiError) as caught:
                await at.client.workflows.delete(made["id"])
            assert caught.value.status == 409
            await at.client.numbers.update(number["id"], workflow_id=None)
            await lifecycle(at.client.workflows, made, {"name": "Other", "is_active": False})

    play(scene())


def test_a_wrong_workflow_is_refused_with_every_fault(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            wrong = {
                **DEFINITION,
                "entry_node": "bye",
                "edges": [{"from": "intake", "to": "intake", "description": "x"}],
            }
            with pytest.raises(ApiError) as caught:
                await at.client.workflows.create(name="Wrong", definition=wrong)
            assert caught.value.status == 400 and len(caught.value.details) >= 2
            assert all(isinstance(detail, str) for detail in caught.value.details)
            node = {**DEFINITION["nodes"][0], "llm_config": {"provider": "xai_realtime", "model": "m"}}
            realtime = {"version": 1, "entry_node": "intake", "nodes": [node], "edges": []}
            with pytest.raises(ApiError) as caught:
                await at.client.workflows.create(name="Wrong", definition=realtime)
            assert caught.value.body["code"] == "realtime_provider_not_allowed_per_node"

    play(scene())


def test_mcp_servers_live_and_are_tested_with_headers_that_nobody_reads_back(tmp_path: Path) -> None:
    async def scene() -> None:
        token = {"Authorization": "Bearer hunter2"}
        async with moved(tmp_path) as at, ScriptedMcp(ScriptedTool("stock"), headers=token) as server:
            servers = at.client.mcp_servers
            made = await servers.create(name="Stock", url=server.url, headers=token)
            assert (made["transport"], made["timeout_seconds"]) == ("streamable_http", 20)
            assert made["header_names"] == ["Authorization"] and "headers" not in made
            tested = await at.client.read(answers.MCP_GOOD, "POST", f"/mcp-servers/{made['id']}/test")
            assert tested["ok"] is True and tested["tools"][0]["name"] == "stock"
            await servers.update(made["id"], headers={"Authorization": "Bearer wrong"})
            tested = await at.client.read(answers.MCP_BAD, "POST", f"/mcp-servers/{made['id']}/test")
            assert tested["ok"] is False
            with pytest.raises(ApiError) as caught:
                await servers.update(made["id"], url="https://other.example.com/mcp")
            assert caught.value.status == 400
            borrowed = {"type": "mcp", "mcp_server_id": made["id"], "allowed_tools": ["stock"]}
            llm = {**BLOCKS["llm_config"], "tools": [borrowed]}
            desk = await at.client.assistants.create(name="Desk", llm_config=llm)
            with pytest.raises(ApiError) as caught:
                await servers.delete(made["id"])
            assert caught.value.status == 409
            await at.client.assistants.delete(desk["id"])
            made = await servers.get(made["id"])
            await lifecycle(servers, made, {"name": "Other", "timeout_seconds": 30})

    play(scene())


def campaign(agent_id: str, **more: Any) -> dict[str, Any]:
    """The one of the contract's §20."""
    return {
        "name": "Reminders",
        "agent_id": agent_id,
        "system_message_template": "Call {{name}} about {{date}}",
        "schedule_start_time": "09:00:00",
        "schedule_end_time": "17:00:00",
        "timezone": "Europe/Amsterdam",
        "leads": [{"phone_number": "+31612345678", "variables": {"name": "Jan", "date": "2026-03-25"}}],
        **more,
    }


def a_place_at_night() -> str:
    """Where nobody is called before 9 or after 17 now."""
    return "Pacific/Auckland" if 7 <= datetime.now(UTC).hour < 18 else "UTC"


async def outbound_desk(at: Place) -> str:
    """The prerequisites: an active assistant, a number, a trunk on it."""
    desk = await at.assistant()
    trunk = await at.client.trunks.create(name="Carrier", provider="voys", address="sip.example.com")
    await at.number(desk, transfer_trunk_id=trunk["id"])
    return str(desk["id"])


@pytest.mark.parametrize("times", [("09:00:00", "17:00:00"), ("09:00", "17:00")])
def test_campaigns_live_with_their_leads_oldest_first(tmp_path: Path, times: tuple[str, str]) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            hours = {"schedule_start_time": times[0], "schedule_end_time": times[1], "timezone": a_place_at_night()}
            made = await at.client.campaigns.create(**campaign(await outbound_desk(at), **hours))
            assert (made["status"], made["total_leads"]) == ("draft", 1)
            assert (made["schedule_start_time"], made["schedule_end_time"]) == ("09:00:00", "17:00:00")
            leads = at.client.leads(made["id"])
            added = await leads.create(phone_number="+31612345679", variables={"name": "Ann"})
            assert (added["status"], added["attempts"], added["call_id"]) == ("pending", 0, None)
            assert [lead["phone_number"] for lead in await leads.list()] == ["+31612345678", "+31612345679"]
            older = await at.client.ask("GET", leads.path, limit=1, offset=1)
            assert [lead["id"] for lead in older["leads"]] == [added["id"]] and older["pagination"]["total"] == 2
            await leads.delete(added["id"])
            assert len(await leads.list()) == 1
            started = await at.client.campaigns.update(made["id"], status="scheduled")
            assert started["status"] == "scheduled"
            paused = await at.client.campaigns.update(made["id"], status="paused", name="Other")
            assert (paused["status"], paused["name"]) == ("paused", "Other")
            cancelled = await at.client.campaigns.update(made["id"], status="cancelled")
            assert cancelled["status"] == "cancelled"
            await at.client.campaigns.delete(made["id"])
            assert await at.client.campaigns.list() == []

    play(scene())


def test_what_belongs_to_the_installation_is_read(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            await at.assistant()
            health = await at.client.read(answers.HEALTH, "GET", "/health")
            assert health["checks"]["database"]["status"] == "ok" and "latency_ms" in health["checks"]["database"]
            organization = await at.client.read(answers.ORGANIZATION, "GET", "/organizations")
            assert organization["active_agents"] >= 1
            with_children = await at.client.read(answers.ORGANIZATION, "GET", "/organizations", include_children="true")
            assert with_children["children"] == []
            account = await at.client.read(answers.ACCOUNT, "GET", "/account")
            assert account["id"] == organization["id"]
            days = {"content_retention_days": 30, "metadata_retention_days": 730}
            await at.client.read(answers.ORGANIZATION, "PATCH", "/organizations", days)
            with pytest.raises(ApiError) as caught:
                await at.client.ask("PATCH", "/organizations", {"content_retention_days": 30})
            assert caught.value.status == 400
            await at.client.read(envelope("voices", listed(answers.VOICE)), "GET", "/voices")
            await at.client.usage(start_date="2025-12-01", end_date="2025-12-31")

    play(scene())


def test_keys_of_his_own_are_set_told_of_and_taken_away(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, providers={}) as at:
            body = {"provider": "deepgram", "api_key": "dg_0123456789abcdef"}
            told = await at.client.read(answers.BYOK_CHANGED, "POST", "/byok", body)
            assert told["success"] is True and told["byok_keys"]["deepgram_secret_id"]
            shown = await at.client.read(answers.BYOK, "GET", "/byok")
            assert shown["byok_keys"] == told["byok_keys"] and "dg_0123" not in str(shown)
            told = await at.client.read(answers.BYOK_CHANGED, "DELETE", "/byok", {"provider": "deepgram"})
            assert told["byok_keys"]["deepgram_secret_id"] is None
            config = {"provider": "openai", "base_url": "http://127.0.0.1:8000/v1"}
            await at.client.read(answers.BYOK_CONFIG, "POST", "/byok/config", config)

    play(scene())
