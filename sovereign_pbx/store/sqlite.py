"""The store in one SQLite file: write-ahead log, one thread that writes, one that reads.

`synchronous=FULL` is the default: in WAL mode NORMAL may lose the last commits at a power cut, and a commit here is a
promise. What the difference costs is in docs/operations.md.
"""

import asyncio
import functools
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from sovereign_pbx.core.values import Message, TurnRecord
from sovereign_pbx.store import (
    NONE_LEFT_OUT,
    START,
    Besides,
    CallRow,
    Due,
    Outgoing,
    Place,
    Slice,
    call_queries,
    outbox,
    reading,
    recording_queries,
    rows,
    schema,
    stripping,
)
from sovereign_pbx.store.call_queries import CallFilter, CallPage
from sovereign_pbx.store.campaigns import CampaignTables
from sovereign_pbx.store.claims import ClaimTable
from sovereign_pbx.store.do_not_call import DoNotCallTable
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.reading import OutboxCounts
from sovereign_pbx.store.recording_queries import Recorded
from sovereign_pbx.store.stripping import Kind
from sovereign_pbx.store.usage import Usage
from sovereign_pbx.store.usage import usage as usage_of
from sovereign_pbx.store.writer import Statement, Writer

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ENQUEUE = (
    "INSERT INTO outbox (webhook_id, call_id, event, url, origin, body, secret, state, attempts, created_at, due_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, '')"  # due at once, whatever the clock does
)
_DELIVERED = (
    "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, done_at = ?, last_error = NULL"
    " WHERE webhook_id = ? AND state = 'pending'"
)
# A secret is kept no longer than it can be needed: that of a call which goes on may be the only one left to sign its
# report with, should the daemon be killed, and a buried webhook may be sent again by hand.
_FORGET_SECRETS = (
    "UPDATE outbox SET secret = '' WHERE state = 'delivered' AND secret <> ''"
    " AND call_id = (SELECT call_id FROM outbox WHERE webhook_id = ?) AND NOT EXISTS ("
    "SELECT 1 FROM calls WHERE id = call_id AND started_at IS NOT NULL AND summary IS NULL)"
)
_FORGET_OWN_SECRET = (
    "UPDATE calls SET webhook_secret = '' WHERE id = ? AND webhook_secret <> ''"
    " AND ended_at IS NOT NULL AND (summary IS NOT NULL OR started_at IS NULL)"
)
_POSTPONE = (
    "UPDATE outbox SET attempts = attempts + 1, due_at = ?, last_error = ? WHERE webhook_id = ? AND state = 'pending'"
)
_BURY = (
    "UPDATE outbox SET state = 'dead', attempts = attempts + 1, done_at = ?, last_error = ?"
    " WHERE webhook_id = ? AND state = 'pending'"
)

_FORGET = "DELETE FROM outbox WHERE state <> 'pending' AND seq IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """`degraded`: writes are kept and retried. `down`: can't be read either. `pending`: writes not yet on disk."""

    status: Literal["ok", "degraded", "down"]
    latency_ms: float
    pending: int
    last_commit_ms: float
    error: str = ""


class SqliteStore:
    """`store.Store` on SQLite. Make it with `open`; every method may raise StoreError."""

    def __init__(self, path: Path, writer: Writer, *, read_s: float) -> None:
        self.path = path
        self._writer = writer
        self._read_s = read_s
        self._reads = asyncio.Semaphore(64)  # bounds the executor's queue; whoever comes later waits his turn
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._connection: sqlite3.Connection | None = None
        self.campaigns = CampaignTables(self._write, self._read)
        self.claims = ClaimTable(self._write, self._read)
        self.do_not_call = DoNotCallTable(self._write, self._read)

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        synchronous: schema.Synchronous = "full",
        queue_limit: int = 4096,
        read_s: float = 5.0,
    ) -> Self:
        """Open, creating and migrating as needed. ConfigError if the file can't serve, saying why and the remedy."""
        file = Path(path)
        writer = Writer(functools.partial(schema.connect_writer, file, synchronous), limit=queue_limit)
        await asyncio.to_thread(writer.start)
        return cls(file, writer, read_s=read_s)

    def __repr__(self) -> str:
        return f"<SqliteStore {self.path} {self._writer.state}>"

    # --- writing

    async def create_call(self, call: CallRow, outgoing: Sequence[Outgoing] = (), *, webhook_secret: str = "") -> None:
        created_at = call.created_at or _now()
        row = rows.call_values({name: getattr(call, name) for name in rows.CALL_COLUMNS})
        row |= {"created_at": created_at, "updated_at": call.updated_at or created_at}
        row["webhook_secret"] = rows.clean(webhook_secret)
        insert = f"INSERT INTO calls ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        await self._write("create_call", Statement(insert, tuple(row.values())), *_enqueue(outgoing))

    async def change_call(self, call_id: str, changes: Mapping[str, Any], outgoing: Sequence[Outgoing] = ()) -> None:
        unknown = set(changes) - set(rows.CALL_COLUMNS[1:])
        if unknown:
            raise StoreError(f"change_call: a call has no such field: {', '.join(sorted(unknown))}")
        row = rows.call_values({"updated_at": _now(), **changes})
        assignments = ", ".join(f"{name} = ?" for name in row)
        update = Statement(
            f"UPDATE calls SET {assignments} WHERE id = ?", (*row.values(), call_id), f"there is no call {call_id}"
        )
        forget = [Statement(_FORGET_OWN_SECRET, (call_id,))] if {"ended_at", "summary"} & changes.keys() else []
        await self._write("change_call", update, *forget, *_enqueue(outgoing))

    async def add_message(self, call_id: str, message: Message, at: str) -> None:
        columns = ", ".join(rows.MESSAGE_COLUMNS)
        insert = f"INSERT INTO messages (call_id, at, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        await self._write("add_message", Statement(insert, (call_id, at, *rows.message_values(message))))

    async def add_turn(self, call_id: str, turn: TurnRecord) -> None:
        columns = rows.TURN_COLUMNS
        insert = f"INSERT INTO turns (call_id, {', '.join(columns)}) VALUES (?{', ?' * len(columns)})"
        await self._write("add_turn", Statement(insert, (call_id, *rows.turn_values(turn))))

    async def add_event(self, call_id: str, name: str, values: Mapping[str, Any], at: str) -> None:
        insert = 'INSERT INTO events (call_id, at, name, "values") VALUES (?, ?, ?, ?)'
        await self._write("add_event", Statement(insert, (call_id, at, name, rows.to_json(dict(values)))))

    async def delivered(self, webhook_id: str, at: str) -> None:
        settle = Statement(_DELIVERED, (at, webhook_id), f"no webhook {webhook_id} is waiting")
        await self._write("delivered", settle, Statement(_FORGET_SECRETS, (webhook_id,)))

    async def postpone(self, webhook_id: str, until: str, error: str) -> None:
        await self._settle("postpone", _POSTPONE, (until, rows.clean(error), webhook_id))

    async def bury(self, webhook_id: str, at: str, error: str) -> None:
        await self._settle("bury", _BURY, (at, rows.clean(error), webhook_id))

    async def forget_webhooks(self, before: str, limit: int = 500) -> int:
        settled = await self._read(outbox.settled_before, before, limit)
        if settled:
            await self._write("forget_webhooks", Statement(_FORGET, (rows.to_json(settled),)))
        return len(settled)

    async def _settle(self, name: str, sql: str, values: tuple[str, ...]) -> None:
        await self._write(name, Statement(sql, values, f"no webhook {values[-1]} is waiting"))

    async def _write(self, name: str, *statements: Statement) -> None:
        await self._writer.write(name, statements)

    # --- reading

    async def call(self, call_id: str) -> CallRow | None:
        return await self._read(reading.call, call_id)

    async def calls(self, *, limit: int = 50, offset: int = 0, status: str | None = None) -> list[CallRow]:
        return await self._read(reading.calls, limit, offset, status)

    async def call_page(self, wanted: CallFilter, limit: int, offset: int) -> CallPage:
        """A page of the calls that are `wanted`, newest first, with what was said and the count of all pages."""
        return await self._read(call_queries.page, wanted, limit, offset)

    async def seconds_since(self, since: str) -> int:
        """How long the calls made since then lasted together."""
        return await self._read(call_queries.seconds_since, since)

    async def messages(self, call_id: str) -> list[Message]:
        return await self._read(reading.messages, call_id)

    async def turns(self, call_id: str) -> list[TurnRecord]:
        return await self._read(reading.turns, call_id)

    async def events(self, call_id: str) -> list[tuple[str, str, dict[str, Any]]]:
        return await self._read(reading.events, call_id)

    async def unfinished(self) -> list[CallRow]:
        return await self._read(reading.unfinished)

    async def due(self, now: str, after: Place = START, *, limit: int = 64, besides: Besides = NONE_LEFT_OUT) -> Slice:
        return await self._read(outbox.due, now, after, limit, besides)

    async def kept_secrets(self) -> dict[tuple[str, str], str]:
        return await self._read(outbox.kept_secrets)

    async def outbox_end(self) -> int:
        return await self._read(outbox.end)

    async def due_since(self, now: str, since: int, calls: Collection[str], limit: int = 64) -> list[Due]:
        return await self._read(outbox.due_since, now, since, list(calls), limit)

    async def deliveries(self, call_id: str) -> list[reading.Delivery]:
        """How far each webhook of a call has come, in order."""
        return await self._read(reading.deliveries, call_id)

    async def outbox(self) -> OutboxCounts:
        """How many webhooks wait and how many were given up."""
        return await self._read(reading.outbox_counts)

    async def usage(
        self, start: str | None = None, end: str | None = None, *, limit: int = 50, offset: int = 0
    ) -> Usage:
        """What calls used that were created from `start` on and before `end`, newest first, and all of them summed."""
        return await self._read(usage_of, start, end, limit, offset)

    # --- retention

    async def recorded(self, after: tuple[str, str], limit: int) -> list[Recorded]:
        """Ended calls with a recording that come after (created_at, id), the oldest first."""
        return await self._read(recording_queries.recorded, after, limit)

    async def expired(self, kind: Kind, since: str, before: str, limit: int) -> list[tuple[str, str, str | None]]:
        """Finished calls of that time with content or metadata left, oldest first: id, created_at, recording_path."""
        return await self._read(stripping.expired, kind, since, before, limit)

    async def strip(self, kind: Kind, call_ids: Sequence[str]) -> None:
        """Take it from these calls, in one transaction."""
        await self._write(f"strip_{kind}", *stripping.strip(kind, call_ids))

    async def ended_campaigns(self, since: str, before: str) -> list[str]:
        """Campaigns that were completed or cancelled in that time, the oldest end first."""
        return await self._read(stripping.ended_campaigns, since, before)

    async def known_leads(self, campaign_id: str, after: int, limit: int) -> list[int]:
        """Leads of a campaign, behind this one, that still say who they were; in order."""
        return await self._read(stripping.known_leads, campaign_id, after, limit)

    async def strip_leads(self, leads: Sequence[int]) -> None:
        """Have these leads forget who they were, in one transaction."""
        await self._write("strip_leads", stripping.strip_leads(leads))

    async def health(self) -> StoreHealth:
        """Never raises."""
        began, error = time.perf_counter(), ""
        try:
            await self._read(reading.call, "")
        except StoreError as exc:
            error = str(exc)
        latency_ms = (time.perf_counter() - began) * 1000
        state = self._writer.state
        status: Literal["ok", "degraded", "down"] = "down" if error else "ok" if state.status == "ok" else "degraded"
        return StoreHealth(status, latency_ms, state.pending, state.last_commit_ms, error or state.error)

    async def _read(
        self, query: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        loop = asyncio.get_running_loop()
        work = functools.partial(self._query, query, *args, **kwargs)
        try:
            async with asyncio.timeout(self._read_s), self._reads:
                return await loop.run_in_executor(self._reader, work)
        except TimeoutError:
            raise StoreError(f"reading took longer than {self._read_s:g} s") from None
        except (sqlite3.Error, OSError, RuntimeError) as exc:
            raise StoreError(f"reading failed: {exc}") from exc

    def _query(self, query: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """In the reader thread, which alone touches its connection; a failed one is opened anew next time."""
        if self._connection is None:
            self._connection = schema.connect_reader(self.path)
        try:
            return query(self._connection, *args, **kwargs)
        except sqlite3.Error:
            self._connection.close()
            self._connection = None
            raise

    async def close(self, patience_s: float = 5.0) -> None:
        """Write what is queued and let go of the file. A refusing disk is retried for `patience_s`, then logged."""
        await asyncio.to_thread(self._writer.close, patience_s)
        await asyncio.to_thread(self._close_reader)

    def _close_reader(self) -> None:
        self._reader.shutdown(wait=True, cancel_futures=True)
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _enqueue(outgoing: Sequence[Outgoing]) -> list[Statement]:
    now = _now()
    return [
        Statement(
            _ENQUEUE,
            (one.webhook_id, one.call_id, one.event, one.url, rows.origin_of(one.url), one.body, one.secret, now),
        )
        for one in outgoing
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
