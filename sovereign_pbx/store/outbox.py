"""The outbox's queries, as plain functions on a connection: what is due, and for whoever may be sent something."""

import sqlite3
from collections.abc import Collection

from sovereign_pbx.store import Besides, Due, Outgoing, rows

# Only the oldest undelivered webhook of a call may go.
_FIRST_OF_ITS_CALL = """NOT EXISTS (
    SELECT 1 FROM outbox AS older
    WHERE older.state = 'pending' AND older.call_id = mine.call_id AND older.seq < mine.seq)"""

# What was put back by hand has `done_at`, and its patience anew from there.
_COLUMNS = "webhook_id, call_id, event, url, body, secret, attempts, max(created_at, coalesce(done_at, ''))"

# Ranking by path and then by server gives each receiver its share of the limit, so that ten thousand webhooks for a
# dead one never hide the single webhook for another.
_DUE = f"""
WITH ready AS (
    SELECT seq, origin, substr(url, 1, instr(url || '?', '?') - 1) AS lane
    FROM outbox AS mine
    WHERE state = 'pending' AND due_at <= :now
        AND origin NOT IN (SELECT value FROM json_each(:origins))
        AND webhook_id NOT IN (SELECT value FROM json_each(:webhook_ids))
        AND {_FIRST_OF_ITS_CALL}
), placed AS (
    SELECT seq, origin, row_number() OVER (PARTITION BY lane ORDER BY seq) AS place
    FROM ready WHERE lane NOT IN (SELECT value FROM json_each(:lanes))
), ranked AS (
    SELECT seq, row_number() OVER (PARTITION BY origin ORDER BY place, seq) AS turn FROM placed
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


def due(connection: sqlite3.Connection, now: str, limit: int, besides: Besides) -> list[Due]:
    without = {name: rows.to_json(list(getattr(besides, name))) for name in Besides.__slots__}
    return [_due(row) for row in connection.execute(_DUE, {"now": now, "limit": limit, **without})]


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
