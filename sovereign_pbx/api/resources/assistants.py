"""`/assistants` (contract §4), and `/agents`, as they were called before."""

import dataclasses
from typing import Any

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.crud import Fields, Resource
from sovereign_pbx.api.schema import (
    FLAG,
    MAYBE_OBJECT,
    MAYBE_TIME,
    OBJECT,
    STRING,
    TEXT,
    WHOLE,
    object_schema,
)
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.model import ASSISTANT, Assistant
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Table

_SERVER_OWNED = ("id", "created_at", "updated_at")

BODY = Table(
    *(
        dataclasses.replace(key, required=key.name == "name")
        for key in ASSISTANT.keys.values()
        if key.name not in _SERVER_OWNED
    ),
    open=True,
)
"""What a client may send: the fields of the contract, and whatever it wants echoed."""

_FIELDS: dict[str, Any] = {
    "id": STRING,
    "name": STRING,
    "business_name": TEXT,
    "notification_email": TEXT,
    "notification_emails": {"type": ["array", "null"], "items": STRING},
    "first_message": TEXT,
    "is_active": FLAG,
    "max_duration_seconds": WHOLE,
    "autonomous_silence_handling": FLAG,
    "silence_timeout_seconds": {"type": ["number", "null"]},
    "voicemail_detection": FLAG,
    "voicemail_message": TEXT,
    "gdpr_mode": FLAG,
    "recording_consent": MAYBE_OBJECT,
    "webhook_url": TEXT,
    "webhook_secret": TEXT,
    "webhook_events": {"type": ["array", "null"], "items": STRING},
    "analysis_plan": MAYBE_OBJECT,
    "stt_config": OBJECT,
    "llm_config": OBJECT,
    "tts_config": OBJECT,
    "speech_config": MAYBE_OBJECT,
    "metadata": OBJECT,
    "created_at": MAYBE_TIME,
    "updated_at": MAYBE_TIME,
}
SCHEMA = object_schema(_FIELDS) | {"additionalProperties": True}
"""An assistant, as it is answered."""


def operations(estate: Estate) -> list[Operation]:
    """List, make, get, change and delete assistants."""

    async def unlink(entry: Entry[Assistant]) -> None:
        """The numbers it answered have no assistant any more (contract §4.1)."""
        for number in list(estate.numbers):
            if number.fields.get("assistant") == entry.id:
                kept: Fields = {name: value for name, value in number.fields.items() if name != "assistant"}
                thing = dataclasses.replace(number.thing, assistant="")
                await estate.numbers.put(dataclasses.replace(number, fields=kept, thing=thing))

    return Resource(
        path="/assistants",
        aliases=("/agents",),
        one="assistant",
        many="assistants",
        title="assistant",
        operation="Assistant",
        shelf=estate.assistants,
        body=BODY,
        read=Assistant.read,
        show=show,
        schema=SCHEMA,
        removing=unlink,
    ).operations()


def show(entry: Entry[Assistant], asked: Asked) -> dict[str, Any]:
    """The REST object. Its secret is shown to keys that could change it, and never one of the administrator's file."""
    assistant = entry.thing
    public = assistant.to_public()
    shown = {name: public.get(name) for name in _FIELDS} | dict(assistant.extra)
    if not entry.place and asked.key is not None and asked.key.may("admin"):
        shown["webhook_secret"] = assistant.webhook_secret or None
    shown["id"] = entry.id
    shown["created_at"] = entry.created_at or None
    shown["updated_at"] = entry.updated_at or None
    return shown
