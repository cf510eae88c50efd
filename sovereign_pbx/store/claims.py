"""Keys of requests that must not be carried out twice (`Idempotency-Key`), with what came of them."""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sovereign_pbx.store.writer import Statement

Write = Callable[..., Awaitable[None]]
Read = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that was used. `body` is the digest of its request; `call_id` is "" until the outcome is known."""

    body: str
    call_id: str


class ClaimTable:
    """The table of them. Times are ISO text as everywhere in the store; all may raise StoreError."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def claimed(self, key: str, since: str) -> Claim | None:
        """The claim on this key, if it was made since then."""
        found: Claim | None = await self._read(_claimed, key, since)
        return found

    async def claim(self, key: str, body: str, at: str, since: str) -> None:
        """Remember the key, and forget those older than `since`."""
        forget = Statement("DELETE FROM claims WHERE at < ?", (since,))
        insert = "INSERT INTO claims (key, body, call_id, at) VALUES (?, ?, '', ?)"
        await self._write("claim", forget, Statement(insert, (key, body, at)))

    async def settle(self, key: str, call_id: str) -> None:
        """What came of it."""
        update = "UPDATE claims SET call_id = ? WHERE key = ?"
        await self._write("settle_claim", Statement(update, (call_id, key), "the claim is gone"))

    async def release(self, key: str) -> None:
        """Nothing came of it: the key is free again."""
        await self._write("release_claim", Statement("DELETE FROM claims WHERE key = ?", (key,)))


def _claimed(connection: sqlite3.Connection, key: str, since: str) -> Claim | None:
    query = "SELECT body, call_id FROM claims WHERE key = ? AND at >= ?"
    found = connection.execute(query, (key, since)).fetchone()
    return None if found is None else Claim(*found)
