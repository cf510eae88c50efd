"""Campaigns and leads: every change of state is one transaction, and says from which state it may be made.

    pending ── claimed ──> calling ── settled ──> completed | failed | pending again
       │                     └─── put_back ────> pending, as if it had not been tried
       └── skipped (may not be dialled, or the campaign was cancelled)

A lead is `calling`, with the id that its call will have, before anything is dialled: whatever happens after that,
there is an id to look for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sovereign_pbx.store import campaign_queries as queries
from sovereign_pbx.store.campaign_queries import Counted
from sovereign_pbx.store.campaign_rows import (
    CAMPAIGN_COLUMNS,
    CampaignRow,
    LeadRow,
    campaign_values,
)
from sovereign_pbx.store.rows import to_json
from sovereign_pbx.store.writer import Statement

T = TypeVar("T")

_CHUNK = 500
_GIVEN = ("id", "campaign_id", "phone_number", "variables", "timezone", "zones", "created_at")
_EXTRACTED = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(_GIVEN)))
# One number is one lead of a campaign. Whoever adds several at once has looked for those among themselves.
INSERT_LEADS = (
    f"INSERT INTO leads ({', '.join(_GIVEN)}, status, attempts, due_at)"
    f" SELECT {_EXTRACTED}, 'pending', 0, '' FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM leads AS there"
    " WHERE there.campaign_id = json_extract(value, '$[1]') AND there.phone_number = json_extract(value, '$[2]'))"
    " ORDER BY key"
)
_CLAIM = (
    "UPDATE leads SET status = 'calling', call_id = ?, attempts = attempts + 1, last_attempt_at = ?, outcome = NULL,"
    " error = NULL WHERE id = ? AND status = 'pending'"
    " AND NOT EXISTS (SELECT 1 FROM leads AS other WHERE other.status = 'calling'"
    " AND other.phone_number = leads.phone_number)"
    " AND EXISTS (SELECT 1 FROM campaigns WHERE campaigns.id = campaign_id AND campaigns.status = 'scheduled')"
)
_ATTEMPT = (
    "INSERT INTO attempts (call_id, lead_id, campaign_id, number, at)"
    " SELECT call_id, id, campaign_id, attempts, last_attempt_at FROM leads WHERE id = ?"
)
# Who called, or what became of it, is decided once: by the call that the lead is being called with.
_CALLING = " WHERE id = ? AND status = 'calling' AND call_id = ?"
_CANCELLED = "EXISTS (SELECT 1 FROM campaigns WHERE campaigns.id = campaign_id AND campaigns.status = 'cancelled')"
_SETTLE = (
    f"UPDATE leads SET outcome = ?, error = ?, due_at = ?, status = CASE WHEN ? = 'pending' AND {_CANCELLED}"
    f" THEN 'failed' ELSE ? END{_CALLING}"
)
_LAST = "(SELECT {} FROM attempts WHERE lead_id = leads.id ORDER BY number DESC LIMIT 1)"
# Once the attempt is forgotten: the lead as the one before left it.
_BEFORE = f" call_id = {_LAST.format('call_id')}, last_attempt_at = {_LAST.format('at')}, attempts = attempts - 1"
_SKIP = f"UPDATE leads SET status = 'skipped', outcome = ?, error = ?,{_BEFORE}{_CALLING}"
_PUT_BACK = (
    f"UPDATE leads SET status = CASE WHEN {_CANCELLED} THEN 'skipped' ELSE 'pending' END,"
    f" outcome = CASE WHEN {_CANCELLED} THEN 'cancelled' ELSE {_LAST.format('outcome')} END,"
    f" error = CASE WHEN {_CANCELLED} THEN NULL ELSE {_LAST.format('error')} END,{_BEFORE}{_CALLING}"
)
_FORGET = "DELETE FROM attempts WHERE call_id = ?"
_COMPLETE = (
    "UPDATE campaigns SET status = 'completed', updated_at = ? WHERE id = ? AND status = 'scheduled'"
    " AND EXISTS (SELECT 1 FROM leads WHERE campaign_id = campaigns.id)"
    " AND NOT EXISTS (SELECT 1 FROM leads WHERE campaign_id = campaigns.id AND status IN ('pending', 'calling'))"
)
_EXHAUST = (
    "UPDATE leads SET status = 'failed', due_at = '' WHERE campaign_id = ? AND status = 'pending'"
    " AND attempts > 0 AND attempts >= ?"
)
_GIVE_UP = "UPDATE leads SET status = 'skipped', outcome = 'cancelled' WHERE campaign_id = ? AND status = 'pending'"


class Write(Protocol):
    """Commits statements together (`Writer.write`). Raises StoreError."""

    def __call__(self, name: str, *statements: Statement) -> Awaitable[None]: ...


class Read(Protocol):
    """Runs a query where reading is done. Raises StoreError."""

    def __call__(self, query: Callable[..., T], *args: Any) -> Awaitable[T]: ...


class CampaignTables:
    """Campaigns, leads and attempts of a store. Times are ISO 8601 UTC text. Every method may raise StoreError, and
    does when the row is not in the state that the change is for."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    # --- reading

    async def campaigns(self) -> list[Counted]:
        """Newest first, each with the counts of its leads."""
        return await self._read(queries.campaigns)

    async def campaign(self, campaign_id: str) -> Counted | None:
        return await self._read(queries.campaign, campaign_id)

    async def scheduled(self) -> list[str]:
        return await self._read(queries.scheduled)

    async def leads(self, campaign_id: str, limit: int = -1, offset: int = 0) -> list[LeadRow]:
        """Oldest first; -1 for all."""
        return await self._read(queries.leads, campaign_id, limit, offset)

    async def lead(self, campaign_id: str, lead_id: str) -> LeadRow | None:
        return await self._read(queries.lead, campaign_id, lead_id)

    async def pending_zones(self, campaign_id: str) -> list[str]:
        """The different `zones` of the leads that wait."""
        return await self._read(queries.pending_zones, campaign_id)

    async def next_lead(self, campaign_id: str, now: str, zones: Sequence[str]) -> LeadRow | None:
        return await self._read(queries.next_lead, campaign_id, now, zones)

    async def is_blocked(self, campaign_id: str) -> bool:
        return await self._read(queries.is_blocked, campaign_id)

    async def numbers_there(self, campaign_id: str, numbers: Sequence[str]) -> set[str]:
        """Which of these numbers the campaign has already."""
        found: set[str] = set()
        for at in range(0, len(numbers), _CHUNK):
            found |= await self._read(queries.numbers_there, campaign_id, to_json(list(numbers[at : at + _CHUNK])))
        return found

    async def ended_so(self, lead_id: str, outcome: str) -> int:
        return await self._read(queries.ended_so, lead_id, outcome)

    async def next_due(self, campaign_id: str) -> str | None:
        return await self._read(queries.next_due, campaign_id)

    async def calling(self) -> list[LeadRow]:
        return await self._read(queries.calling)

    async def starts(self, since: str) -> list[tuple[str, str]]:
        """(campaign, when) of the calls placed since then."""
        return await self._read(queries.starts, since)

    # --- campaigns

    async def create(self, row: CampaignRow, leads: Sequence[LeadRow] = ()) -> None:
        """The campaign with its leads, all or nothing."""
        values = campaign_values({name: getattr(row, name) for name in CAMPAIGN_COLUMNS})
        insert = f"INSERT INTO campaigns ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
        await self._write("create_campaign", Statement(insert, tuple(values.values())), *await _inserted(leads))

    async def change(self, campaign_id: str, expected: str, changes: Mapping[str, Any]) -> None:
        """Set fields of a campaign whose status is `expected`. Cancelled, it gives up whom it has not called; with
        fewer attempts, whom it has called so often already."""
        values = campaign_values(changes)
        update = f"UPDATE campaigns SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ? AND status = ?"
        fault = f"campaign {campaign_id} is not {expected}"
        statements = [Statement(update, (*values.values(), campaign_id, expected), fault)]
        if changes.get("status") == "cancelled":
            statements.append(Statement(_GIVE_UP, (campaign_id,)))
        if "max_attempts" in changes:
            statements.append(Statement(_EXHAUST, (campaign_id, changes["max_attempts"])))
        await self._write("change_campaign", *statements)

    async def remove(self, campaign_id: str) -> None:
        """The campaign and its leads; not while one of them is being called."""
        delete = (
            "DELETE FROM campaigns WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM leads WHERE campaign_id = campaigns.id AND status = 'calling')"
        )
        fault = f"campaign {campaign_id} is not there, or it is calling"
        await self._write("remove_campaign", Statement(delete, (campaign_id,), fault))

    async def complete(self, campaign_id: str, at: str) -> None:
        """The campaign is completed if it runs and has leads, but none to call or being called."""
        await self._write("complete_campaign", Statement(_COMPLETE, (at, campaign_id)))

    # --- leads

    async def add_leads(self, leads: Sequence[LeadRow]) -> None:
        """All or none."""
        await self._write("add_leads", *await _inserted(leads))

    async def remove_lead(self, campaign_id: str, lead_id: str) -> None:
        """Not while it is being called."""
        delete = "DELETE FROM leads WHERE id = ? AND campaign_id = ? AND status <> 'calling'"
        fault = f"lead {lead_id} is not there, or it is being called"
        await self._write("remove_lead", Statement(delete, (lead_id, campaign_id), fault))

    async def claim(self, lead_id: str, call_id: str, at: str) -> None:
        """The lead is called now, with this call: to be on disk before anything is dialled."""
        fault = f"lead {lead_id} is not pending in a campaign that runs"
        await self._write(
            "claim_lead", Statement(_CLAIM, (call_id, at, lead_id), fault), Statement(_ATTEMPT, (lead_id,), fault)
        )

    async def settle(
        self, lead: LeadRow, status: str, outcome: str, at: str, *, due_at: str = "", error: str | None = None
    ) -> None:
        """What became of the call of a lead that is being called: `status` completed, failed, or pending for another
        attempt from `due_at` on (failed, where the campaign was cancelled meanwhile)."""
        values = (outcome, error, due_at, status, status, lead.id, lead.call_id)
        note = "UPDATE attempts SET outcome = ?, error = ? WHERE call_id = ?"
        noted = Statement(note, (outcome, error, lead.call_id))
        await self._done("settle_lead", lead, at, Statement(_SETTLE, values, _not_calling(lead)), noted)

    async def skip(self, lead: LeadRow, outcome: str, at: str, error: str) -> None:
        """The lead may not be dialled, and was not."""
        skip = Statement(_SKIP, (outcome, error, lead.id, lead.call_id), _not_calling(lead))
        await self._done("skip_lead", lead, at, Statement(_FORGET, (lead.call_id,)), skip)

    async def skip_zones(self, campaign_id: str, zones: str, outcome: str, error: str, at: str) -> None:
        """All who wait and have these `zones` can't be called, ever."""
        skip = Statement(
            "UPDATE leads SET status = 'skipped', outcome = ?, error = ?, due_at = ''"
            " WHERE campaign_id = ? AND zones = ? AND status = 'pending'",
            (outcome, error, campaign_id, zones),
        )
        await self._write("skip_zones", skip, Statement(_COMPLETE, (at, campaign_id)))

    async def put_back(self, lead: LeadRow, at: str, pause_because: str = "") -> None:
        """The lead was not dialled after all: as if it had not been claimed. With a reason its campaign is paused."""
        forget = Statement(_FORGET, (lead.call_id,))
        back = Statement(_PUT_BACK, (lead.id, lead.call_id), _not_calling(lead))
        statements = [forget, back]
        if pause_because:
            pause = (
                "UPDATE campaigns SET status = 'paused', status_reason = ?, updated_at = ?"
                " WHERE id = ? AND status = 'scheduled'"
            )
            statements.append(Statement(pause, (pause_because, at, lead.campaign_id)))
        await self._write("put_back_lead", *statements)

    async def _done(self, name: str, lead: LeadRow, at: str, *statements: Statement) -> None:
        """With the last lead its campaign is completed, in the same transaction."""
        await self._write(name, *statements, Statement(_COMPLETE, (at, lead.campaign_id)))


async def _inserted(leads: Sequence[LeadRow]) -> list[Statement]:
    """A few statements for thousands of new leads, made in a thread: neither the event loop nor, for long, the writer
    may be held up by them."""

    def made() -> list[Statement]:
        chunks = (leads[at : at + _CHUNK] for at in range(0, len(leads), _CHUNK))
        return [Statement(INSERT_LEADS, (as_given(chunk),)) for chunk in chunks]

    return await asyncio.to_thread(made)


def as_given(leads: Sequence[LeadRow]) -> str:
    """What INSERT_LEADS takes."""
    return to_json([[getattr(lead, name) for name in _GIVEN] for lead in leads])


def _not_calling(lead: LeadRow) -> str:
    return f"lead {lead.id} is not being called with {lead.call_id}"
