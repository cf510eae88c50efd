"""What is asked of campaigns and leads, as plain functions on a connection: daemon and command line share them."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sovereign_pbx.store.campaign_rows import (
    CAMPAIGN_COLUMNS,
    LEAD_COLUMNS,
    CampaignRow,
    LeadCounts,
    LeadRow,
    campaign_from,
    lead_from,
)

Counted = tuple[CampaignRow, LeadCounts]

_CAMPAIGN = f"SELECT {', '.join(CAMPAIGN_COLUMNS)} FROM campaigns"
_LEAD = f"SELECT {', '.join(LEAD_COLUMNS)} FROM leads"
RESULT_COLUMNS = (
    *("phone_number", "status", "reason", "error", "attempts", "last_attempt_at", "due_at", "timezones", "lead_id"),
    *("call_id", "answered_at", "ended_at", "duration_seconds", "end_reason"),
)
_FREE = (
    "NOT EXISTS (SELECT 1 FROM leads AS other WHERE other.status = 'calling'"
    " AND other.phone_number = leads.phone_number AND other.phone_number <> '')"
)


def campaigns(connection: sqlite3.Connection) -> list[Counted]:
    """Every campaign, newest first."""
    counts: dict[str, dict[str, int]] = {}
    for campaign_id, status, count in connection.execute(
        "SELECT campaign_id, status, count(*) FROM leads GROUP BY campaign_id, status"
    ):
        counts.setdefault(campaign_id, {})[status] = count
    found = (campaign_from(row) for row in connection.execute(f"{_CAMPAIGN} ORDER BY created_at DESC, id DESC"))
    return [(row, LeadCounts(**counts.get(row.id, {}))) for row in found]


def campaign(connection: sqlite3.Connection, campaign_id: str) -> Counted | None:
    row = connection.execute(f"{_CAMPAIGN} WHERE id = ?", (campaign_id,)).fetchone()
    if row is None:
        return None
    counts = connection.execute(
        "SELECT status, count(*) FROM leads WHERE campaign_id = ? GROUP BY status", (campaign_id,)
    )
    return campaign_from(row), LeadCounts(**dict(counts))


def scheduled(connection: sqlite3.Connection) -> list[str]:
    """The ids of the campaigns that run, oldest first."""
    query = "SELECT id FROM campaigns WHERE status = 'scheduled' ORDER BY created_at, id"
    return [row[0] for row in connection.execute(query)]


def leads(connection: sqlite3.Connection, campaign_id: str, limit: int = -1, offset: int = 0) -> list[LeadRow]:
    """Oldest first; -1 for all."""
    query = f"{_LEAD} WHERE campaign_id = ? ORDER BY seq LIMIT ? OFFSET ?"
    return [lead_from(row) for row in connection.execute(query, (campaign_id, limit, offset))]


def lead(connection: sqlite3.Connection, campaign_id: str, lead_id: str) -> LeadRow | None:
    return _one(connection, f"{_LEAD} WHERE id = ? AND campaign_id = ?", (lead_id, campaign_id))


def pending_zones(connection: sqlite3.Connection, campaign_id: str) -> list[str]:
    """The different `zones` of those who wait. A jump from one to the next in the index: a few, however many wait."""
    following = "SELECT min(zones) FROM leads WHERE campaign_id = ? AND status = 'pending'"
    query = (
        f"WITH RECURSIVE found (zones) AS ({following} UNION ALL"
        f" SELECT ({following} AND leads.zones > found.zones) FROM found WHERE found.zones IS NOT NULL)"
        " SELECT zones FROM found WHERE zones IS NOT NULL"
    )
    return [row[0] for row in connection.execute(query, (campaign_id, campaign_id))]


def next_lead(connection: sqlite3.Connection, campaign_id: str, now: str, zones: Sequence[str]) -> LeadRow | None:
    """Whom of these `zones` to call now: first who was promised another attempt by now, then the oldest who was never
    tried; nobody whose number is being called already, whoever calls it."""
    pending = f"{_LEAD} WHERE campaign_id = ? AND zones = ? AND status = 'pending' AND {_FREE} AND"
    again = f"{pending} due_at > '' AND due_at <= ? ORDER BY due_at, seq LIMIT 1"
    found = [lead for one in zones if (lead := _one(connection, again, (campaign_id, one, now)))]
    if found:
        return min(found, key=lambda lead: lead.due_at)
    first = f"SELECT seq FROM leads WHERE campaign_id = ? AND zones = ? AND status = 'pending' AND {_FREE} AND"
    oldest = f"{first} due_at = '' ORDER BY seq LIMIT 1"
    rows = [row[0] for one in zones if (row := connection.execute(oldest, (campaign_id, one)).fetchone())]
    return _one(connection, f"{_LEAD} WHERE seq = ?", (min(rows),)) if rows else None


def waiting(connection: sqlite3.Connection, campaign_id: str, limit: int) -> list[tuple[str, int]]:
    """How many wait in which `zones`, the most first."""
    query = (
        "SELECT zones, count(*) FROM leads WHERE campaign_id = ? AND status = 'pending'"
        " GROUP BY zones ORDER BY 2 DESC, 1 LIMIT ?"
    )
    return list(connection.execute(query, (campaign_id, limit)))


def is_blocked(connection: sqlite3.Connection, campaign_id: str) -> bool:
    """Does anybody wait only because his number is being called just now?"""
    query = (
        "SELECT 1 FROM leads AS called JOIN leads AS waits ON waits.phone_number = called.phone_number"
        " WHERE called.status = 'calling' AND waits.campaign_id = ? AND waits.status = 'pending' LIMIT 1"
    )
    return connection.execute(query, (campaign_id,)).fetchone() is not None


def numbers_there(connection: sqlite3.Connection, campaign_id: str, numbers: str) -> set[str]:
    """Which of these numbers (a JSON list) a campaign has already."""
    query = "SELECT value FROM json_each(?) WHERE value IN (SELECT phone_number FROM leads WHERE campaign_id = ?)"
    return {row[0] for row in connection.execute(query, (numbers, campaign_id))}


def ended_so(connection: sqlite3.Connection, lead_id: str, outcome: str) -> int:
    """How many attempts at a lead ended with this outcome."""
    query = "SELECT count(*) FROM attempts WHERE lead_id = ? AND outcome = ?"
    return int(connection.execute(query, (lead_id, outcome)).fetchone()[0])


def next_due(connection: sqlite3.Connection, campaign_id: str) -> str | None:
    """When the next of those is due who wait for another attempt."""
    query = "SELECT min(due_at) FROM leads WHERE campaign_id = ? AND status = 'pending' AND due_at > ''"
    found: str | None = connection.execute(query, (campaign_id,)).fetchone()[0]
    return found


def calling(connection: sqlite3.Connection) -> list[LeadRow]:
    """Every lead that is being called, of all campaigns."""
    return [lead_from(row) for row in connection.execute(f"{_LEAD} WHERE status = 'calling' ORDER BY seq")]


def starts(connection: sqlite3.Connection, since: str) -> list[tuple[str, str]]:
    """(campaign, when) of the calls placed since then."""
    return list(connection.execute("SELECT campaign_id, at FROM attempts WHERE at >= ? ORDER BY at", (since,)))


def last_settled(connection: sqlite3.Connection, campaign_id: str, limit: int) -> list[LeadRow]:
    """Whose attempts ended last, the latest first."""
    query = f"{_LEAD} WHERE campaign_id = ? AND outcome IS NOT NULL ORDER BY last_attempt_at DESC, seq DESC LIMIT ?"
    return [lead_from(row) for row in connection.execute(query, (campaign_id, limit))]


def outcomes(connection: sqlite3.Connection, campaign_id: str) -> dict[tuple[str, str], int]:
    """How many leads came to which end: (status, outcome)."""
    query = (
        "SELECT status, coalesce(outcome, ''), count(*) FROM leads WHERE campaign_id = ? GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return {(status, outcome): count for status, outcome, count in connection.execute(query, (campaign_id,))}


def variable_names(connection: sqlite3.Connection, campaign_id: str) -> list[str]:
    """The names of all variables that any lead has, in the order in which they first come."""
    query = (
        "SELECT key, min(leads.seq) FROM leads, json_each(leads.variables) WHERE campaign_id = ?"
        " GROUP BY key ORDER BY 2, json_each.id"
    )
    return [row[0] for row in connection.execute(query, (campaign_id,))]


def results(connection: sqlite3.Connection, campaign_id: str) -> Iterator[tuple[Any, ...]]:
    """RESULT_COLUMNS of every lead and its variables as JSON, oldest first; from its last call what there still is."""
    query = (
        "SELECT leads.phone_number, leads.status, leads.outcome, leads.error, leads.attempts, leads.last_attempt_at,"
        " leads.due_at, leads.zones, leads.id, leads.call_id, calls.started_at, calls.ended_at, calls.duration_seconds,"
        " calls.end_reason, leads.variables"
        " FROM leads LEFT JOIN calls ON calls.id = leads.call_id WHERE campaign_id = ? ORDER BY seq"
    )
    yield from connection.execute(query, (campaign_id,))


def campaigns_by_prefix(connection: sqlite3.Connection, prefix: str, limit: int) -> list[CampaignRow]:
    """Campaigns whose id begins with `prefix`, or that have this name."""
    query = f"{_CAMPAIGN} WHERE substr(id, 1, ?) = ? OR name = ? ORDER BY created_at DESC LIMIT ?"
    return [campaign_from(row) for row in connection.execute(query, (len(prefix), prefix, prefix, limit))]


def _one(connection: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> LeadRow | None:
    row = connection.execute(query, values).fetchone()
    return None if row is None else lead_from(row)
