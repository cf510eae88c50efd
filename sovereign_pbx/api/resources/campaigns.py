"""`/campaigns` and their leads (contract §20)."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from sovereign_pbx.api.errors import ApiError, conflict, invalid
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.schema import (
    COUNT,
    MAYBE_TIME,
    OBJECT,
    PAGINATION,
    STRING,
    SUCCESS,
    TEXT,
    TIME,
    envelope,
    envelope_of_many,
    object_schema,
)
from sovereign_pbx.assistants.problem import InvalidSettings
from sovereign_pbx.assistants.shape import Flag, Text, Whole
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.campaign_csv import CsvRules
from sovereign_pbx.calls.campaign_fields import CHANGED, CLEARED, NEW, STATUSES, WEEKDAYS
from sovereign_pbx.calls.campaign_import import ImportReport
from sovereign_pbx.calls.campaign_leads import LEAD, LEADS
from sovereign_pbx.calls.campaign_zone import ZONE
from sovereign_pbx.calls.campaigns import Campaign, Campaigns, Lead

T = TypeVar("T")

_TAG: Final = "campaigns"
_WRITE: Final[dict[str, Any]] = {"scope": "calls", "errors": (409, 503)}
_CHUNK: Final = 200  # leads encoded at a time: the interpreter is the event loop's again after each

SCHEMA: Final = object_schema(
    {
        "id": STRING,
        "name": STRING,
        "agent_id": STRING,
        "number_id": TEXT,
        "status": {"enum": list(STATUSES)},
        "status_reason": TEXT,
        "system_message_template": TEXT,
        "schedule_start_time": STRING,
        "schedule_end_time": STRING,
        "timezone": STRING,
        "weekdays": {"type": "array", "items": {"enum": list(WEEKDAYS)}},
        "max_attempts": COUNT,
        "retry_minutes": COUNT,
        "retries": OBJECT,
        "message_left": {"enum": ["completed", "retry"]},
        "calls_at_once": COUNT,
        "calls_per_minute": COUNT,
        "total_leads": COUNT,
        "pending_leads": COUNT,
        "calling_leads": COUNT,
        "completed_leads": COUNT,
        "failed_leads": COUNT,
        "skipped_leads": COUNT,
        "created_at": TIME,
        "updated_at": TIME,
    }
)

LEAD_SCHEMA: Final = object_schema(
    {
        "id": STRING,
        "campaign_id": STRING,
        "phone_number": STRING,
        "variables": OBJECT,
        "status": {"enum": ["pending", "calling", "completed", "failed", "skipped"]},
        "outcome": TEXT,
        "error": TEXT,
        "call_id": TEXT,
        "attempts": COUNT,
        "last_attempt_at": MAYBE_TIME,
        "due_at": MAYBE_TIME,
        "timezone": TEXT,
        "timezones": {"type": "array", "items": STRING},
        "created_at": TIME,
    }
)

_NUMBERS: Final = {"type": "array", "items": STRING}

PAGE: Final = Table(
    Key("limit", Whole(1, 10_000), "Older clients: at most so many."),
    Key("offset", Whole(0, 1_000_000_000), "Older clients: after so many."),
)

IMPORTED: Final = Table(
    Key("csv", Text(1, 16_000_000), "The file's text, its first line naming the columns.", required=True),
    Key("country", Text(0, 4), "Of numbers without a country code, as in NL or 31; left out: as configured."),
    Key("phone_column", Text(0, 200), "The column of telephone numbers, where it is called something else."),
    Key("delimiter", Text(0, 1), "Between columns; left out: the one that is found."),
    Key("strict", Flag(), "Take none where a line is bad.", False),
    Key("dry_run", Flag(), "Take none, only tell what would be taken.", False),
)

_BAD_LINE: Final = object_schema({"line": COUNT, "column": STRING, "reason": STRING})
REPORT: Final = object_schema(
    {
        "lines": COUNT,
        "taken": COUNT,
        "bad": COUNT,
        "duplicates": COUNT,
        "do_not_call": COUNT,
        "bad_lines": {"type": "array", "items": _BAD_LINE},
        "duplicate_numbers": {"type": "array", "items": STRING},
        "do_not_call_numbers": {"type": "array", "items": STRING},
    }
)

ADDED: Final = Table(
    *(
        Key(key.name, ZONE if key.name == "timezone" else key.shape, key.doc, aliases=key.aliases, example=key.example)
        for key in LEAD.keys.values()  # whether the zone exists is on disk: looked up with the lead, in a thread
    ),
    Key("leads", LEADS, "Several at once, in place of one."),
    open=True,
)


def operations(campaigns: Campaigns) -> list[Operation]:
    """All of them."""
    here = _Resource(campaigns)
    return [*_of_campaigns(here), *_of_leads(here)]


class _Resource:
    """The handlers."""

    def __init__(self, campaigns: Campaigns) -> None:
        self._campaigns = campaigns

    async def all(self, asked: Asked) -> Any:
        return {"campaigns": [show(one) for one in await self._campaigns.all()]}

    async def get(self, asked: Asked) -> Any:
        return {"campaign": show(await self._campaigns.get(asked.ids["id"]))}

    async def create(self, asked: Asked) -> Any:
        fields = _fields(NEW, asked)
        leads = fields.pop("leads", ())
        made = await _checked(self._campaigns.create(fields, leads))
        return {"campaign": show(made), **_duplicates(made.duplicates)}

    async def change(self, asked: Asked) -> Any:
        cleared = {name: usual for name, usual in CLEARED.items() if name in asked.given and asked.given[name] is None}
        fields = {**_fields(CHANGED, asked), **cleared}
        return {"campaign": show(await _checked(self._campaigns.change(asked.ids["id"], fields)))}

    async def delete(self, asked: Asked) -> Any:
        await self._campaigns.remove(asked.ids["id"])
        return {"success": True}

    async def leads(self, asked: Asked) -> Any:
        """Oldest first, all of them; a page for older clients that ask for one."""
        limit, offset = asked.query.get("limit"), asked.query.get("offset")
        if limit is None and offset is None:
            found = await self._campaigns.leads(asked.ids["id"])
            return await _in_parts(found, {})
        campaign = await self._campaigns.get(asked.ids["id"])
        limit, offset = limit or 100, offset or 0
        found = await self._campaigns.leads(asked.ids["id"], limit, offset)
        pagination = {"total": campaign.counts.total, "limit": limit, "offset": offset}
        return await _in_parts(found, {"pagination": pagination})

    async def add(self, asked: Asked) -> Any:
        many = asked.body.get("leads")
        if many is None:
            alone = await _checked(self._campaigns.add(asked.ids["id"], [dict(asked.given)], where=None))
            if not alone.leads:
                raise conflict("duplicate_lead", f"This campaign has a lead with {alone.duplicates[0]} already.")
            return {"lead": show_lead(alone.leads[0])}
        if "phone_number" in asked.body:
            raise ApiError(400, "invalid_request", 'Send one lead, or several as "leads", not both.')
        added = await _checked(self._campaigns.add(asked.ids["id"], many))
        return await _in_parts(added.leads, _duplicates(added.duplicates), status=201)

    async def import_csv(self, asked: Asked) -> Any:
        body = asked.body
        names = {name: body[name] for name in ("country", "phone_column", "delimiter") if body.get(name)}
        strict, dry_run = bool(body.get("strict")), bool(body.get("dry_run"))
        report = await self._campaigns.import_csv(
            asked.ids["id"], body["csv"], CsvRules(**names), strict=strict, dry_run=dry_run
        )
        return _shown_report(report, kept=not dry_run and not (strict and report.bad))

    async def remove_lead(self, asked: Asked) -> Any:
        await self._campaigns.remove_lead(asked.ids["id"], asked.ids["leadId"])
        return {"success": True}


def show(campaign: Campaign) -> dict[str, Any]:
    """A campaign, as it is answered."""
    row, counts = campaign.row, campaign.counts
    shown = {name: getattr(row, name, None) for name in SCHEMA["properties"]}
    counted = {f"{name}_leads": getattr(counts, name) for name in ("total", *_LEAD_STATES)}
    days = [WEEKDAYS[day] for day in row.weekdays]
    return {**shown, "agent_id": row.assistant_id, "weekdays": days, **counted}


def show_lead(lead: Lead) -> dict[str, Any]:
    """A lead, as it is answered."""
    shown = {name: getattr(lead, name, None) for name in LEAD_SCHEMA["properties"]}
    return shown | {"due_at": lead.due_at or None, "timezones": lead.zones.split()}


def _duplicates(numbers: Sequence[str]) -> dict[str, Any]:
    """Told only where there are some: clients of the hosted platform don't know the word."""
    return {"duplicates": list(numbers)} if numbers else {}


def _shown_report(report: ImportReport, *, kept: bool) -> dict[str, Any]:
    bad = [{"line": one.line, "column": one.column, "reason": one.reason} for one in report.bad_lines]
    counts = {name: getattr(report, name) for name in ("lines", "bad", "duplicates", "do_not_call")}
    return {
        **counts,
        "taken": report.taken if kept else 0,
        "bad_lines": bad,
        "duplicate_numbers": report.duplicate_numbers,
        "do_not_call_numbers": report.unwanted_numbers,
    }


_LEAD_STATES: Final = ("pending", "calling", "completed", "failed", "skipped")


def _fields(table: Table, asked: Asked) -> dict[str, Any]:
    known = {name: value for name, value in asked.body.items() if name in table.keys}
    if "agent_id" in known:
        known["assistant_id"] = known.pop("agent_id")
    return known


async def _checked(work: Awaitable[T]) -> T:
    try:
        return await work
    except InvalidSettings as exc:
        raise invalid(exc.problems) from exc


async def _in_parts(leads: Sequence[Lead], more: dict[str, Any], status: int = 200) -> web.Response:
    """Ten thousand leads would hold the event loop for several frames."""
    body = await asyncio.to_thread(_encoded, leads, more)
    # As a file, because aiohttp would hand over large bytes in one piece.
    return web.Response(body=io.BytesIO(body), status=status, content_type="application/json")


def _encoded(leads: Sequence[Lead], more: dict[str, Any]) -> bytes:
    def parts() -> Iterable[bytes]:
        for at in range(0, len(leads), _CHUNK):
            yield msgspec.json.encode([show_lead(lead) for lead in leads[at : at + _CHUNK]])[1:-1]

    rest = b"," + msgspec.json.encode(more)[1:] if more else b"}"
    return b'{"leads":[' + b",".join(parts()) + b"]" + rest


def _of_campaigns(here: _Resource) -> list[Operation]:
    one = envelope("campaign", SCHEMA)
    made = object_schema({"campaign": SCHEMA, "duplicates": _NUMBERS}, ("duplicates",))
    return [
        _operation(
            "GET", "", "listCampaigns", "List every campaign.", here.all, answer=envelope_of_many("campaigns", SCHEMA)
        ),
        _operation("GET", "/{id}", "getCampaign", "Get one campaign.", here.get, answer=one),
        _operation(
            "POST",
            "",
            "createCampaign",
            "Make a campaign, as a draft.",
            here.create,
            body=NEW,
            status=201,
            answer=made,
            **_WRITE,
        ),
        _operation(
            "PATCH",
            "/{id}",
            "updateCampaign",
            "Change a campaign: start, pause, resume or cancel it with its status.",
            here.change,
            body=CHANGED,
            partial=True,
            answer=one,
            description=_ABOUT_STATUS,
            **_WRITE,
        ),
        _operation(
            "DELETE",
            "/{id}",
            "deleteCampaign",
            "Delete a campaign and its leads.",
            here.delete,
            answer=SUCCESS,
            **_WRITE,
        ),
    ]


def _of_leads(here: _Resource) -> list[Operation]:
    many = object_schema({"leads": {"type": "array", "items": LEAD_SCHEMA}, "pagination": PAGINATION}, ("pagination",))
    added = object_schema(
        {"lead": LEAD_SCHEMA, "leads": {"type": "array", "items": LEAD_SCHEMA}, "duplicates": _NUMBERS},
        ("lead", "leads", "duplicates"),
    )
    return [
        _operation(
            "GET",
            "/{id}/leads",
            "listCampaignLeads",
            "List the leads of a campaign, oldest first.",
            here.leads,
            query=PAGE,
            answer=many,
        ),
        _operation(
            "POST",
            "/{id}/leads",
            "addCampaignLeads",
            "Add one lead, or several at once: all of them or none.",
            here.add,
            body=ADDED,
            status=201,
            answer=added,
            **_WRITE,
        ),
        _operation(
            "POST",
            "/{id}/leads/import",
            "importCampaignLeads",
            "Add the leads of a CSV file: good lines are taken, bad ones told.",
            here.import_csv,
            body=IMPORTED,
            answer=REPORT,
            **_WRITE,
        ),
        _operation(
            "DELETE",
            "/{id}/leads/{leadId}",
            "deleteCampaignLead",
            "Remove a lead that is not being called.",
            here.remove_lead,
            answer=SUCCESS,
            **_WRITE,
        ),
    ]


_ABOUT_STATUS: Final = (
    "`scheduled` starts a campaign or resumes it; `paused` and `cancelled` stop it: once that is answered, no further"
    " call is placed. `completed` is set when no lead is left to call. What is completed or cancelled stays as it is."
)


def _operation(
    method: Any, path: str, name: str, summary: str, handler: Callable[[Asked], Awaitable[Any]], **more: Any
) -> Operation:
    return Operation(
        method=method, path=f"/campaigns{path}", name=name, summary=summary, tag=_TAG, handler=handler, **more
    )
