"""What calls used, a page at a time and in sum (contract §23). Plain functions on a connection, as in reading.py.

Only answered calls that have ended count: nothing else has used anything.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

_COUNTED: Final = "started_at IS NOT NULL AND ended_at IS NOT NULL"
_AMOUNTS: Final = ("input_tokens", "cached_tokens", "output_tokens", "characters", "stt_seconds")
_ENTRY: Final = (
    "SELECT id, duration_seconds, direction, assistant_phone, assistant_name, business_name, created_at,"
    " json_extract(statistics, '$.usage.totals'), json_extract(statistics, '$.usage.cost') FROM calls"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEntry:
    """One call. The first seven are the contract's; the others are ours, 0 and None where nothing was counted."""

    id: str
    duration_sec: int
    call_type: str  # phone | web
    phone_number: str | None
    agent_name: str | None
    business_name: str | None
    created_at: str
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    stt_seconds: float = 0.0
    cost: float | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSummary:
    """All calls of the period, whatever page is shown. `cost` by currency."""

    total_calls: int = 0
    total_duration_seconds: int = 0
    total_duration_minutes: float = 0.0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    stt_seconds: float = 0.0
    cost: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """A page of entries, newest first, and the sum of all pages."""

    entries: list[UsageEntry]
    summary: UsageSummary


def usage(connection: sqlite3.Connection, start: str | None, end: str | None, limit: int, offset: int) -> Usage:
    """Calls created from `start` on and before `end` (times as the store writes them; None: no bound)."""
    where, values = _where(start, end)
    connection.execute("BEGIN")
    try:
        page = f"{_ENTRY}{where} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        entries = [_entry(row) for row in connection.execute(page, (*values, limit, offset))]
        return Usage(entries, _summary(connection, where, values))
    finally:
        connection.execute("ROLLBACK")


def _where(start: str | None, end: str | None) -> tuple[str, tuple[str, ...]]:
    bounds = [("created_at >= ?", start), ("created_at < ?", end)]
    given = [(test, value) for test, value in bounds if value is not None]
    tests = " AND ".join([_COUNTED, *(test for test, _ in given)])
    return f" WHERE {tests}", tuple(value for _, value in given)


def _entry(row: tuple[Any, ...]) -> UsageEntry:
    call_id, seconds, direction, number, name, business, created_at, told, priced = row
    amounts = msgspec.json.decode(told) if told else {}
    cost = msgspec.json.decode(priced) if priced else {}
    return UsageEntry(
        id=call_id,
        duration_sec=seconds or 0,
        call_type="web" if direction == "web" else "phone",
        phone_number=number,
        agent_name=name,
        business_name=business,
        created_at=created_at,
        cost=cost.get("total"),
        currency=cost.get("currency"),
        **{name: amounts.get(name, 0) for name in _AMOUNTS},
    )


def _summary(connection: sqlite3.Connection, where: str, values: tuple[str, ...]) -> UsageSummary:
    amounts = ", ".join(f"coalesce(sum(json_extract(statistics, '$.usage.totals.{name}')), 0)" for name in _AMOUNTS)
    query = (
        "SELECT coalesce(json_extract(statistics, '$.usage.cost.currency'), ''), count(*),"
        " coalesce(sum(duration_seconds), 0), coalesce(sum(json_extract(statistics, '$.usage.cost.total')), 0),"
        f" {amounts} FROM calls{where} GROUP BY 1"
    )
    found = connection.execute(query, values).fetchall()
    seconds = sum(row[2] for row in found)
    sums = [sum(row[4 + place] for row in found) for place in range(len(_AMOUNTS))]
    return UsageSummary(
        total_calls=sum(row[1] for row in found),
        total_duration_seconds=seconds,
        total_duration_minutes=round(seconds / 60, 2),
        cost={row[0]: round(row[3], 6) for row in found if row[0]},
        **{name: round(amount, 1) for name, amount in zip(_AMOUNTS, sums, strict=True)},
    )
