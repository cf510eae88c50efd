"""One thread that writes, so that no disk ever holds up the event loop.

Theory of operation: `write` queues a few SQL statements as one unit and waits. The thread takes everything that is
queued, runs it in one transaction (each unit in a savepoint of its own, so that a bad one fails alone), commits once,
and answers all who wait. While a commit waits for the disk the next group gathers by itself: a hundred calls share an
fsync.

A disk that is full, locked, broken or read-only is not an answer: the group is kept and tried again, with back-off and
a fresh connection, until it succeeds or the writer is closed. Whoever stops waiting does not take his write back.
"""

import asyncio
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store.failure import StoreError

log = structlog.get_logger(__name__)

# Primary result codes that speak of the disk or the file and not of the statement (sqlite.org/rescode.html).
_PASSING = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its values. `changes_one`: anything but exactly one changed row fails the unit with this text."""

    sql: str
    values: Sequence[Any]
    changes_one: str = ""


@dataclass(frozen=True, slots=True)
class WriterState:
    """`degraded`: the disk refuses and writes are being kept. `pending` counts units not yet on disk."""

    status: Literal["ok", "degraded", "closed"]
    pending: int
    error: str
    last_commit_ms: float


@dataclass(slots=True)
class _Unit:
    name: str
    statements: Sequence[Statement]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[None]


class Writer:
    """The writing thread and its queue.

    `limit` bounds the units that wait (policy: whoever adds one more waits up to `admit_s` for room, then gets a
    StoreError); `group` bounds a transaction; `retry_s` are the first and the longest back-off.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        limit: int = 4096,
        group: int = 256,
        admit_s: float = 5.0,
        retry_s: tuple[float, float] = (0.05, 5.0),
    ) -> None:
        self._connect = connect
        self._group = group
        self._admit_s = admit_s
        self._retry_s = retry_s
        self._room = asyncio.Semaphore(limit)
        self._changed = threading.Condition()  # protects _units, _in_hand, _give_up_at
        self._units: deque[_Unit] = deque()
        self._in_hand = 0
        self._give_up_at: float | None = None
        self._connection: sqlite3.Connection | None = None
        self._error = ""
        self._last_commit_ms = 0.0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Open the file (ConfigError if it can't be used) and start the thread. Blocks for milliseconds."""
        self._connection = self._connect()
        self._thread.start()

    @property
    def state(self) -> WriterState:
        closed = self._give_up_at is not None
        status: Literal["ok", "degraded", "closed"] = "closed" if closed else "degraded" if self._error else "ok"
        return WriterState(status, len(self._units) + self._in_hand, self._error, self._last_commit_ms)

    async def write(self, name: str, statements: Sequence[Statement]) -> None:
        """Return once the statements are committed together. Cancelling this wait does not cancel the write."""
        try:
            async with asyncio.timeout(self._admit_s):
                await self._room.acquire()
        except TimeoutError:
            raise StoreError(f"{name}: the store's queue is full; its disk: {self._error or 'slow'}") from None
        loop = asyncio.get_running_loop()
        unit = _Unit(name, statements, loop, loop.create_future())
        with self._changed:
            if self._give_up_at is not None:
                self._room.release()
                raise StoreError(f"{name}: the store is closed")
            self._units.append(unit)
            self._changed.notify()
        await unit.answer

    def close(self, patience_s: float) -> None:
        """Write what is queued, then stop. Blocks; what the disk refuses for `patience_s` is named in the log."""
        with self._changed:
            self._give_up_at = time.monotonic() + patience_s
            self._changed.notify()
        self._thread.join()

    # --- the thread

    def _run(self) -> None:
        while batch := self._take():
            self._commit_until_done(batch)
        self._disconnect()

    def _take(self) -> list[_Unit]:
        """The next group; empty once closed and nothing is left."""
        with self._changed:
            self._in_hand = 0
            self._changed.wait_for(lambda: self._units or self._give_up_at is not None)
            batch = [self._units.popleft() for _ in range(min(self._group, len(self._units)))]
            self._in_hand = len(batch)
        return batch

    def _commit_until_done(self, batch: list[_Unit]) -> None:
        delay, longest = self._retry_s
        while True:
            try:
                began = time.perf_counter()
                self._connection = self._connection or self._connect()
                failures = _commit(self._connection, batch)
            except (sqlite3.Error, OSError, SovereignError) as exc:
                if not self._keep_trying(exc, batch, delay * random.uniform(0.5, 1.0)):
                    return
                delay = min(delay * 2, longest)
                continue
            self._last_commit_ms = (time.perf_counter() - began) * 1000
            if self._error:
                log.info("store_recovered", writes=len(batch))
            self._error = ""
            self._answer(batch, failures)
            return

    def _keep_trying(self, exc: Exception, batch: list[_Unit], delay: float) -> bool:
        """Wait for the next attempt. False: closed, and the patience is used up."""
        self._disconnect()
        if not self._error:
            log.error("store_degraded", error=str(exc), writes=len(batch))
        self._error = str(exc) or type(exc).__name__
        with self._changed:
            closing = self._give_up_at is not None
            # Closing cuts a long back-off short, once.
            self._changed.wait_for(lambda: (self._give_up_at is not None) is not closing, timeout=delay)
            if self._give_up_at is None or time.monotonic() < self._give_up_at:
                return True
        log.critical("store_writes_lost", error=self._error, writes=[unit.name for unit in batch])
        lost = f"not written, the disk refused until the end: {self._error}"
        self._answer(batch, dict.fromkeys(range(len(batch)), lost))
        return False

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except sqlite3.Error as exc:
                log.warning("store_close_failed", error=str(exc))
            self._connection = None

    def _answer(self, batch: list[_Unit], failures: dict[int, str]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Unit, str]]] = {}
        for index, unit in enumerate(batch):
            by_loop.setdefault(unit.loop, []).append((unit, failures.get(index, "")))
        for loop, outcomes in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._settle, outcomes)
            except RuntimeError:  # the loop has ended; nobody waits any more
                for unit, failure in outcomes:
                    if failure:
                        log.error("store_write_failed", write=unit.name, error=failure)

    def _settle(self, outcomes: list[tuple[_Unit, str]]) -> None:
        """On the loop: one call for a whole group, because each costs a wake-up of the loop."""
        for unit, failure in outcomes:
            self._room.release()
            if unit.answer.done():  # the waiter was cancelled
                if failure:
                    log.error("store_write_failed", write=unit.name, error=failure)
            elif failure:
                unit.answer.set_exception(StoreError(f"{unit.name}: {failure}"))
            else:
                unit.answer.set_result(None)


def _commit(connection: sqlite3.Connection, batch: Sequence[_Unit]) -> dict[int, str]:
    """Run the group in one transaction; why single units failed, by index. Raises sqlite3.Error if the disk refuses."""
    failures: dict[int, str] = {}
    connection.execute("BEGIN IMMEDIATE")
    for index, unit in enumerate(batch):
        connection.execute("SAVEPOINT unit")
        try:
            failure = _perform(connection, unit.statements)
        except Exception as exc:  # whatever one unit's values do wrong must not stop the thread or its neighbours
            if is_passing(exc):
                raise
            failure = str(exc)
        if failure:
            failures[index] = failure
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
    connection.execute("COMMIT")
    return failures


def _perform(connection: sqlite3.Connection, statements: Sequence[Statement]) -> str:
    for statement in statements:
        cursor = connection.execute(statement.sql, statement.values)
        if statement.changes_one and cursor.rowcount != 1:
            return statement.changes_one
    return ""


def is_passing(exc: Exception) -> bool:
    """Whether the disk or the file is at fault, so that the same write may succeed later."""
    return (getattr(exc, "sqlite_errorcode", 0) & 0xFF) in _PASSING
