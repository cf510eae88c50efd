"""Books are closed whatever breaks in the call."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.calls.talk import Talk
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.recorder import Recorder
from tests.calls.house import house, play
from tests.waiting import until


def breaking(*given: Any) -> Any:
    raise RuntimeError("a fault of the program")


@pytest.mark.parametrize("part", ["hung_up", "finish"])
def test_a_fault_in_the_talk_leaves_no_call_open_and_owes_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            monkeypatch.setattr(Talk, part, breaking)
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await caller.hang_up()
            (report,) = await place.reported()
            assert report["end_reason"] == "user_hangup"
            await until(lambda: len(place.daemon.desk) == 0)
            (row,) = await place.rows()
            assert (row.status, row.end_reason) == ("ended", "user_hangup")

    play(scene())


def test_a_call_lasts_until_the_caller_leaves_and_not_until_its_recording_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close: Callable[[Recorder], Any] = Recorder.close

    async def slow(recorder: Recorder) -> Any:
        await asyncio.sleep(3.0)
        return await close(recorder)

    async def scene() -> None:
        async with house(tmp_path, recording={"enabled": True}) as place:
            monkeypatch.setattr(Recorder, "close", slow)
            async with place.caller() as caller:
                await caller.place()
                await asyncio.sleep(1.0)
                await caller.hang_up()
            (report,) = await place.reported()
            assert report["duration_seconds"] <= 2

    play(scene())


def test_a_daemon_whose_clock_breaks_gives_its_callers_back_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            monkeypatch.setattr(MediaClock, "tick", breaking)
            await caller.over(10)
            assert caller.steps[-1:] in ([], ["fallback"])
            with pytest.raises(RuntimeError, match="media clock"):
                await place.stop()
            place._running = None

    play(scene())


def test_work_that_is_called_off_before_it_begins_is_no_fault(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            (call,) = place.daemon.desk._calls.values()
            work = asyncio.sleep(10)
            call.spawn(work, "nothing").cancel()
            await until(lambda: getattr(work, "cr_frame", None) is None)  # closed, and so no warning
            await caller.hang_up()

    play(scene())
