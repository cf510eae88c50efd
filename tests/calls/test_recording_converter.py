"""Conversion after the call. The program ffmpeg is a stand-in here, as strict as the real one about what it is told;
`test_recording_export` has the real one where it is installed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from sovereign_pbx.calls.recording_audit import sum_of
from sovereign_pbx.calls.recording_converter import Converter
from sovereign_pbx.media.recording_export import Format
from sovereign_pbx.media.wav import write_wav
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore
from tests.calls.house import QUESTION

STAND_IN = """#!{python}
import os, shutil, sys
given = sys.argv[1:]
if "-progress" in given:  # pydub: -y -f wav -i SOURCE -acodec CODEC … -f FORMAT TARGET
    assert given[:4] == ["-y", "-f", "wav", "-i"], given
    source, target = given[4], given[-1]
    if "{how}" == "fails":
        sys.stderr.write("Unknown encoder")
        sys.exit(1)
    content = open(source, "rb").read()
    open(target, "wb").write(content[: len(content) // 2 if "{how}" == "loses" else None])
else:  # read back as raw samples
    assert given[:4] == ["-v", "error", "-nostdin", "-i"] and given[-1] == "-", given
    sys.stdout.buffer.write(open(given[4], "rb").read()[44:])
"""


def stand_in(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(STAND_IN.format(python=sys.executable, how=how))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def spoken_into(path: Path) -> str:
    """An old recording; its sum."""
    write_wav(path, 8000, QUESTION, bytes(len(QUESTION)))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return sum_of(path)


@dataclass
class Kept:
    store: SqliteStore
    folder: Path

    async def recorded(self, call_id: str = "c1", **about: object) -> Path:
        path = self.folder / f"{call_id}.wav"
        known = {"format": "wav", "sha256": await asyncio.to_thread(spoken_into, path), **about}
        await self.store.create_call(
            CallRow(id=call_id, ended_at="2026-11-20T09:00:00.000Z", recording_path=str(path), recording=known)
        )
        return path

    async def row(self, call_id: str = "c1") -> CallRow:
        row = await self.store.call(call_id)
        assert row is not None and row.recording is not None
        return row

    def converter(self, to: Format = "flac") -> Converter:
        return Converter(self.store, self.folder, to)


@asynccontextmanager
async def keeping(folder: Path) -> AsyncIterator[Kept]:
    store = await SqliteStore.open(folder / "calls.db")
    (folder / "recordings").mkdir()
    try:
        yield Kept(store, folder / "recordings")
    finally:
        await store.close()


def test_a_recording_becomes_what_was_configured_and_the_wav_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "bin", "works", monkeypatch)

    async def run() -> None:
        async with keeping(tmp_path) as kept:
            source = await kept.recorded()
            original = await asyncio.to_thread(sum_of, source)
            assert await kept.converter().convert_all() == 1
            row = await kept.row()
            target = kept.folder / "c1.flac"
            assert [*kept.folder.iterdir()] == [target] and row.recording_path == str(target)
            about = row.recording or {}
            assert (about["format"], about["original_sha256"]) == ("flac", original)
            assert about["sha256"] == await asyncio.to_thread(sum_of, target)
            assert target.stat().st_mtime == 1_700_000_000  # its days are counted from the call
            assert await kept.converter().convert_all() == 0

    asyncio.run(run())


@pytest.mark.parametrize(("how", "why"), [("fails", "Unknown encoder"), ("loses", "does not sound the same")])
def test_the_wav_stays_where_its_conversion_fails_or_loses_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, why: str
) -> None:
    stand_in(tmp_path / "bin", how, monkeypatch)

    async def run() -> None:
        async with keeping(tmp_path) as kept:
            source = await kept.recorded()
            with structlog.testing.capture_logs() as logs:
                converter = kept.converter()
                assert await converter.convert_all() == await converter.convert_all() == 0
            assert [entry["event"] for entry in logs] == ["recording.not_converted"]
            row = await kept.row()
            assert why in (row.recording or {})["conversion_error"]
            assert row.recording_path == str(source) and [*kept.folder.iterdir()] == [source]

    asyncio.run(run())


def test_without_ffmpeg_the_row_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def run() -> None:
        async with keeping(tmp_path) as kept:
            source = await kept.recorded()
            with structlog.testing.capture_logs():
                assert await kept.converter().convert_all() == 0
            assert "apt install ffmpeg" in ((await kept.row()).recording or {})["conversion_error"]
            assert source.is_file()

    asyncio.run(run())


def test_a_recording_that_is_not_finished_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", "works", monkeypatch)

    async def run() -> None:
        async with keeping(tmp_path) as kept:
            source = await kept.recorded(sha256=None)
            await asyncio.to_thread((kept.folder / "live.wav").write_bytes, b"RIFF")
            assert await kept.converter().convert_all() == 0
            assert source.is_file() and (kept.folder / "live.wav").is_file()

    asyncio.run(run())


def test_a_wav_that_a_killed_daemon_left_beside_its_conversion_is_removed(tmp_path: Path) -> None:
    async def run() -> None:
        async with keeping(tmp_path) as kept:
            source = await kept.recorded()
            await asyncio.to_thread((kept.folder / "c1.flac").write_bytes, b"fLaC")
            await kept.store.change_call("c1", {"recording_path": str(kept.folder / "c1.flac")})
            assert await kept.converter().convert_all() == 0
            assert not source.exists() and (kept.folder / "c1.flac").exists()

    asyncio.run(run())
