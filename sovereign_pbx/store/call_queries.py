"""Calls as a client asks for them: filtered, counted, a page at a time, with what was said.

Plain functions on a connection, as in reading.py.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow, rows

_CALL = f"SELECT {', '.join(rows.CALL_COLUMNS)} FROM calls"
_NEWEST = "ORDER BY created_at DESC, id DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls; None means any. `since` and `until` bound `created_at`, both included."""

    status: str | None = None
    direction: str | None = None
    assistant_id: str | None = None
    number_id: str | None = None
    campaign_id: str | None = field(
        default=None, metadata={"test": "id IN (SELECT call_id FROM attempts WHERE campaign_id = ?)"}
    )
    since: str | None = field(default=None, metadata={"test": "created_at >= ?"})
    until: str | None = field(default=None, metadata={"test": "created_at <= ?"})


@dataclass(frozen=True, slots=True)
class CallPage:
    """`calls` newest first, what was said in each by its id, and how many there are on all pages together."""

    calls: Sequence[CallRow]
    messages: Mapping[str, Sequence[Message]]
    total: int


def page(connection: sqlite3.Connection, wanted: CallFilter, limit: int, offset: int) -> CallPage:
    """One page and the count, of the same moment: a call that begins meanwhile is in both or in neither."""
    where, values = _where(wanted)
    connection.execute("BEGIN")
    try:
        total = connection.execute(f"SELECT count(*) FROM calls{where}", values).fetchone()[0]
        # The inner query finds its rows in an index alone; whole rows are read for the page only.
        inner = f"SELECT id FROM calls{where} {_NEWEST} LIMIT ? OFFSET ?"
        found = connection.execute(f"{_CALL} WHERE id IN ({inner}) {_NEWEST}", (*values, limit, offset))
        calls = [rows.call_from(row) for row in found]
        return CallPage(calls, messages_of(connection, [call.id for call in calls]), total)
    finally:
        connection.execute("ROLLBACK")


def seconds_since(connection: sqlite3.Connection, since: str) -> int:
    """How long the calls made since then lasted together."""
    query = "SELECT coalesce(sum(duration_seconds), 0) FROM calls WHERE created_at >= ?"
    seconds: int = connection.execute(query, (since,)).fetchone()[0]
    return seconds


def messages_of(connection: sqlite3.Connection, call_ids: Sequence[str]) -> dict[str, list[Message]]:
    """What was said in each of these calls, in order."""
    said: dict[str, list[Message]] = {call_id: [] for call_id in call_ids}
    places = ", ".join("?" * len(said))
    query = f"SELECT call_id, {', '.join(rows.MESSAGE_COLUMNS)} FROM messages WHERE call_id IN ({places}) ORDER BY seq"
    for call_id, *message in connection.execute(query, tuple(said)):
        said[call_id].append(rows.message_from(tuple(message)))
    return said


def _where(wanted: CallFilter) -> tuple[str, tuple[str, ...]]:
    given = [(one, getattr(wanted, one.name)) for one in fields(CallFilter)]
    tests = [(one.metadata.get("test", f"{one.name} = ?"), value) for one, value in given if value is not None]
    text = " AND ".join(test for test, _ in tests)
    return (f" WHERE {text}" if text else ""), tuple(value for _, value in tests)
