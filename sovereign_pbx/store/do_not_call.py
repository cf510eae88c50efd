"""Whom nobody may call: the list that commands and the API keep. Numbers are in one form (`assistants.dialling`)."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sovereign_pbx.store.rows import clean, to_json
from sovereign_pbx.store.writer import Statement

Write = Callable[..., Awaitable[None]]
Read = Callable[..., Awaitable[Any]]

ADD = (
    "INSERT INTO do_not_call (number, reason, added_at) SELECT value, ?, ? FROM json_each(?) WHERE true"
    " ON CONFLICT (number) DO UPDATE SET reason = excluded.reason WHERE excluded.reason <> ''"
)
REMOVE = "DELETE FROM do_not_call WHERE number = ?"


@dataclass(frozen=True, slots=True)
class Listed:
    """One number of the list, since when, and why ("" where nobody said)."""

    number: str
    reason: str
    added_at: str


def listed(connection: sqlite3.Connection, number: str) -> Listed | None:
    row = connection.execute("SELECT number, reason, added_at FROM do_not_call WHERE number = ?", (number,)).fetchone()
    return None if row is None else Listed(*row)


def listed_of(connection: sqlite3.Connection, numbers: str) -> set[str]:
    """Which of these numbers (a JSON list) are on it."""
    query = "SELECT value FROM json_each(?) WHERE value IN (SELECT number FROM do_not_call)"
    return {row[0] for row in connection.execute(query, (numbers,))}


def page(connection: sqlite3.Connection, after: str, limit: int) -> list[Listed]:
    """In the order of the numbers, those behind `after` ("": from the first)."""
    query = "SELECT number, reason, added_at FROM do_not_call WHERE number > ? ORDER BY number LIMIT ?"
    return [Listed(*row) for row in connection.execute(query, (after, limit))]


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM do_not_call").fetchone()[0])


class DoNotCallTable:
    """The table of them. Every method may raise StoreError."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def listed(self, number: str) -> Listed | None:
        found: Listed | None = await self._read(listed, number)
        return found

    async def listed_of(self, numbers: Sequence[str]) -> set[str]:
        """Which of these numbers are on it."""
        found: set[str] = await self._read(listed_of, to_json(list(numbers)))
        return found

    async def page(self, after: str, limit: int) -> list[Listed]:
        """In the order of the numbers, those behind `after`."""
        found: list[Listed] = await self._read(page, after, limit)
        return found

    async def count(self) -> int:
        found: int = await self._read(count)
        return found

    async def add(self, numbers: Sequence[str], reason: str, at: str) -> None:
        """Those that are on it stay on it; a new reason takes the place of the old one."""
        await self._write("add_do_not_call", Statement(ADD, (clean(reason), at, to_json(list(numbers)))))

    async def remove(self, number: str) -> None:
        """Idempotent."""
        await self._write("remove_do_not_call", Statement(REMOVE, (number,)))
