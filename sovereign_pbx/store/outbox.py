"""The outbox's queries, as plain functions on a connection: what is due, and for whoever may be sent something."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from sovereign_pbx.store import Besides, Due, Outgoing, Place, Slice, rows

_SLICE_ROWS = 250  # a few milliseconds of the reader's time
_OF_LANE = 16  # of a slice for one path: more than it has places; bodies may be large

# Only the oldest undelivered webhook of a call may go.
_FIRST_OF_ITS_CALL = """NOT EXISTS (
    SELECT 1 FROM outbox AS older
    WHERE older.state = 'pending' AND older.call_id = mine.call_id AND older.seq < mine.seq)"""

# What was put back by hand has `done_at`, and its patience anew from there.
_COLUMNS = "webhook_id, call_id, event, url, body, secret, attempts, max(created_at, coalesce(done_at, ''))"

# In the order of an index, which a single condition on both columns would be read from its beginning: however much
# waits, and however far the look has come, a slice costs the same.
_SLICE = (
    "SELECT due_at, seq FROM outbox WHERE state = 'pending' AND due_at = ? AND seq > ? ORDER BY seq LIMIT ?",
    "SELECT due_at, seq FROM outbox WHERE state = 'pending' AND due_at > ? AND due_at <= ?"
    " ORDER BY due_at, seq LIMIT ?",
)

# Ranking by path and then by server gives each receiver its share of the limit, so that hundreds of webhooks for a
# dead one never hide the single webhook for another.
_DUE = f"""
WITH ready AS (
    SELECT seq, origin, substr(url, 1, instr(url || '?', '?') - 1) AS lane
    FROM outbox AS mine
    WHERE seq IN (SELECT value FROM json_each(:slice)) AND state = 'pending'
        AND origin NOT IN (SELECT value FROM json_each(:origins))
        AND webhook_id NOT IN (SELECT value FROM json_each(:webhook_ids))
        AND {_FIRST_OF_ITS_CALL}
), placed AS (
    SELECT seq, origin, row_number() OVER (PARTITION BY lane ORDER BY seq) AS place
    FROM ready WHERE lane NOT IN (SELECT value FROM json_each(:lanes))
), ranked AS (
    SELECT seq, row_number() OVER (PARTITION BY origin ORDER BY place, seq) AS turn FROM placed WHERE place <= :of_lane
)
SELECT {_COLUMNS} FROM ranked JOIN outbox USING (seq) ORDER BY turn, seq LIMIT :limit
"""

_NEWS = f"""
SELECT {_COLUMNS} FROM outbox AS mine
WHERE seq IN (
    SELECT seq FROM outbox WHERE seq > :since
    UNION
    SELECT seq FROM outbox WHERE state = 'pending' AND call_id IN (SELECT value FROM json_each(:calls))
) AND state = 'pending' AND due_at <= :now AND {_FIRST_OF_ITS_CALL}
ORDER BY seq LIMIT :limit
"""


def due(connection: sqlite3.Connection, now: str, after: Place, limit: int, besides: Besides) -> Slice:
    places = connection.execute(_SLICE[0], (after.due_at, after.seq, _SLICE_ROWS)).fetchall()
    places += connection.execute(_SLICE[1], (after.due_at, now, _SLICE_ROWS - len(places))).fetchall()
    without = {name: rows.to_json(list(getattr(besides, name))) for name in Besides.__slots__}
    values = {"slice": rows.to_json([seq for _, seq in places]), "limit": limit, "of_lane": _OF_LANE, **without}
    found = [_due(row) for row in connection.execute(_DUE, values)]
    return Slice(found=found, after=Place(*places[-1]) if len(places) == _SLICE_ROWS else None)


def end(connection: sqlite3.Connection) -> int:
    """The position of the last webhook that was written."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM outbox").fetchone()[0])


def due_since(connection: sqlite3.Connection, now: str, since: int, calls: Collection[str], limit: int) -> list[Due]:
    values = {"now": now, "since": since, "calls": rows.to_json(list(calls)), "limit": limit}
    return [_due(row) for row in connection.execute(_NEWS, values)]


def _due(row: tuple[str, str, str, str, bytes, str, int, str]) -> Due:
    webhook_id, call_id, event, url, body, secret, attempts, created_at = row
    outgoing = Outgoing(webhook_id=webhook_id, call_id=call_id, event=event, url=url, body=body, secret=secret)
    return Due(outgoing=outgoing, attempts=attempts, created_at=created_at)


def kept_secrets(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    # Through the few calls and not through the many webhooks.
    query = """WITH unfinished AS MATERIALIZED (
            SELECT id FROM calls WHERE ended_at IS NULL OR (summary IS NULL AND started_at IS NOT NULL))
        SELECT call_id, url, secret FROM unfinished CROSS JOIN outbox ON call_id = unfinished.id WHERE secret <> ''
        UNION ALL SELECT id, json_extract(assistant, '$.webhook_url'), webhook_secret
            FROM unfinished CROSS JOIN calls USING (id) WHERE webhook_secret <> ''"""
    return {(call_id, url): secret for call_id, url, secret in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Letter:
    """One webhook as people see it. `state`: pending, delivered, dead. `due_at`: when it goes next ("": now).

    `done_at` of a pending one: when somebody put it back. `waits_for`: the webhook of its call that must go before.
    """

    webhook_id: str
    call_id: str
    event: str
    url: str
    state: str
    attempts: int
    created_at: str
    due_at: str
    done_at: str | None
    last_error: str | None
    waits_for: str | None


_LETTER = f"""SELECT {", ".join(Letter.__slots__[:-1])}, iif(state <> 'pending', NULL, (
    SELECT webhook_id FROM outbox AS older
    WHERE older.state = 'pending' AND older.call_id = mine.call_id AND older.seq < mine.seq ORDER BY seq DESC LIMIT 1))
FROM outbox AS mine"""


def letters(
    connection: sqlite3.Connection, *, states: Collection[str], call: str = "", event: str = "", limit: int = -1
) -> list[Letter]:
    """The newest webhooks, in the order they were written; `call` may be the beginning of a call's id."""
    query = f"""{_LETTER} WHERE state IN (SELECT value FROM json_each(?))
        AND substr(call_id, 1, ?) = ? AND (? = '' OR event = ?) ORDER BY seq DESC LIMIT ?"""
    values = (rows.to_json(list(states)), len(call), call, event, event, limit)
    return [Letter(*row) for row in connection.execute(query, values)][::-1]


def letters_by_prefix(connection: sqlite3.Connection, prefix: str, limit: int) -> list[Letter]:
    """Webhooks whose id begins with `prefix`."""
    query = f"{_LETTER} WHERE webhook_id >= ? AND substr(webhook_id, 1, ?) = ? ORDER BY webhook_id LIMIT ?"
    return [Letter(*row) for row in connection.execute(query, (prefix, len(prefix), prefix, limit))]


def contents(connection: sqlite3.Connection, webhook_id: str) -> tuple[bytes, str]:
    """A webhook's body, and the secret that signs it ("": none, or it has been delivered and forgotten)."""
    body, secret = connection.execute("SELECT body, secret FROM outbox WHERE webhook_id = ?", (webhook_id,)).fetchone()
    return body, secret


def put_back(connection: sqlite3.Connection, webhook_ids: Collection[str], now: str) -> int:
    """Have these delivered now, dead or waiting for their next attempt, with their patience anew; how many there were.

    Each keeps its place: later webhooks of its call that have not gone yet wait for it.
    """
    cursor = connection.execute(
        "UPDATE outbox SET state = 'pending', attempts = 0, due_at = '', done_at = ?"
        " WHERE state <> 'delivered' AND webhook_id IN (SELECT value FROM json_each(?))",
        (now, rows.to_json(list(webhook_ids))),
    )
    return cursor.rowcount


def settled_before(connection: sqlite3.Connection, before: str, limit: int) -> list[int]:
    """The oldest webhooks that were delivered or given up before then."""
    found: list[int] = []
    for seq, created_at, done_at in connection.execute(
        "SELECT seq, created_at, iif(state = 'pending', NULL, done_at) FROM outbox ORDER BY seq"
    ):
        # They are in the order of writing, and nothing is settled before it is written.
        if created_at >= before or len(found) == limit:
            break
        if done_at is not None and done_at < before:
            found.append(seq)
    return found
