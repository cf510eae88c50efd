"""Calls in progress on a real Asterisk: hold, digits, what comes after the conversation, and AMI lost and back."""

import asyncio
import signal
from pathlib import Path

import pytest

from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkFinished
from sovereign_pbx.pbx.asterisk.asterisk import AsteriskPbx
from sovereign_pbx.pbx.link import NextStep
from tests.pbx.desk import Ear
from tests.pbx.relay import Relay
from tests.pbx.stage import (
    ASSISTANT_HZ,
    CALLER_HZ,
    FALLBACK_HZ,
    PLAN,
    Stage,
    TalkingDesk,
    dialplan,
    hears,
    perform,
    settings,
    telephones,
    tone_frame,
)
from tests.waiting import until

pytestmark = pytest.mark.pbx


def ear(stage: Stage, call_id: str) -> Ear:
    listener = stage.desk.links[call_id].listener
    assert isinstance(listener, Ear)
    return listener


def test_a_caller_who_hangs_up_is_reported_within_half_a_second(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        await call.hang_up("Q.850;cause=31")
        await until(lambda: stage.desk.gone_calls == [(call_id, 31)], 0.5)
        assert [type(how) for how in ear(stage, call_id).ends] == [LinkFinished]

    perform(asterisk_root, script)


def test_without_ami_a_hang_up_is_reported_all_the_same(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        await call.hang_up("Q.850;cause=31")
        await until(lambda: stage.desk.gone_calls == [(call_id, 31)], 0.5)

    perform(asterisk_root, script, ami=False)


def test_a_held_call_lives_as_long_as_frames_go_out(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        await call.hold()
        await until(lambda: stage.desk.holds == [True])
        await asyncio.sleep(3.0)  # AudioSocket's own limit is two seconds without a frame either way
        assert stage.desk.links[call_id].ended is None
        await call.unhold()
        await until(lambda: stage.desk.holds == [True, False])
        await hears(call, ASSISTANT_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


@pytest.mark.parametrize("ami", [True, False])
def test_a_digit_is_told_once(asterisk_root: Path, ami: bool) -> None:
    async def script(stage: Stage) -> None:
        call, _ = await stage.talk()
        await call.press("1155#")
        await until(lambda: len(stage.desk.digits) >= 5)
        await asyncio.sleep(0.3)
        assert stage.desk.digits == list("1155#")
        await call.hang_up()

    perform(asterisk_root, script, ami=ami)


def test_digits_are_heard_by_the_caller_one_by_one(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        await stage.pbx.send_digits(call_id, "12w#")
        await until(lambda: len(call.ear.digits) == 3)
        assert [heard.digit for heard in call.ear.digits] == list("12#")
        assert call.ear.digits[2].at - call.ear.digits[1].at > 0.6
        assert stage.desk.digits == []
        await hears(call, ASSISTANT_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


@pytest.mark.parametrize("ami", [True, False])
def test_the_daemon_hangs_up(asterisk_root: Path, ami: bool) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        await hears(call, ASSISTANT_HZ)  # a Dial() that has not told its caller of the answer yet loses the cause
        await stage.pbx.hang_up(call_id, cause=31)
        end = await call.over()
        assert end.how == "they hung up"
        assert end.cause == (31 if ami else 16)
        await until(lambda: [gone for gone, _ in stage.desk.gone_calls] == [call_id])
        assert stage.desk.asked_next == []

    perform(asterisk_root, script, ami=ami)


def test_after_the_conversation_the_caller_is_hung_up(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        stage.desk.links[call_id].close()
        assert (await call.over()).how == "they hung up"
        assert stage.desk.asked_next == [call_id]
        assert [type(how) for how in ear(stage, call_id).ends] == [LinkClosed]
        await until(lambda: len(stage.desk.gone_calls) == 1)

    perform(asterisk_root, script)


def test_after_the_conversation_the_caller_is_put_through(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = "answer"
        call, call_id = await stage.talk()
        stage.desk.steps = [NextStep("dial", "101")]
        stage.desk.links[call_id].close()
        offered = await stage.agent.incoming()
        await offered.answered()
        offered.say(b"".join(tone_frame(n, CALLER_HZ) for n in range(200)))
        await hears(call, CALLER_HZ)
        assert stage.desk.through == [call_id]
        await offered.hang_up()
        assert (await call.over()).how == "they hung up"
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert stage.desk.asked_next == [call_id, call_id]

    perform(asterisk_root, script)


@pytest.mark.parametrize("destination", ["101", "999"])
def test_a_caller_whom_nobody_takes_comes_back_and_talks_again(asterisk_root: Path, destination: str) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = "busy"
        call, call_id = await stage.talk()
        stage.desk.steps = [NextStep("dial", destination), NextStep("talk")]  # nobody may dial 999
        first = stage.desk.links[call_id]
        first.close()
        await until(lambda: stage.desk.links[call_id] is not first)
        await hears(call, ASSISTANT_HZ)
        assert stage.desk.asked_next == [call_id, call_id]
        stage.desk.step = NextStep("fallback")
        stage.desk.links[call_id].close()
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


def test_a_destination_with_dialplan_in_it_is_never_dialled(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        stage.desk.step = NextStep("dial", "101@phones,30)&System(x")
        stage.desk.links[call_id].close()
        await hears(call, FALLBACK_HZ)
        assert stage.agent.calls == {}
        await call.hang_up()

    perform(asterisk_root, script)


def test_the_documented_rights_are_enough_and_the_version_is_told(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        assert stage.pbx.ami is not None
        assert (await stage.pbx.ami.rights()).missing == ()
        assert (await stage.pbx.ami.version()).split(".")[0].isdigit()
        assert stage.pbx.health()["status"] == "ok"

    perform(asterisk_root, script)


def test_ami_lost_and_back(asterisk_root: Path) -> None:
    """Calls go on without it; who hung up meanwhile is found out afterwards, even without the `h` extension."""

    async def body() -> None:
        async with (
            telephones(asterisk_root) as (asterisk, phone, agent),
            Relay(("127.0.0.1", asterisk.ami_port)) as relay,
        ):
            pbx = AsteriskPbx(settings(asterisk, ami=True, ami_port=relay.port))
            stage = Stage(asterisk, pbx, phone, agent)
            await pbx.start(stage.desk)
            talking = asyncio.create_task(stage.desk.talk())
            try:
                text = await asyncio.to_thread(dialplan, pbx)
                await asterisk.replace_dialplan(text.replace("exten => h,1,", "exten => unused,1,") + PLAN)
                await until(lambda: pbx.health()["status"] == "ok")
                await lose_and_mend(stage, relay)
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)
                await pbx.stop()

    asyncio.run(body())


async def lose_and_mend(stage: Stage, relay: Relay) -> None:
    staying, staying_id = await stage.talk()
    leaving, leaving_id = await stage.talk()
    await relay.cut()
    await until(lambda: stage.pbx.health()["status"] == "degraded")
    await leaving.hang_up()
    late, late_id = await stage.talk()
    await hears(late, ASSISTANT_HZ)
    assert stage.desk.gone_calls == []
    await relay.mend()
    await until(lambda: stage.desk.gone_calls == [(leaving_id, None)], 5.0)
    assert stage.pbx.health()["calls"] == 2
    for call, call_id in ((staying, staying_id), (late, late_id)):
        assert stage.desk.links[call_id].ended is None
        await call.hang_up()
    await until(lambda: len(stage.desk.gone_calls) == 3)
    assert isinstance(stage.desk, TalkingDesk)
    await stage.asterisk.wait_for_channels(0)


def test_asterisk_itself_restarts(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        _, call_id = await stage.talk()
        await stage.asterisk.stop()
        await until(lambda: stage.desk.links[call_id].ended is not None)
        await stage.asterisk.start()
        await until(lambda: stage.desk.gone_calls == [(call_id, None)])
        call, _ = await stage.talk()
        await hears(call, ASSISTANT_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


def test_a_frozen_asterisk_is_noticed_by_its_silence(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        stage.asterisk.signal(signal.SIGSTOP)
        await until(lambda: isinstance(stage.desk.links[call_id].ended, LinkBroken))
        stage.asterisk.signal(signal.SIGCONT)
        await call.hang_up()

    perform(asterisk_root, script, idle_timeout_s=1.0)
