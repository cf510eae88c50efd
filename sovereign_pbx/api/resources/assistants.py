"""`/assistants` (contract §4), and `/agents`, as they were called before."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sovereign_pbx.api.errors import invalid
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.crud import SERVER_OWNED, Fields, Resource, in_use, may_see_secrets, plain
from sovereign_pbx.api.resources.references import missing_mcp_servers, nowhere, numbers_with, told_numbers
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
from sovereign_pbx.assistants.problem import Problem, Report
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Table
from sovereign_pbx.calls.campaigns import Campaigns

CheckProviders = Callable[[Mapping[str, Any]], Awaitable[Sequence[Problem]]]
"""What is wrong with the `stt_config`, `llm_config` and `tts_config` among these: providers, models, settings."""

BODY = Table(
    *(
        dataclasses.replace(key, required=key.name == "name")
        for key in ASSISTANT.keys.values()
        if key.name not in SERVER_OWNED
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
    "webhook_dialect": TEXT,
    "analysis_plan": MAYBE_OBJECT,
    "stt_config": OBJECT,
    "llm_config": OBJECT,
    "tts_config": MAYBE_OBJECT,
    "speech_config": MAYBE_OBJECT,
    "phrases": MAYBE_OBJECT,
    "metadata": OBJECT,
    "created_at": MAYBE_TIME,
    "updated_at": MAYBE_TIME,
}
SCHEMA = object_schema(_FIELDS) | {"additionalProperties": True}
"""An assistant, as it is answered."""

_NULL_UNLESS_GIVEN = ("notification_emails", "speech_config", "phrases")


def operations(estate: Estate, campaigns: Campaigns, providers: CheckProviders) -> list[Operation]:
    """List, make, get, change and delete assistants."""

    async def check(entry: Entry[Assistant], before: Entry[Assistant] | None, asked: Asked) -> None:
        report = Report()
        missing_mcp_servers(estate, asked.body.get("llm_config", {}).get("tools"), ("llm_config", "tools"), report)
        _missing_template(estate, asked.body, report)
        problems = [*report.errors, *await providers(asked.body)]
        if problems:
            raise invalid(problems)

    async def unlink(entry: Entry[Assistant]) -> None:
        """The numbers it answered have no assistant any more (contract §4.1); those of the file can't be changed, and a
        campaign can't do without."""
        linked = numbers_with(estate, lambda number: number.assistant, estate.directory.assistant, entry.id)
        calling = [f"the campaign {one.row.name!r} ({one.row.id})" for one in await campaigns.unfinished_of(entry.id)]
        in_use("assistant", [*told_numbers(number for number in linked if number.place), *calling])
        for number in linked:
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
        check=check,
        removing=unlink,
    ).operations()


def show(entry: Entry[Assistant], asked: Asked) -> dict[str, Any]:
    """The REST object. Secrets (its own and its tools') are shown to keys that could change them, so that an object
    which is read, changed and sent back loses none; and never those of the administrator's file."""
    assistant = entry.thing
    public = assistant.to_public()
    if may_see_secrets(entry, asked):
        public = {name: plain(getattr(assistant, name)) for name in ASSISTANT.keys}
    shown = {name: public.get(name) for name in _FIELDS} | dict(assistant.extra)
    shown |= {name: None for name in _NULL_UNLESS_GIVEN if name not in assistant.given}
    shown["webhook_secret"] = shown["webhook_secret"] or None
    shown["tts_config"] = shown["tts_config"] or None  # only a realtime model has none (contract §4.1)
    shown["id"] = entry.id
    shown["created_at"] = entry.created_at or None
    shown["updated_at"] = entry.updated_at or None
    return shown


def _missing_template(estate: Estate, sent: Mapping[str, Any], report: Report) -> None:
    plan = (sent.get("analysis_plan") or {}).get("structured_data_plan", {})
    wanted = plan.get("template_id")
    if wanted and estate.analysis_template(wanted) is None:
        path = ("analysis_plan", "structured_data_plan", "template_id")
        report.error(path, nowhere("analysis template", wanted))
