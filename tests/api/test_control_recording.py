"""`pause-recording` and `resume-recording` of `POST /calls/{id}/control`: our addition to the contract's commands."""

import asyncio
from pathlib import Path

import pytest

from tests.api.rest import serving_rest


def test_a_recording_is_paused_and_goes_on_by_command(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            api.desk.live.add("c1")
            api.desk.recorded.add("c1")
            for kind in ("pause-recording", "resume-recording"):
                assert (await api.post("/calls/c1/control", {"type": kind})).status == 200
            assert api.desk.pauses == [("c1", True), ("c1", False)]
            assert not api.desk.orders

    asyncio.run(run())


@pytest.mark.parametrize(
    ("call_id", "status", "code"),
    [("unrecorded", 409, "not_recorded"), ("ended", 400, "call_not_active"), ("unknown", 404, "not_found")],
)
def test_where_nothing_is_recorded_the_answer_says_so(tmp_path: Path, call_id: str, status: int, code: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            api.desk.live.add("unrecorded")
            api.desk.over.add("ended")
            got = await api.post(f"/calls/{call_id}/control", {"type": "pause-recording"})
            assert (got.status, got.body["code"]) == (status, code)

    asyncio.run(run())


def test_a_key_that_may_only_read_may_not_pause(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            api.desk.live.add("c1")
            api.desk.recorded.add("c1")
            reader = await api.with_scopes("read")
            assert (await reader.post("/calls/c1/control", {"type": "pause-recording"})).status == 403
            assert not api.desk.pauses

    asyncio.run(run())
