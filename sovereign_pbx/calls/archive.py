"""Calls as the contract shows them (§5.3), from what is kept of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from sovereign_pbx.calls.recording_files import MEDIA_TYPES, ending_of, inside
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.call_queries import CallFilter, CallPage
from sovereign_pbx.webhooks.envelope import utc_now

__all__ = ["Archive", "CallFilter", "Calls", "Recording", "call_object"]

_SAID_BY: Final = frozenset({"system", "user", "assistant"})
_STATUSES: Final = frozenset({"connecting", "in-progress", "ended", "failed"})

RecordingUrl = Callable[[str], str | None]


class Calls(Protocol):
    """The store, as far as it is needed here."""

    async def call(self, call_id: str) -> CallRow | None: ...

    async def messages(self, call_id: str) -> list[Message]: ...

    async def call_page(self, wanted: CallFilter, limit: int, offset: int) -> CallPage: ...

    async def change_call(self, call_id: str, changes: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """A call's recording. None for `path`: there was one, and it was removed. `sha256`: "" where nobody has summed the
    file up yet."""

    path: Path | None
    media_type: str = ""
    sha256: str = ""


class Archive:
    """Reads calls for clients. `recordings` is the folder that recordings are in, None where there are none;
    `recording_url` makes a link to a call's recording that works without a key."""

    def __init__(
        self, calls: Calls, *, recordings: Path | None = None, recording_url: RecordingUrl = lambda call_id: None
    ) -> None:
        self._calls = calls
        self._recordings = recordings
        self._recording_url = recording_url

    async def page(self, wanted: CallFilter, limit: int, offset: int) -> tuple[list[msgspec.Raw], int]:
        """(the calls of a page as JSON objects, newest first; how many there are in all)."""
        found = await self._calls.call_page(wanted, limit, offset)
        shown = []
        for row in found.calls:
            shown.append(msgspec.Raw(msgspec.json.encode(self._shown(row, found.messages[row.id]), enc_hook=str)))
            # A hundred long calls take 6 ms together, and the audio of all calls runs on this loop.
            await asyncio.sleep(0)
        return shown, found.total

    async def call(self, call_id: str) -> dict[str, Any] | None:
        """One call as an object, None if there is no such call."""
        row = await self._calls.call(call_id)
        return None if row is None else self._shown(row, await self._calls.messages(call_id))

    async def recording(self, call_id: str) -> Recording | None:
        """Where a call's recording is; None if there is no such call, or it was not recorded.

        Only files of the recordings' folder: a row of another installation must not open any other.
        """
        row = await self._calls.call(call_id)
        if row is None or self._recordings is None:
            return None
        if not row.recording_path:
            return Recording(None) if (row.recording or {}).get("removed_at") else None
        sha256 = (row.recording or {}).get("sha256")
        return await asyncio.to_thread(_found, self._recordings, row.recording_path, sha256 or "")

    async def remove_recording(self, call_id: str) -> bool:
        """Remove the file, and say so in the call; False: there is none. Raises OSError where it can't be removed."""
        row, found = await self._calls.call(call_id), await self.recording(call_id)
        if row is None or found is None or found.path is None:
            return False
        await asyncio.to_thread(found.path.unlink, missing_ok=True)
        removed = {**(row.recording or {}), "removed_at": utc_now(), "removed_because": "it was deleted"}
        await self._calls.change_call(call_id, {"recording_path": None, "recording": removed})
        return True

    def _shown(self, row: CallRow, messages: Sequence[Message]) -> dict[str, Any]:
        return call_object(row, messages, self._recording_url(row.id) if row.recording_path else None)


def _found(folder: Path, written: str, sha256: str) -> Recording | None:
    path = inside(folder, written)
    if path is None:
        return None
    return Recording(path, MEDIA_TYPES[ending_of(path.name)], sha256) if path.is_file() else Recording(None)


def call_object(row: CallRow, messages: Sequence[Message], recording_url: str | None = None) -> dict[str, Any]:
    """The REST object. The naming is that of the client libraries: `assistant_phone`, `agent_name` and `agent_id`."""
    return {
        "id": row.id,
        "caller_phone": row.caller_phone or None,
        "assistant_phone": row.assistant_phone or None,
        "status": row.status if row.status in _STATUSES else "failed",
        "direction": row.direction,
        "end_reason": row.end_reason,
        "error": row.error,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "duration_seconds": row.duration_seconds,
        "summary": row.summary,
        "analysis_result": row.analysis_result,
        "messages": [_message(message) for message in messages if message.role in _SAID_BY and message.content],
        "room_name": row.id,
        "recording_url": recording_url,
        "recording": row.recording,
        "transfers": [dict(attempt) for attempt in row.transfers],
        "media_quality": row.media_quality,
        "agent_id": row.assistant_id or None,
        "assistant_id": row.assistant_id or None,
        "number_id": row.number_id,
        "agent_name": row.assistant_name,
        "business_name": row.business_name,
        "phone_number": row.assistant_phone or None,
        "metadata": _metadata(row.assistant),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


def _metadata(assistant: Mapping[str, Any]) -> dict[str, Any]:
    metadata = assistant.get("metadata")
    return dict(metadata) if isinstance(metadata, Mapping) else {}
