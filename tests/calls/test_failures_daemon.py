"""The daemon is down, hangs, is killed, is stopped: what the caller hears, on a real Asterisk."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from sovereign_pbx.service import EXIT_HUNG
from tests.calls.house import GREETING, assistant
from tests.calls.scene_daemon import until_linked
from tests.calls.scene_person import Person
from tests.calls.scene_stage import ANSWER, LONG_ANSWER, Stage
from tests.calls.scene_troupe import scene
from tests.waiting import until
from tests.webhooks.receiver import Got

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

NEXT_S = 1.5  # how soon the fallback must be heard once the daemon's sockets are gone
LOST = "the daemon was stopped during the call"


async def restart(stage: Stage) -> None:
    """Start the daemon again on the same state; what it has open then is the new measure."""
    await stage.process.start()
    await until_linked(stage.daemon)
    await stage.take_stock()


async def killed(stage: Stage, person: Person) -> None:
    """kill -9: the caller has the fallback at once; after the restart the call is closed and reported."""
    loop = asyncio.get_running_loop()
    await stage.process.kill()
    at = loop.time()
    tone = await person.hears_fallback()
    assert tone.start - at < NEXT_S
    stage.notes.append(f"the fallback {max(0.0, tone.start - at):.1f} s after the kill")
    row = await stage.row()
    assert row.ended_at is None, "nobody could have written it"
    await restart(stage)
    row = await stage.row()
    assert (row.status, row.end_reason, row.error) == ("failed", "error", LOST)
    await person.hang_up()


# --- down


@scene("1", "The daemon is down", bounded="a refused connection: at once", process=True, begin=False)
async def test_a_daemon_that_is_down(stage: Stage) -> None:
    person = await stage.answered()
    tone = await person.hears_fallback()
    assert tone.start - person.call.invited_at < NEXT_S
    await person.hang_up()
    await stage.asterisk.wait_for_channels(0)
    await stage.process.start()
    await until_linked(stage.daemon)
    await stage.take_stock()


# --- hung


@scene(
    "2",
    "The event loop hangs before the call",
    bounded="the daemon's own guard: it ends itself after 5 s, systemd starts it again",
    process=True,
    program=("-m", "tests.calls.hung_daemon"),
)
async def test_a_daemon_that_hangs_before_the_answer(stage: Stage) -> None:
    stage.process.process.send_signal(signal.SIGUSR1)  # type: ignore[union-attr]
    person = await stage.answered()
    tone = await person.hears_fallback()
    assert tone.start - person.call.invited_at < 5.0 + NEXT_S
    assert await stage.process.ended() == EXIT_HUNG
    await person.hang_up()
    await restart(stage)


@scene(
    "2",
    "The event loop hangs in mid-call",
    bounded="the daemon's own guard, 5 s; the caller hears nothing meanwhile",
    wait_s=7.0,
    process=True,
    program=("-m", "tests.calls.hung_daemon"),
)
async def test_a_daemon_that_hangs_in_mid_call(stage: Stage) -> None:
    stage.openai.script = (LONG_ANSWER,)
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    stage.process.process.send_signal(signal.SIGUSR1)  # type: ignore[union-attr]
    await person.hears_fallback()
    assert await stage.process.ended() == EXIT_HUNG
    await person.hang_up()
    await restart(stage)
    assert (await stage.row()).error == LOST


@scene(
    "2",
    "The interpreter hangs in native code before the call",
    bounded="faulthandler's own thread, 10 s; systemd starts it again",
    process=True,
    program=("-m", "tests.calls.hung_daemon"),
)
async def test_a_daemon_that_hangs_in_native_code(stage: Stage) -> None:
    stage.process.process.send_signal(signal.SIGUSR2)  # type: ignore[union-attr]
    person = await stage.answered()
    tone = await person.hears_fallback()
    assert tone.start - person.call.invited_at < 10.5 + NEXT_S
    await person.hang_up()
    await restart(stage)


@scene(
    "2",
    "The process is frozen from outside (SIGSTOP), before the call",
    bounded="systemd's watchdog (`WatchdogSec`), played by a SIGKILL after 3 s here; without systemd nothing",
    process=True,
)
async def test_a_daemon_that_is_frozen_before_the_answer(stage: Stage) -> None:
    stage.process.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    person = await stage.dial()
    await asyncio.sleep(3.0)
    assert person.call.answered_at is None, "FastAGI has no time-out of its own"
    await stage.process.kill()
    await person.call.answered(5.0)
    await person.hears_fallback()
    await person.hang_up()
    await restart(stage)


@scene(
    "2",
    "The process is frozen from outside (SIGSTOP), in mid-call",
    bounded="systemd's watchdog, played by a SIGKILL after 3 s here; without systemd nothing",
    wait_s=5.0,
    process=True,
)
async def test_a_daemon_that_is_frozen_in_mid_call(stage: Stage) -> None:
    stage.openai.script = (LONG_ANSWER,)
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    stage.process.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    await asyncio.sleep(3.0)
    await killed(stage, person)


# --- killed


@scene(
    "3",
    "The daemon is killed (SIGKILL) while it rings",
    bounded="the sockets' end: at once",
    process=True,
    assistants={"reception": assistant(webhook_events=["assistant-request", "status-update", "end-of-call-report"])},
)
async def test_a_daemon_killed_while_it_rings(stage: Stage) -> None:
    async def pending(got: Got) -> web.StreamResponse:
        if got.event == "assistant-request":
            await got.over.wait()
        return web.json_response({})

    stage.receiver.answer = pending
    person = await stage.dial()
    await until(lambda: stage.webhooks("assistant-request"))
    await stage.process.kill()
    await person.call.answered(NEXT_S)
    await person.hears_fallback()
    await person.hang_up()
    await restart(stage)
    stage.receiver.over.set()


@scene("3", "The daemon is killed (SIGKILL) during the greeting", bounded="the sockets' end: at once", process=True)
async def test_a_daemon_killed_during_the_greeting(stage: Stage) -> None:
    person = await stage.answered()
    await person.hears_beginning(after=0.0)
    await stage.until_row(lambda row: row.started_at is not None)
    await killed(stage, person)


@scene("3", "The daemon is killed (SIGKILL) while it listens", bounded="the sockets' end: at once", process=True)
async def test_a_daemon_killed_while_it_listens(stage: Stage) -> None:
    person = await stage.greeted()
    asking = asyncio.create_task(person.ask())
    await until(lambda: person.said and person.said[0].started_at)
    await asyncio.sleep(0.5)
    await killed(stage, person)
    await asking


@scene("3", "The daemon is killed (SIGKILL) while the language model thinks", bounded="at once", process=True)
async def test_a_daemon_killed_while_it_thinks(stage: Stage) -> None:
    stage.openai.first_token_ms = 1500
    person = await stage.greeted()
    await person.ask()
    await until(lambda: stage.openai.requests)
    await killed(stage, person)


@scene("3", "The daemon is killed (SIGKILL) while it speaks", bounded="the sockets' end: at once", process=True)
async def test_a_daemon_killed_while_it_speaks(stage: Stage) -> None:
    stage.openai.script = (LONG_ANSWER,)
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    await asyncio.sleep(1.0)
    await killed(stage, person)
    await stage.check_nothing_left()
    said = await stage.said()
    assert said[0] == ("assistant", GREETING), said


# --- stopped


async def stopping(stage: Stage, then: Callable[[Person], Awaitable[None]]) -> None:
    """SIGTERM in mid-call: newcomers go to the fallback, the call goes on until `then` is through."""
    person = await stage.greeted()
    stage.process.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    await asyncio.sleep(0.2)
    newcomer = await stage.answered("101")
    await newcomer.hears_fallback()
    await newcomer.hang_up()
    await then(person)
    assert await stage.process.ended() == 0


@scene(
    "4",
    "The daemon is stopped (SIGTERM) in mid-call; the caller ends within the time to drain",
    bounded="`[daemon] drain_seconds`",
    process=True,
    daemon={"drain_seconds": 20.0},
)
async def test_a_daemon_that_is_stopped_lets_calls_end(stage: Stage) -> None:
    async def go_on(person: Person) -> None:
        asked = await person.ask()
        await person.hears(ANSWER, after=asked)
        await person.hang_up()

    await stopping(stage, go_on)
    row = await stage.row_of("100")
    assert (row.status, row.end_reason) == ("ended", "user_hangup")
    await restart(stage)


@scene(
    "4",
    "The daemon is stopped (SIGTERM) in mid-call; the caller stays",
    bounded="`[daemon] drain_seconds`, 4 s here, then the fallback",
    process=True,
    daemon={"drain_seconds": 4.0},
)
async def test_a_daemon_that_is_stopped_gives_its_callers_back(stage: Stage) -> None:
    async def stay(person: Person) -> None:
        await person.hears_fallback()
        await person.hang_up()

    await stopping(stage, stay)
    row = await stage.row_of("100")
    assert (row.status, row.end_reason) == ("ended", "shutdown")
    await restart(stage)


# --- the sockets between Asterisk and the daemon


@scene("5", "AudioSocket refuses connections while FastAGI works", bounded="TryExec: at once", audio_cut=True)
async def test_audiosocket_that_refuses(stage: Stage) -> None:
    person = await stage.answered()
    tone = await person.hears_fallback()
    assert person.call.answered_at is not None
    assert tone.start - person.call.answered_at < NEXT_S
    await person.hang_up()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert row.started_at is None
    assert (row.status, row.end_reason) == ("failed", "error")


@scene(
    "5",
    "The AudioSocket connection breaks in mid-call",
    bounded="the daemon is asked what next: at once",
    audio_relayed=True,
)
async def test_audiosocket_that_breaks(stage: Stage) -> None:
    stage.openai.script = (LONG_ANSWER,)
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    assert stage.audio_relay is not None
    await stage.audio_relay.cut()
    await person.hears_fallback()
    await stage.audio_relay.mend()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason, row.error) == ("failed", "error", "the media link was lost")
    await person.hang_up()


# --- the manager


@scene(
    "6",
    "The manager's connection is lost in mid-call and comes back",
    bounded="reconnection; calls do not need it",
    relayed=True,
)
async def test_a_manager_that_is_lost_and_back(stage: Stage) -> None:
    person = await stage.greeted()
    leaver = await stage.greeted("101")
    assert stage.relay is not None
    await stage.relay.cut()
    await until_unlinked(stage)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await leaver.hang_up()
    newcomer = await stage.greeted("102")
    await stage.relay.mend()
    await until_linked(stage.daemon)
    again = await person.ask()
    await person.hears(ANSWER, after=again)
    await person.hang_up()
    await newcomer.hang_up()
    await stage.check_nothing_left()
    assert [(row.status, row.end_reason) for row in await stage.rows()] == [("ended", "user_hangup")] * 3


async def until_unlinked(stage: Stage) -> None:
    async with asyncio.timeout(10):
        while await stage.daemon.linked():  # noqa: ASYNC110 - the state is the daemon's
            await asyncio.sleep(0.02)


@scene("6", "Asterisk's manager module is reloaded in mid-call", bounded="reconnection; calls do not need it")
async def test_a_manager_that_is_reloaded(stage: Stage) -> None:
    person = await stage.greeted()
    await stage.asterisk.cli("manager reload")
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await until_linked(stage.daemon)
    await person.hang_up()


@scene(
    "6",
    "The manager's secret is wrong",
    bounded="calls work without it; /health says `degraded`, doctor says why",
    asterisk={"ami": {"secret": "wrong"}},
)
async def test_a_manager_that_refuses_the_login(stage: Stage) -> None:
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    await stage.check_nothing_left()
    row = await stage.row()
    assert (row.status, row.end_reason) == ("ended", "user_hangup")
    assert stage.own.daemon.pbx.health()["status"] == "degraded"


# --- Asterisk itself


@scene("6", "Asterisk is killed in mid-call and started again", bounded="the sockets' end; nobody is left to hear")
async def test_an_asterisk_that_is_killed(stage: Stage) -> None:
    person = await stage.greeted()
    await stage.asterisk.stop()
    person.call.close()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason) == ("ended", "user_hangup")
    await stage.asterisk.start()
    await until_linked(stage.daemon)
    another = await stage.greeted("101")
    await another.hang_up()
