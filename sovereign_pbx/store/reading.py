"""Every query, as plain functions on a connection: the daemon's reader thread and the command line share them."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import msgspec

from sovereign_pbx.core.values import Message, TurnRecord
from sovereign_pbx.store import CallRow, rows

_CALL = f"SELECT {', '.join(rows.CALL_COLUMNS)} FROM calls"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a webhook has come. `state`: pending, delivered, dead. `due_at`: when it goes next ("": now)."""

    webhook_id: str
    event: str
    url: str
    state: str
    attempts: int
    created_at: str
    due_at: str
    done_at: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """`oldest_pending_at` is when the oldest undelivered webhook was written."""

    pending: int
    dead: int
    oldest_pending_at: str | None


def call(connection: sqlite3.Connection, call_id: str) -> CallRow | None:
    row = connection.execute(f"{_CALL} WHERE id = ?", (call_id,)).fetchone()
    return None if row is None else rows.call_from(row)


def calls_by_prefix(connection: sqlite3.Connection, prefix: str, limit: int) -> list[CallRow]:
    """Calls whose id begins with `prefix`; a range and not LIKE, because ids may hold `_` and `%`."""
    found = connection.execute(
        f"{_CALL} WHERE id >= ? AND substr(id, 1, ?) = ? ORDER BY id LIMIT ?", (prefix, len(prefix), prefix, limit)
    )
    return [rows.call_from(row) for row in found]


def calls(connection: sqlite3.Connection, limit: int, offset: int, status: str | None) -> list[CallRow]:
    where, values = ("WHERE status = ?", (status,)) if status else ("", ())
    order = "ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
    return [rows.call_from(row) for row in connection.execute(f"{_CALL} {where} {order}", (*values, limit, offset))]


def unfinished(connection: sqlite3.Connection) -> list[CallRow]:
    """Calls without an end, and answered ones that ended but were not summed up, so that their report is still owed."""
    query = f"{_CALL} WHERE ended_at IS NULL OR (summary IS NULL AND started_at IS NOT NULL) ORDER BY created_at"
    return [rows.call_from(row) for row in connection.execute(query)]


def messages(connection: sqlite3.Connection, call_id: str) -> list[Message]:
    return [message for _, message in messages_with_times(connection, call_id)]


def messages_with_times(connection: sqlite3.Connection, call_id: str) -> list[tuple[str, Message]]:
    query = f"SELECT at, {', '.join(rows.MESSAGE_COLUMNS)} FROM messages WHERE call_id = ? ORDER BY seq"
    return [(row[0], rows.message_from(row[1:])) for row in connection.execute(query, (call_id,))]


def turns(connection: sqlite3.Connection, call_id: str) -> list[TurnRecord]:
    return turns_after(connection, call_id, -1)


def turns_after(connection: sqlite3.Connection, call_id: str, number: int) -> list[TurnRecord]:
    """The turns of a call that come after turn `number`."""
    query = f"SELECT {', '.join(rows.TURN_COLUMNS)} FROM turns WHERE call_id = ? AND number > ? ORDER BY number"
    return [rows.turn_from(row) for row in connection.execute(query, (call_id, number))]


def events(connection: sqlite3.Connection, call_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    query = 'SELECT at, name, "values" FROM events WHERE call_id = ? ORDER BY seq'
    return [(at, name, msgspec.json.decode(text)) for at, name, text in connection.execute(query, (call_id,))]


def deliveries(connection: sqlite3.Connection, call_id: str) -> list[Delivery]:
    """Every webhook of a call, in order."""
    columns = ", ".join(Delivery.__slots__)
    query = f"SELECT {columns} FROM outbox WHERE call_id = ? ORDER BY seq"
    return [Delivery(*row) for row in connection.execute(query, (call_id,))]


def outbox_counts(connection: sqlite3.Connection) -> OutboxCounts:
    pending, oldest = connection.execute(
        "SELECT count(*), min(created_at) FROM outbox WHERE state = 'pending'"
    ).fetchone()
    dead = connection.execute("SELECT count(*) FROM outbox WHERE state = 'dead'").fetchone()[0]
    return OutboxCounts(pending, dead, oldest)
