"""What a caller gets when the daemon fails, on a real Asterisk: never silence for ever, always the fallback."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_call import CallFailed
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.links import Laid, laid
from tests.pbx.stage import ASSISTANT_HZ, FALLBACK_HZ, PLAN, Stage, hears, perform, telephones
from tests.waiting import until

pytestmark = pytest.mark.pbx

# Nobody listens on ports 1 and 2 of loopback
NOWHERE, NOWHERE_ELSE = "127.0.0.1:1", "127.0.0.1:2"


@asynccontextmanager
async def daemon(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """A daemon of its own process, and where it listens. Killed at the end, whatever became of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.pbx.small_daemon", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            agi, audiosocket = (await process.stdout.readline()).decode().split()
        yield process, f"127.0.0.1:{agi}", f"127.0.0.1:{audiosocket}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def with_daemon(
    root: Path, script: Callable[[asyncio.subprocess.Process, PrivateAsterisk, SipPhone], Awaitable[None]]
) -> None:
    async def body(link: Laid) -> None:
        async with (
            telephones(root, link.codecs, extra=link.extra) as (asterisk, phone, _),
            daemon(*link.arguments) as (process, agi, audiosocket),
        ):
            text = await asyncio.to_thread(lambda: render(agi=agi, audiosocket=audiosocket))
            await asterisk.replace_dialplan(text + PLAN)
            await script(process, asterisk, phone)
            await asterisk.wait_for_channels(0)

    with laid() as link:
        asyncio.run(body(link))


def test_daemon_down(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await stage.call()
        await call.answered(2.0)
        await hears(call, FALLBACK_HZ)
        assert stage.desk.offers == []
        await call.hang_up()

    perform(asterisk_root, script, rendered={"agi": NOWHERE, "audiosocket": NOWHERE_ELSE})


def test_without_a_fallback_of_the_administrators_own_an_unanswered_call_gets_503(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await stage.call()
        with pytest.raises(CallFailed) as caught:
            await call.answered(2.0)
        assert caught.value.status == 503

    plan = "[phones](+)\ninclude => sovereign\n"
    perform(asterisk_root, script, plan=plan, rendered={"agi": NOWHERE})


def test_a_fallback_that_does_not_exist_is_the_default_one(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await stage.call()
        with pytest.raises(CallFailed) as caught:
            await call.answered(2.0)
        assert caught.value.status == 503

    perform(asterisk_root, script, rendered={"agi": NOWHERE, "fallback": "ext-queues,600,1"})


def test_a_decision_that_never_comes(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.delay_s = 60
        call = await stage.call()
        await call.answered()
        assert call.answered_at is not None and 0.5 <= call.answered_at - call.invited_at < 2.0
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    perform(asterisk_root, script, decide_timeout_s=0.5)


def test_audiosocket_refused(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await stage.call()
        await call.answered()
        await hears(call, FALLBACK_HZ)
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert len(stage.desk.asked_next) == 1
        await call.hang_up()

    perform(asterisk_root, script, rendered={"audiosocket": NOWHERE})


def test_a_link_that_breaks_in_mid_call(asterisk_root: Path) -> None:
    """The media connection dies, the daemon lives: it is asked what comes next."""

    async def script(stage: Stage) -> None:
        stage.desk.step = NextStep("fallback")
        call, call_id = await stage.talk()
        await hears(call, ASSISTANT_HZ)
        await stage.cut()
        await hears(call, FALLBACK_HZ)
        assert stage.desk.asked_next == [call_id]
        await call.hang_up()

    perform(asterisk_root, script)


def test_daemon_stopped_in_mid_call(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        await hears(call, ASSISTANT_HZ)
        await stage.pbx.stop()
        await hears(call, FALLBACK_HZ)
        assert stage.desk.gone_calls == [(call_id, None)]
        await call.hang_up()
        await stage.asterisk.wait_for_channels(0)
        await stage.pbx.start(stage.desk)  # for the end of the stage, which asks it for its health

    perform(asterisk_root, script)


def test_daemon_killed_in_mid_call(asterisk_root: Path) -> None:
    async def script(process: asyncio.subprocess.Process, asterisk: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("8000")
        await call.answered()
        await hears(call, ASSISTANT_HZ)
        process.kill()
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    with_daemon(asterisk_root, script)


def test_daemon_frozen_before_the_answer_and_killed_by_its_watchdog(asterisk_root: Path) -> None:
    """What no deadline of the daemon's bounds: the caller rings until the watchdog acts, and may give up any time."""

    async def script(process: asyncio.subprocess.Process, asterisk: PrivateAsterisk, phone: SipPhone) -> None:
        process.send_signal(signal.SIGSTOP)
        patient, impatient = await phone.call("8000"), await phone.call("8000")
        await asyncio.sleep(1.0)
        assert patient.answered_at is None and patient.end is None
        await impatient.cancel()
        await asterisk.wait_for_channels(1, 2.0)
        process.kill()
        await patient.answered()
        await hears(patient, FALLBACK_HZ)
        await patient.hang_up()

    with_daemon(asterisk_root, script)


def test_daemon_frozen_in_mid_call(asterisk_root: Path) -> None:
    """Asterisk's AudioSocket gives up after two seconds without a frame either way; with a caller who goes on sending
    it does not, and the caller hears nothing until the watchdog acts."""

    async def script(process: asyncio.subprocess.Process, asterisk: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("8000")
        await call.answered()
        await hears(call, ASSISTANT_HZ)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3.0)
        assert call.end is None
        process.kill()
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    with_daemon(asterisk_root, script)


def test_a_caller_who_hangs_up_while_the_daemon_is_frozen(asterisk_root: Path) -> None:
    """The caller is free at once; the channel, waiting to tell the daemon, goes when the watchdog has acted."""

    async def script(process: asyncio.subprocess.Process, asterisk: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("8000")
        await call.answered()
        process.send_signal(signal.SIGSTOP)
        await call.hang_up()
        await asyncio.sleep(0.5)
        assert await asterisk.channels() == 1
        process.kill()
        await asterisk.wait_for_channels(0, 2.0)

    with_daemon(asterisk_root, script)


def test_a_fallback_that_leads_back_ends(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await stage.call()
        with pytest.raises(CallFailed):
            await call.answered(3.0)

    plan = "[phones](+)\ninclude => sovereign\n[sovereign-fallback]\nexten => s,1,Goto(sovereign,8000,1)\n"
    perform(asterisk_root, script, plan=plan, rendered={"agi": NOWHERE})


def test_a_step_that_comes_too_late(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        stage.desk.delay_s = 60
        stage.desk.links[call_id].close()
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    perform(asterisk_root, script, next_timeout_s=0.3)
