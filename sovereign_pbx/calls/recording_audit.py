"""The recordings' folder against the books: a row for each file, a file for each row, and a sum for each of them.

What is found wrong is reported; only the books are changed, never a file.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from sovereign_pbx.calls.recording_files import call_of, recordings_in
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.recording_queries import Recorded
from sovereign_pbx.webhooks.envelope import utc_now

log = structlog.get_logger(__name__)

_BATCH: Final = 200
_PAUSE_S: Final = 0.02
_NAMED: Final = 5  # of many, in a line of the log

EXPIRED: Final = "its days were over"
VANISHED: Final = "the file is gone, and nobody knows why"


class Calls(Protocol):
    """As much of the store as is needed."""

    async def recorded(self, after: tuple[str, str], limit: int) -> list[Recorded]: ...

    async def call(self, call_id: str) -> CallRow | None: ...

    async def change_call(self, call_id: str, changes: Mapping[str, Any]) -> None: ...


@dataclass(slots=True)
class Found:
    """orphans: files that no call owns. missing: calls whose file has vanished. expired: calls whose file was removed
    when its days were over. summed: calls that have got their sum."""

    orphans: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    summed: list[str] = field(default_factory=list)


class RecordingAudit:
    """Compares `folder` with the rows. `expired_before`: an ISO time; a file of an older call that is not there was
    removed for its age ("": nothing is)."""

    def __init__(self, calls: Calls, folder: Path) -> None:
        self._calls = calls
        self._folder = folder
        self._told: tuple[set[Path], set[str]] = (set(), set())

    async def audit(self, expired_before: str = "") -> Found:
        """Raises StoreError, OSError."""
        found, named = Found(), set[str]()
        files = await asyncio.to_thread(lambda: {path.name: path for path in recordings_in(self._folder)})
        after = ("", "")
        while batch := await self._calls.recorded(after, _BATCH):
            for row in batch:
                named.add(Path(row.path).name)
                await self._look(row, files, expired_before, found)
            after = (batch[-1].created_at, batch[-1].call_id)
            await asyncio.sleep(_PAUSE_S)
        for name in sorted(files.keys() - named):
            if await self._is_orphan(name):
                found.orphans.append(files[name])
        self._report(found)
        return found

    async def _look(self, row: Recorded, files: Mapping[str, Path], expired_before: str, found: Found) -> None:
        path = files.get(Path(row.path).name)
        if path is None:
            await self._lost(row, expired_before, found, any_left=bool(files))
        elif not row.about.get("sha256"):
            digest, size = await asyncio.to_thread(_measured, path)
            await self._calls.change_call(row.call_id, {"recording": {**row.about, "sha256": digest, "bytes": size}})
            found.summed.append(row.call_id)

    async def _lost(self, row: Recorded, expired_before: str, found: Found, *, any_left: bool) -> None:
        """The row forgets the path, so that nobody is sent a link to nothing, and says since when."""
        present = await self._calls.call(row.call_id)
        if present is None or present.recording_path != row.path or await asyncio.to_thread(Path(row.path).is_file):
            return  # it has been changed meanwhile, or lies in the folder of another configuration
        expired = row.created_at < expired_before
        (found.expired if expired else found.missing).append(row.call_id)
        if not expired and not any_left:  # a disk that is not mounted looks like this
            return
        gone = {**row.about, "removed_at": utc_now(), "removed_because": EXPIRED if expired else VANISHED}
        await self._calls.change_call(row.call_id, {"recording_path": None, "recording": gone})

    async def _is_orphan(self, name: str) -> bool:
        """Not so that of a call which goes on, or which has just been converted."""
        row = await self._calls.call(call_of(name))
        if row is None:
            return True
        return row.ended_at is not None and Path(row.recording_path or "").name != name and not _converting(row, name)

    def _report(self, found: Found) -> None:
        """Orphans stay until somebody does something about them, so each is told of once."""
        told_files, told_calls = self._told
        orphans = [path for path in found.orphans if path not in told_files]
        if orphans:
            log.warning("recordings.orphaned", files=len(orphans), some=_some([path.name for path in orphans]))
        missing = [call_id for call_id in found.missing if call_id not in told_calls]
        if missing:
            log.error("recordings.missing", calls=len(missing), some=_some(missing))
        if found.summed:
            log.info("recordings.summed_up", calls=len(found.summed))
        self._told = (set(found.orphans), set(found.missing))


def _converting(row: CallRow, name: str) -> bool:
    """Its other form is in the books already, and this one about to go; or about to be made."""
    return bool(row.recording_path) and call_of(Path(row.recording_path or "").name) == call_of(name)


def _some(names: Sequence[str]) -> list[str]:
    return [*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])]


def _measured(path: Path) -> tuple[str, int]:
    return sum_of(path), path.stat().st_size


def sum_of(path: Path) -> str:
    """SHA-256 of a file. Blocks; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
