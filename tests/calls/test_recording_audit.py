import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from sovereign_pbx.calls.recording_audit import EXPIRED, VANISHED, Found, RecordingAudit
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore

DAY_1, DAY_9 = "2026-11-01T09:00:00.000Z", "2026-11-09T09:00:00.000Z"


@dataclass
class Archive:
    store: SqliteStore
    folder: Path

    async def call(
        self, call_id: str, name: str | None, *, made: str = DAY_9, ended: bool = True, **about: str
    ) -> None:
        path = str(self.folder / name) if name else None
        ended_at = made if ended else None
        await self.store.create_call(
            CallRow(id=call_id, created_at=made, ended_at=ended_at, recording_path=path, recording=dict(about) or None)
        )

    async def file(self, name: str, content: bytes = b"RIFF") -> Path:
        await asyncio.to_thread((self.folder / name).write_bytes, content)
        return self.folder / name

    async def audit(self, expired_before: str = "") -> tuple[Found, list[str]]:
        with structlog.testing.capture_logs() as logs:
            found = await RecordingAudit(self.store, self.folder).audit(expired_before)
        return found, [entry["event"] for entry in logs]

    async def row(self, call_id: str) -> CallRow:
        row = await self.store.call(call_id)
        assert row is not None
        return row


@asynccontextmanager
async def archive(folder: Path) -> AsyncIterator[Archive]:
    store = await SqliteStore.open(folder / "calls.db")
    (folder / "recordings").mkdir()
    try:
        yield Archive(store, folder / "recordings")
    finally:
        await store.close()


def test_files_and_rows_that_belong_together_are_no_finding(tmp_path: Path) -> None:
    async def run() -> None:
        async with archive(tmp_path) as kept:
            await kept.call("a", "a.wav", sha256="12")
            await kept.file("a.wav")
            await kept.file("notes.txt")
            assert await kept.audit() == (Found(), [])

    asyncio.run(run())


def test_a_file_of_no_call_is_reported_and_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with archive(tmp_path) as kept:
            stray = await kept.file("stranger.wav")
            await kept.call("unrecorded", None)
            other = await kept.file("unrecorded.wav.age")
            found, events = await kept.audit()
            assert (found.orphans, events) == ([stray, other], ["recordings.orphaned"])
            assert stray.exists() and other.exists()

    asyncio.run(run())


def test_the_file_of_a_call_that_goes_on_is_no_orphan(tmp_path: Path) -> None:
    async def run() -> None:
        async with archive(tmp_path) as kept:
            await kept.call("live", None, ended=False)
            await kept.file("live.wav")
            assert await kept.audit() == (Found(), [])

    asyncio.run(run())


def test_a_row_whose_file_has_vanished_says_so_and_leads_nowhere_any_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with archive(tmp_path) as kept:
            await kept.call("a", "a.wav", sha256="12")
            await kept.call("b", "b.wav", sha256="34")
            await kept.file("b.wav")
            found, events = await kept.audit()
            assert (found.missing, events) == (["a"], ["recordings.missing"])
            row = await kept.row("a")
            assert row.recording_path is None and row.recording is not None
            assert (row.recording["removed_because"], row.recording["sha256"]) == (VANISHED, "12")
            assert await kept.audit() == (Found(), [])

    asyncio.run(run())


def test_a_file_that_was_removed_for_its_age_is_no_loss(tmp_path: Path) -> None:
    async def run() -> None:
        async with archive(tmp_path) as kept:
            await kept.call("a", "a.wav", made=DAY_1, sha256="12")
            found, events = await kept.audit(expired_before="2026-11-05T00:00:00.000Z")
            assert (found.expired, found.missing, events) == (["a"], [], [])
            assert ((await kept.row("a")).recording or {})["removed_because"] == EXPIRED

    asyncio.run(run())


def test_a_folder_without_any_file_takes_nothing_from_the_rows(tmp_path: Path) -> None:
    """The disk may not be mounted."""

    async def run() -> None:
        async with archive(tmp_path) as kept:
            await kept.call("a", "a.wav", sha256="12")
            found, events = await kept.audit()
            assert (found.missing, events) == (["a"], ["recordings.missing"])
            assert (await kept.row("a")).recording_path

    asyncio.run(run())


def test_what_a_killed_daemon_left_gets_its_sum(tmp_path: Path) -> None:
    async def run() -> None:
        async with archive(tmp_path) as kept:
            await kept.call("a", "a.wav", error="the daemon was stopped during the call")
            await kept.file("a.wav", b"RIFF of a kind")
            found, _ = await kept.audit()
            row = await kept.row("a")
            assert found.summed == ["a"] and row.recording is not None
            assert row.recording["sha256"] == hashlib.sha256(b"RIFF of a kind").hexdigest()
            assert row.recording["error"] and row.recording["bytes"] == 14

    asyncio.run(run())
