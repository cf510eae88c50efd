"""What may be done with campaigns and leads from outside (contract §20): the rules, over the store.

Whoever changes a campaign's status or places a call for it holds its lock. So a change waits until a call that is just
being placed has been placed, and once it is answered no other is.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakValueDictionary

from sovereign_pbx.assistants.dialling import DialRules
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.problem import InvalidSettings, Path, Problem
from sovereign_pbx.calls.campaign_csv import CsvRules, LeadReader, lines_in
from sovereign_pbx.calls.campaign_import import ImportReport, Sieve
from sovereign_pbx.calls.campaign_leads import ZonesOf, read_leads, without_twins
from sovereign_pbx.calls.campaign_zone import Zones
from sovereign_pbx.calls.number_zones import no_zones
from sovereign_pbx.core.errors import BadInput, ConfigError, Refused
from sovereign_pbx.store.campaign_rows import CampaignRow, LeadCounts, LeadRow
from sovereign_pbx.store.campaigns import CampaignTables
from sovereign_pbx.store.failure import StoreError

Fields = Mapping[str, Any]
Lead = LeadRow

FROZEN: Final = ("completed", "cancelled")

_NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "draft": ("scheduled", "cancelled"),
    "scheduled": ("paused", "cancelled"),
    "paused": ("scheduled", "cancelled"),
    "cancelled": (),
    "completed": (),
}
"""From a status to those that a client may set. `completed` is set by the daemon alone."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign, and how many of its leads are in which state."""

    row: CampaignRow
    counts: LeadCounts
    duplicates: Sequence[str] = ()  # numbers that were given more than once, and taken once


@dataclass(frozen=True, slots=True)
class Added:
    """New leads, and the numbers of those that the campaign had already."""

    leads: Sequence[LeadRow]
    duplicates: Sequence[str]


class Campaigns:
    """The campaigns of this installation. `changed` is told the id of a campaign whose runner should look at it.
    `unwanted` tells which of some numbers nobody may call."""

    def __init__(
        self, tables: CampaignTables, directory: Directory, rules: DialRules, zones_of: ZonesOf = no_zones
    ) -> None:
        self.zones = Zones()
        self.changed: Callable[[str], None] = lambda campaign_id: None
        self.unwanted: Callable[[Sequence[str]], Awaitable[set[str]]] = _nobody
        self._tables = tables
        self._directory = directory
        self._rules = rules
        self._zones_of = zones_of
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def reconfigure(self, rules: DialRules, zones_of: ZonesOf) -> None:
        """Hold to these what is asked for from now on."""
        self._rules, self._zones_of = rules, zones_of

    def lock(self, campaign_id: str) -> asyncio.Lock:
        """Held by whoever changes this campaign, or places a call for it."""
        return self._locks.setdefault(campaign_id, asyncio.Lock())

    # --- campaigns

    async def all(self) -> list[Campaign]:
        """Newest first."""
        return [Campaign(row, counts) for row, counts in await self._tables.campaigns()]

    async def get(self, campaign_id: str) -> Campaign:
        """Raises Refused: not_found."""
        found = await self._tables.campaign(campaign_id)
        if found is None:
            raise Refused("not_found", f"There is no campaign {campaign_id[:80]!r}.")
        return Campaign(*found)

    async def unfinished_of(self, assistant_id: str) -> list[Campaign]:
        """Those of this assistant that are neither completed nor cancelled."""
        return [
            one for one in await self.all() if one.row.assistant_id == assistant_id and one.row.status not in FROZEN
        ]

    async def create(self, fields: Fields, leads: Sequence[Any]) -> Campaign:
        """A draft with its leads. Raises InvalidSettings with every fault; then nothing is kept."""
        now = utc_text(datetime.now(UTC))
        campaign_id = str(uuid.uuid4())
        problems = await self._problems(fields)
        rows = await asyncio.to_thread(read_leads, campaign_id, leads, now, already=problems, zones_of=self._zones_of)
        kept, duplicates = without_twins(rows)
        row = CampaignRow(**self._kept(fields), id=campaign_id, created_at=now, updated_at=now)
        await self._tables.create(row, kept)
        return replace(await self.get(campaign_id), duplicates=duplicates)

    async def change(self, campaign_id: str, fields: Fields) -> Campaign:
        """Set these fields; None clears. Raises InvalidSettings, and Refused where the status forbids it."""
        async with self.lock(campaign_id):
            row = (await self.get(campaign_id)).row
            wanted = fields.get("status", row.status)
            changes = {**self._kept(fields), "status": wanted, "updated_at": utc_text(datetime.now(UTC))}
            _permit(row, wanted)
            problems = await self._problems(fields)
            if problems:
                raise InvalidSettings("the campaign can't be kept", problems=problems)
            if wanted == "scheduled":
                self._startable({"assistant_id": row.assistant_id, "number_id": row.number_id} | changes)
                changes["status_reason"] = None
            try:
                await self._tables.change(campaign_id, row.status, changes)
            except StoreError as exc:
                if (await self.get(campaign_id)).row.status == row.status:
                    raise
                raise Refused("status_changed", "The campaign's status has just changed; look at it again.") from exc
        self.changed(campaign_id)
        return await self.get(campaign_id)

    async def remove(self, campaign_id: str) -> None:
        """Not while one of its leads is being called."""
        async with self.lock(campaign_id):
            if (await self.get(campaign_id)).counts.calling:
                raise Refused("campaign_is_calling", "Calls of this campaign are under way: pause it and let them end.")
            await self._tables.remove(campaign_id)
        self.changed(campaign_id)

    # --- leads

    async def leads(self, campaign_id: str, limit: int = -1, offset: int = 0) -> list[LeadRow]:
        """Oldest first; -1 for all."""
        await self.get(campaign_id)
        return await self._tables.leads(campaign_id, limit, offset)

    async def add(self, campaign_id: str, given: Sequence[Any], *, where: Path | None = ("leads",)) -> Added:
        """All of them or, where one is wrong, none; a number that the campaign has is left as it is. `where`: what
        errors call the list; None for a single lead."""
        at = utc_text(datetime.now(UTC))
        rows = await asyncio.to_thread(read_leads, campaign_id, given, at, where=where, zones_of=self._zones_of)
        async with self.lock(campaign_id):
            await self._open(campaign_id)
            there = await self._tables.numbers_there(campaign_id, [one.phone_number for one in rows])
            kept, duplicates = without_twins(rows, there)
            await self._tables.add_leads(kept)
        self.changed(campaign_id)
        return Added(kept, duplicates)

    async def import_csv(
        self, campaign_id: str, text: str, rules: CsvRules, *, strict: bool = False, dry_run: bool = False
    ) -> ImportReport:
        """Take the leads of a CSV file: the good lines or, `strict`, none where one is bad. Raises Refused `bad_file`
        where it is none of leads."""
        rules = replace(
            rules, country=rules.country or self._rules.country, zones_by_number=self._zones_of is not no_zones
        )
        at = utc_text(datetime.now(UTC))
        sieve = Sieve()
        try:
            rows = await asyncio.to_thread(lambda: sieve.read(LeadReader(campaign_id, at, rules).read(lines_in(text))))
        except BadInput as exc:
            raise Refused("bad_file", str(exc)) from exc
        numbers = [row.phone_number for row in rows]
        unwanted = await self.unwanted(numbers)
        async with self.lock(campaign_id):
            await self._open(campaign_id)
            kept = sieve.sift(rows, await self._tables.numbers_there(campaign_id, numbers), unwanted)
            if kept and not dry_run and not (strict and sieve.report.bad):
                await self._tables.add_leads(kept)
        self.changed(campaign_id)
        return sieve.report

    async def _open(self, campaign_id: str) -> None:
        """Raises Refused where no lead can be added."""
        row = (await self.get(campaign_id)).row
        if row.status in FROZEN:
            raise Refused("campaign_frozen", f"This campaign is {row.status}: make another for these leads.")

    async def remove_lead(self, campaign_id: str, lead_id: str) -> None:
        """Not while it is being called."""
        async with self.lock(campaign_id):
            await self.get(campaign_id)
            lead = await self._tables.lead(campaign_id, lead_id)
            if lead is None:
                raise Refused("not_found", f"This campaign has no lead {lead_id[:80]!r}.")
            if lead.status == "calling":
                raise Refused(
                    "lead_is_calling", "This lead is being called: it can be removed when the call has ended."
                )
            await self._tables.remove_lead(campaign_id, lead_id)
        self.changed(campaign_id)

    # --- rules

    async def _problems(self, fields: Fields) -> tuple[Problem, ...]:
        """What a single value can't tell: that the zone exists, and what the campaign refers to."""
        problems = []
        if fields.get("timezone") is not None:
            try:
                await self.zones.zone(fields["timezone"])
            except ConfigError as exc:
                problems.append(Problem(("timezone",), str(exc)))
        wanted = fields.get("assistant_id")
        if wanted is not None and self._directory.assistant(wanted) is None:
            problems.append(Problem(("agent_id",), f"there is no assistant {wanted!r}"))
        number = fields.get("number_id")
        if number is not None and self._directory.number_by_id(number) is None:
            problems.append(Problem(("number_id",), f"there is no number {number!r}"))
        return tuple(problems)

    def _kept(self, fields: Fields) -> dict[str, Any]:
        """Fields of the row; the assistant by its id, however it was named."""
        kept = {name: value for name, value in fields.items() if name not in ("status", "leads")}
        assistant = self._directory.assistant(kept.get("assistant_id") or "")
        return {**kept, "assistant_id": assistant.id} if assistant is not None else kept

    def _startable(self, fields: Fields) -> None:
        """Better refused now than paused at the first call."""
        assistant = self._directory.assistant(fields["assistant_id"])
        if assistant is None or not assistant.is_active:
            raise Refused("assistant_not_active", "The assistant of this campaign is not there or not active.")
        number = self._directory.number_by_id(fields["number_id"]) if fields["number_id"] else None
        if fields["number_id"] and (number is None or not number.is_active):
            raise Refused("number_not_active", "The number of this campaign is not there or not active.")
        if not self._rules.allow:
            raise Refused("nothing_may_be_dialled", "Nothing may be dialled: [dialling] allow is empty.")


async def _nobody(numbers: Sequence[str]) -> set[str]:
    return set()


def utc_text(moment: datetime) -> str:
    """As the store keeps times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _permit(row: CampaignRow, wanted: str) -> None:
    if row.status in FROZEN:
        raise Refused("campaign_frozen", f"This campaign is {row.status}, and stays as it is.")
    if wanted != row.status and wanted not in _NEXT[row.status]:
        raise Refused(
            "invalid_status",
            f"A campaign that is {row.status} can become {' or '.join(_NEXT[row.status])}, not {wanted}.",
        )
