"""Calls that have a recording, for whoever looks after the files."""

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sovereign_pbx.store.rows import to_json


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call's recording as its row tells."""

    call_id: str
    created_at: str
    path: str
    about: dict[str, Any]


_QUERY: Final = (
    "SELECT id, created_at, recording_path, recording FROM calls"
    " WHERE recording_path IS NOT NULL AND ended_at IS NOT NULL AND (created_at, id) > (?, ?)"
    " ORDER BY created_at, id LIMIT ?"
)


def recorded(connection: sqlite3.Connection, after: tuple[str, str], limit: int) -> list[Recorded]:
    """Ended calls with a recording that come after (created_at, id), the oldest first."""
    rows = connection.execute(_QUERY, (*after, limit)).fetchall()
    return [Recorded(id_, created_at, path, _about(text)) for id_, created_at, path, text in rows]


def newest(connection: sqlite3.Connection, limit: int) -> list[str]:
    """The ids of the calls with a recording, the newest first."""
    query = "SELECT id FROM calls WHERE recording_path IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT ?"
    return [row[0] for row in connection.execute(query, (limit,))]


def forget(connection: sqlite3.Connection, call_id: str, about: dict[str, Any]) -> None:
    """The file has been removed by hand: the row says so."""
    update = "UPDATE calls SET recording_path = NULL, recording = ? WHERE id = ?"
    connection.execute(update, (to_json(about), call_id))


def _about(text: str | None) -> dict[str, Any]:
    about = msgspec.json.decode(text) if text else {}
    return about if isinstance(about, dict) else {}
