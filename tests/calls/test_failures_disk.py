"""The disk is full or not to be written: a clear error at the start, a call that goes on in the middle.

A full disk is played by a limit on the size of the daemon's files (RLIMIT_FSIZE): every write beyond it fails, as it
would on a full one, for the database, the recording and the log alike.
"""

import asyncio
import resource
from pathlib import Path

import pytest

from tests.calls.scene_stage import ANSWER, Stage
from tests.calls.scene_troupe import scene

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def disk(stage: Stage, *, full: bool) -> None:
    """From now on no file of the daemon grows; or all may again."""
    limit = (1024, resource.RLIM_INFINITY) if full else UNLIMITED
    resource.prlimit(stage.process.pid, resource.RLIMIT_FSIZE, limit)


async def refuses_to_start(stage: Stage, *words: str) -> None:
    """The command ends with status 2 and says what, where and the remedy; calls go to the fallback."""
    with pytest.raises(AssertionError):
        await stage.process.start()
    assert stage.process.process is not None
    assert stage.process.process.returncode == 2
    said = stage.process.said()
    assert "Traceback" not in said
    assert all(word in said for word in words), said
    person = await stage.answered()
    await person.hears_fallback()
    await person.hang_up()
    stage.notes.append(f"exit status 2: {said.strip().splitlines()[0].replace(str(stage.folder), '')[:200]}")
    stage.started = False


@scene(
    "14",
    "The state folder can't be made",
    bounded="the daemon does not start: status 2, says why",
    process=True,
    begin=False,
    daemon={"state_dir": "/proc/sovereign-pbx"},
)
async def test_a_state_folder_that_cannot_be_made(stage: Stage) -> None:
    await refuses_to_start(stage, "/proc/sovereign-pbx", "state_dir")


@scene(
    "14",
    "The database is no database",
    bounded="the daemon does not start: status 2, says why",
    process=True,
    begin=False,
)
async def test_a_database_that_is_none(stage: Stage) -> None:
    file = stage.folder / "state" / "sovereign.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"This is not a database. " * 1000)
    await refuses_to_start(stage, str(file))


@scene(
    "14",
    "The disk fills up in mid-call, and has room again later",
    bounded="writes wait in memory; the recording stops",
    process=True,
    recording={"enabled": True},
)
async def test_a_disk_that_fills_up_costs_no_call(stage: Stage) -> None:
    person = await stage.greeted()
    await stage.until_row(lambda row: row.started_at is not None)
    disk(stage, full=True)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    newcomer = await stage.greeted("101")
    await newcomer.hang_up()
    await person.hang_up()
    await asyncio.sleep(1.0)
    assert await stage.health("database") == "degraded"
    disk(stage, full=False)
    await stage.check_nothing_left()
    for row in await stage.rows():
        assert (row.status, row.end_reason) == ("ended", "user_hangup")
        assert row.recording_path is None or Path(row.recording_path).stat().st_size > 44


@scene(
    "14",
    "The recordings' folder can't be made",
    bounded="the daemon does not start: status 2, says why",
    process=True,
    begin=False,
    recording={"enabled": True, "dir": "/proc/sovereign-recordings"},
)
async def test_a_recordings_folder_that_cannot_be_made(stage: Stage) -> None:
    await refuses_to_start(stage, "/proc/sovereign-recordings", "recording.dir")


@scene(
    "14",
    "The recordings' folder is gone in mid-operation",
    bounded="the call goes on without a recording",
    recording={"enabled": True},
)
async def test_recordings_that_cannot_be_written_cost_no_call(stage: Stage) -> None:
    folder = stage.folder / "state" / "recordings"
    folder.rmdir()
    folder.write_text("a file where the folder was")
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    await stage.check_nothing_left()
    row = await stage.row()
    assert (row.status, row.end_reason, row.recording_path) == ("ended", "user_hangup", None)
