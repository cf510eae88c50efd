"""What the daemon wrote down of the test call, where this user may read it."""

import asyncio
import socket
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store import reading, schema

POLL_S: Final = 0.1
NEWEST: Final = 50


@dataclass(frozen=True, slots=True)
class Record:
    """One call: its id, what the caller was understood to say, and how many seconds of him arrived."""

    call_id: str
    ended: bool
    end_reason: str
    said: str
    heard_s: float
    recording: str


async def record_of(database: Path, caller: str, within_s: float) -> Record | None:
    """The record of the call from `caller`, complete if it is so within `within_s`; None: there is none to be read."""
    deadline = time.monotonic() + within_s
    while True:
        record = await asyncio.to_thread(_read, database, caller)
        if (record is not None and record.ended) or time.monotonic() > deadline:
            return record
        await asyncio.sleep(POLL_S)


def _read(database: Path, caller: str) -> Record | None:
    try:
        connection = schema.connect_observer(database)
    except (SovereignError, OSError):
        return None
    try:
        found = [call for call in reading.calls(connection, NEWEST, 0, None) if call.caller_phone == caller]
        if not found:
            return None
        call = found[0]
        said = [message.content for message in reading.messages(connection, call.id) if message.role == "user"]
        heard_s = call.statistics.get("line", {}).get("heard_s", 0.0)
    except sqlite3.Error:
        return None
    finally:
        connection.close()
    return Record(
        call.id, call.ended_at is not None, call.end_reason or "", " ".join(said), heard_s, call.recording_path or ""
    )


async def own_address(host: str, port: int) -> str:
    """The address of this machine from which `host` is reached: what the other side may use to reach us.

    Nothing is sent: connecting a datagram socket only chooses a route. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    family, _, _, _, place = (await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM))[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        probe.connect(place)
        return str(probe.getsockname()[0])
