"""The answers of the platform's REST API, as its newest client library types them (contract §2 to §6, §16, §20ff)."""

from tests.moving.shapes import (
    anything,
    block,
    clock,
    flag,
    listed,
    mapped,
    maybe,
    moment,
    number,
    one_of,
    shape,
    text,
    uuid,
    whole,
)

_STAMPS = {"created_at": moment, "updated_at": moment}

ASSISTANT = shape(
    {
        "id": uuid,
        "name": text,
        "business_name": maybe(text),
        "notification_email": maybe(text),
        "notification_emails": maybe(listed(text)),
        "first_message": maybe(text),
        "is_active": flag,
        "max_duration_seconds": maybe(whole),
        "autonomous_silence_handling": flag,
        "silence_timeout_seconds": maybe(whole),
        "voicemail_detection": maybe(flag),
        "voicemail_message": maybe(text),
        "gdpr_mode": flag,
        "recording_consent": maybe(shape({"enabled": flag, "message": text})),
        "webhook_url": maybe(text),
        "webhook_secret": maybe(text),
        "webhook_events": maybe(listed(text)),
        "analysis_plan": maybe(block),
        "stt_config": maybe(block),
        "llm_config": block,
        "tts_config": maybe(block),
        "speech_config": maybe(block),
        **_STAMPS,
    }
)

CALL = shape(
    {
        "id": text,
        "caller_phone": maybe(text),
        "assistant_phone": maybe(text),
        "status": one_of("connecting", "in-progress", "ended", "failed"),
        "direction": maybe(one_of("inbound", "outbound", "web")),
        "end_reason": maybe(text),
        "error": maybe(text),
        "started_at": maybe(moment),
        "ended_at": maybe(moment),
        "duration_seconds": maybe(whole),
        "summary": maybe(text),
        "analysis_result": maybe(block),
        "messages": listed(shape({"role": one_of("system", "user", "assistant"), "content": text})),
        "room_name": maybe(text),
        "recording_url": maybe(text),
        "agent_id": maybe(text),
        "number_id": maybe(text),
        "agent_name": maybe(text),
        "business_name": maybe(text),
        "phone_number": maybe(text),
        **_STAMPS,
    }
)

PAGINATION = shape({"total": whole, "limit": whole, "offset": whole}, closed=True)
CALLS = shape({"calls": listed(CALL), "pagination": PAGINATION}, closed=True)
DIALLED = shape({"success": flag, "call_id": text, "status": one_of("dialing")}, {"room_name": text}, closed=True)
CONTROLLED = shape({"success": flag}, {"message": text}, closed=True)
DELETED = shape({"success": flag}, closed=True)

NUMBER = shape(
    {
        "id": uuid,
        "phone_number": text,
        "name": maybe(text),
        "assistant_id": maybe(uuid),
        "agent_id": maybe(uuid),
        "agent_name": maybe(text),
        "business_name": maybe(text),
        "transfer_trunk_id": maybe(uuid),
        "transfer_trunk_name": maybe(text),
        "workflow_id": maybe(uuid),
        "workflow_name": maybe(text),
        "source": text,
        "is_active": flag,
        **_STAMPS,
    }
)

TRUNK = shape(
    {
        "id": uuid,
        "org_id": uuid,
        "name": text,
        "provider": text,
        "address": text,
        "auth_username": maybe(text),
        "transport": one_of("udp", "tcp", "tls"),
        "is_active": flag,
        **_STAMPS,
    }
)

CAMPAIGN = shape(
    {
        "id": uuid,
        "name": text,
        "agent_id": uuid,
        "status": one_of("draft", "scheduled", "paused", "completed", "cancelled"),
        "system_message_template": maybe(text),
        "schedule_start_time": clock,
        "schedule_end_time": clock,
        "timezone": text,
        "total_leads": whole,
        "completed_leads": whole,
        "failed_leads": whole,
        **_STAMPS,
    }
)

LEAD = shape(
    {
        "id": uuid,
        "campaign_id": uuid,
        "phone_number": text,
        "variables": maybe(block),
        "status": one_of("pending", "calling", "completed", "failed", "skipped"),
        "call_id": maybe(text),
        "attempts": whole,
        "last_attempt_at": maybe(moment),
        "created_at": moment,
    }
)

TOOL_TEMPLATE = shape(
    {
        "id": uuid,
        "org_id": uuid,
        "name": text,
        "description": maybe(text),
        "tool_type": one_of("function", "end_call", "transfer_call"),
        "tool_config": block,
        **_STAMPS,
    }
)

ANALYSIS_TEMPLATE = shape(
    {
        "id": uuid,
        "org_id": uuid,
        "name": text,
        "description": maybe(text),
        "system_prompt": text,
        "user_prompt": text,
        "schema": block,
        **_STAMPS,
    }
)

OLDER_ANALYSIS_TEMPLATE = shape({"id": uuid, "name": text, "description": maybe(text), "schema": block, **_STAMPS})
"""What earlier client libraries knew of one: no prompts."""

WORKFLOW = shape({"id": uuid, "name": text, "is_active": flag, "definition": block, **_STAMPS})
WORKFLOW_ITEM = shape(
    {
        "id": uuid,
        "name": text,
        "is_active": flag,
        "entry_node": maybe(text),
        "node_count": whole,
        "edge_count": whole,
        **_STAMPS,
    }
)

MCP_SERVER = shape(
    {
        "id": uuid,
        "name": text,
        "url": text,
        "transport": one_of("streamable_http", "sse"),
        "header_names": listed(text),
        "timeout_seconds": whole,
        **_STAMPS,
    }
)
_MCP_TOOL = shape({"name": text, "description": maybe(text), "input_schema": block})
MCP_GOOD = shape({"ok": flag, "duration_ms": whole, "tools": listed(_MCP_TOOL)}, closed=True)
MCP_BAD = shape({"ok": flag, "duration_ms": whole, "error": text}, closed=True)

USAGE_LOG = shape(
    {
        "id": text,
        "duration_sec": whole,
        "call_type": one_of("phone", "web"),
        "phone_number": maybe(text),
        "agent_name": maybe(text),
        "business_name": maybe(text),
        "created_at": moment,
    }
)
USAGE = shape(
    {
        "logs": listed(USAGE_LOG),
        "pagination": PAGINATION,
        "summary": shape({"total_calls": whole, "total_duration_seconds": whole, "total_duration_minutes": number}),
    },
    closed=True,
)

VOICE = shape(
    {"id": text, "name": text}, {"language": text, "description": shape({}, {"en": text, "nl": text}, closed=True)}
)

BYOK_KEYS = shape(
    {
        f"{provider}_secret_id": maybe(text)
        for provider in (
            *("deepgram", "openai", "elevenlabs", "inworld", "resend", "xai", "gladia", "mistral", "google"),
            "google_vertex",
        )
    }
)
BYOK = shape({"byok_keys": BYOK_KEYS}, closed=True)
BYOK_CHANGED = shape({"success": flag, "byok_keys": BYOK_KEYS}, closed=True)
BYOK_CONFIG = shape({"byok_config": anything}, closed=True)

ORGANIZATION = shape(
    {
        "id": uuid,
        "name": text,
        "minutes_balance": number,
        "monthly_usage_minutes": number,
        "active_numbers": whole,
        "active_agents": whole,
        "active_calls": whole,
    },
    {
        "has_local_models_access": flag,
        "parent_org_id": maybe(uuid),
        "children": listed(shape({"id": uuid, "name": text, "created_at": moment})),
    },
)
ACCOUNT = shape(
    {
        "id": uuid,
        "email": text,
        "company_name": text,
        "minutes_balance": number,
        "monthly_usage_minutes": number,
        "active_numbers": whole,
        "active_agents": whole,
        "active_calls": whole,
    }
)

HEALTH = shape(
    {
        "status": one_of("ok", "degraded"),
        "timestamp": moment,
        "version": text,
        "checks": mapped(shape({"status": text}, {"latency_ms": number})),
    }
)
