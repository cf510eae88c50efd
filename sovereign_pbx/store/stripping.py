"""Taking from old calls what may not be kept any longer (contract §23, content and metadata retention).

A call keeps its row, with when it was, how long and what it used. What may still be owed stays: calls that have not
been reported, and webhooks that were not delivered.

content    what was said and what was made of it: messages, the texts of turns, summary, analysis, where its recording
           lies, the texts in its events, and the bodies of delivered webhooks
metadata   who it was: the caller's number, the events, the configuration it ran on (with its metadata), which lead of a
           campaign it was for, and again the bodies of delivered webhooks

A lead is somebody's number without any call: those of campaigns that are over lose it by the age of that end.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, Literal

from sovereign_pbx.store.rows import to_json
from sovereign_pbx.store.writer import Statement

Kind = Literal["content", "metadata"]

# A summary that was removed is '' and not NULL: NULL means that the report is still owed.
_LEFT: Final[dict[Kind, str]] = {
    "content": "summary <> ''",
    "metadata": (
        "(caller_phone IS NOT NULL OR assistant <> '{}'"
        " OR EXISTS (SELECT 1 FROM events WHERE events.call_id = calls.id))"
        " AND (started_at IS NULL OR summary IS NOT NULL)"
    ),
}
_OF_THEM: Final = "IN (SELECT value FROM json_each(?))"
_BODIES: Final = f"UPDATE outbox SET body = x'' WHERE call_id {_OF_THEM} AND state = 'delivered'"
_WITH_TEXT: Final = (
    "(name IN ('speak', 'instructed', 'analysis.failed') OR json_type(\"values\", '$.text') IS NOT NULL)"
)
# By way of the attempts, which are found by their call; a lead knows its last one only.
_LEADS: Final = (
    "WITH gone (call) AS (SELECT value FROM json_each(?))"
    " UPDATE leads SET call_id = NULL WHERE status <> 'calling' AND call_id IN (SELECT call FROM gone)"
    " AND id IN (SELECT lead_id FROM attempts WHERE call_id IN (SELECT call FROM gone))"
)
_STRIP: Final[dict[Kind, tuple[str, ...]]] = {
    "content": (
        "UPDATE calls SET summary = '', analysis_result = NULL, recording_path = NULL, recording = NULL"
        f" WHERE id {_OF_THEM}",
        f"DELETE FROM messages WHERE call_id {_OF_THEM}",
        f"UPDATE turns SET said = '', heard = '' WHERE call_id {_OF_THEM}",
        f"UPDATE events SET \"values\" = '{{}}' WHERE call_id {_OF_THEM} AND {_WITH_TEXT}",
        _BODIES,
    ),
    "metadata": (
        f"UPDATE calls SET caller_phone = NULL, assistant = '{{}}' WHERE id {_OF_THEM}",
        f"DELETE FROM events WHERE call_id {_OF_THEM}",
        _LEADS,
        f"DELETE FROM attempts WHERE call_id {_OF_THEM}",
        _BODIES,
    ),
}


def expired(
    connection: sqlite3.Connection, kind: Kind, since: str, before: str, limit: int
) -> list[tuple[str, str, str | None]]:
    """Calls created from `since` on and before `before` that still have something of this kind, the oldest first:
    id, created_at, path of the recording."""
    query = (
        "SELECT id, created_at, recording_path FROM calls"
        f" WHERE created_at >= ? AND created_at < ? AND ended_at IS NOT NULL AND {_LEFT[kind]}"
        " ORDER BY created_at, id LIMIT ?"
    )
    return connection.execute(query, (since, before, limit)).fetchall()


def ended_campaigns(connection: sqlite3.Connection, since: str, before: str) -> list[str]:
    """Campaigns that were completed or cancelled from `since` on and before `before`, the oldest end first."""
    # What has ended never changes again: its last change is its end.
    query = (
        "SELECT id FROM campaigns WHERE status IN ('completed', 'cancelled') AND updated_at >= ? AND updated_at < ?"
        " ORDER BY updated_at, id"
    )
    return [row[0] for row in connection.execute(query, (since, before))]


def known_leads(connection: sqlite3.Connection, campaign_id: str, after: int, limit: int) -> list[int]:
    """Leads of a campaign behind `after` that still say who they were, in order: their `seq`."""
    query = (
        "SELECT seq FROM leads WHERE campaign_id = ? AND seq > ? AND phone_number <> '' AND status <> 'calling'"
        " ORDER BY seq LIMIT ?"
    )
    return [row[0] for row in connection.execute(query, (campaign_id, after, limit))]


def strip_leads(leads: Sequence[int]) -> Statement:
    """What removes it: number and variables, and the error, which may name the number. Status and outcome stay."""
    update = f"UPDATE leads SET phone_number = '', variables = '{{}}', error = NULL WHERE seq {_OF_THEM}"
    return Statement(update, (to_json(list(leads)),))


def strip(kind: Kind, call_ids: Sequence[str]) -> list[Statement]:
    """What removes it from these calls, in one transaction."""
    named = to_json(list(call_ids))
    return [Statement(sql, (named,)) for sql in _STRIP[kind]]
