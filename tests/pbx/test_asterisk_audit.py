"""The audit on a real Asterisk, with the rights that the documentation asks for: what it finds, and what it mends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.pbx import reconciliation
from sovereign_pbx.pbx.link import DialOrder
from tests.pbx.stage import ASSISTANT_HZ, FALLBACK_HZ, Stage, hears, perform
from tests.waiting import until

pytestmark = pytest.mark.pbx

OURS: dict[str, Any] = {"audit_s": 0.2, "instance": "i0a"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "CONFIRM_S", 0.3)


def test_calls_under_way_differ_in_nothing(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        first, _ = await stage.talk()
        second, _ = await stage.talk()
        found = await stage.pbx.audit()
        assert (found["asked"], found["differences"]) == (True, [])
        assert [line["phase"] for line in found["lines"]] == ["talking", "talking"]
        await asyncio.sleep(1.5)  # five audits and more
        await hears(first, ASSISTANT_HZ)
        assert stage.desk.gone_calls == []
        for call in (first, second):
            await call.hang_up()

    perform(asterisk_root, script, **OURS)


def test_a_caller_whom_the_daemon_has_lost_is_given_to_the_fallback(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, _ = await stage.talk()
        await hears(call, ASSISTANT_HZ)
        stage.forget()
        await hears(call, FALLBACK_HZ)
        await until(lambda: stage.pbx.health()["unknown_channels"] == 0)
        await call.hang_up()

    perform(asterisk_root, script, **OURS)


@pytest.mark.parametrize("trunk", ["agent", ""], ids=["on a trunk", "through the administrator's context"])
def test_a_telephone_that_rings_for_a_forgotten_call_stops_and_others_go_on(asterisk_root: Path, trunk: str) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = "ring"
        talking, _ = await stage.talk()
        call_id = "0b2f6c1e-0000-4000-8000-000000000001"
        await stage.pbx.originate(DialOrder(call_id=call_id, destination="101", trunk=trunk))
        ringing = await stage.agent.incoming()
        await asyncio.sleep(1.0)
        assert ringing.end is None, "the call of a daemon that knows it was taken for an orphan"
        forget_orders(stage)
        async with asyncio.timeout(5):
            assert (await ringing.over()).how == "cancelled"
        await hears(talking, ASSISTANT_HZ)
        await talking.hang_up()

    perform(asterisk_root, script, ami_write="call,originate,reporting", **OURS)


def forget_orders(stage: Stage) -> None:
    assert stage.pbx._originator is not None
    stage.pbx._originator.close()
    for line in stage.pbx._lines:
        if line.phase == "dialling":
            stage.pbx._lines.close(line, None)


def test_hang_ups_that_are_never_told_are_found(asterisk_root: Path) -> None:
    """The `h` extension and AMI both fail to tell; the line would stay for as long as a call passed on may last."""

    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        (line,) = stage.pbx._lines
        stage.pbx._lines.enter(line, "dialled", 3600.0)
        assert stage.pbx.ami is not None
        stage.pbx.ami._listeners.clear()
        await stage.asterisk.cli("dialplan remove extension h@sovereign-inbound")
        await call.hang_up()
        await until(lambda: (call_id, None) in stage.desk.gone_calls)

    perform(asterisk_root, script, **OURS)
