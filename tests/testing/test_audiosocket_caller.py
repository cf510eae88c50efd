"""The caller that needs no PBX, against a scripted daemon."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvloop

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, NotAnswered
from sovereign_pbx.testing.caller_ticker import CallerTicker
from tests.testing.scripted_daemon import ScriptedDaemon, Sock, echo, read_frame
from tests.testing.signals import babble, find, tone
from tests.waiting import until

CALL = str(uuid4())
ANSWER = [f'SET VARIABLE SOVEREIGN_CALL "{CALL}"', "SET VARIABLE SOVEREIGN_ACTION answer"]
HANG_UP = ["SET VARIABLE SOVEREIGN_NEXT hangup"]

Script = Callable[[AudioSocketCaller, ScriptedDaemon], Awaitable[None]]


def play(
    script: Script,
    sock: Sock = echo,
    answers: Mapping[str, list[str]] | None = None,
    runner: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> None:
    async def run() -> None:
        daemon = ScriptedDaemon(answers or {"inbound": ANSWER, "next": HANG_UP}, sock)
        with CallerTicker() as ticker:
            async with daemon, AudioSocketCaller(ticker, agi=daemon.agi, audio=daemon.audio, called="700") as caller:
                await script(caller, daemon)

    runner(run())


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_a_call_is_answered_and_what_is_said_comes_back(runner: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        await caller.place()
        said = caller.say(babble(1.0))
        await said.finished.wait()
        await asyncio.sleep(0.1)
        await caller.hang_up()
        assert find(babble(1.0), caller.heard.audio())[1] > 0.9999
        assert said.started_at is not None and said.ended_at is not None
        stalled_s = caller.ticker.latest_s  # the machine's own doing: time that it took from the caller
        assert said.ended_at - said.started_at == pytest.approx(1.0, abs=0.05 + stalled_s)
        report = caller.report()
        assert report.ending == "we hung up"
        assert report.real_time_ratio == pytest.approx(1.0, abs=0.05 + stalled_s)
        assert abs(report.frames_sent - report.frames_heard) <= 1
        assert report.first_frame_ms is not None and report.first_frame_ms < 500
        assert (report.late_payloads, report.odd_frames) == (0, 0)

    play(script, runner=runner)


def test_the_dialplan_runs_to_its_end_whoever_ends_the_call() -> None:
    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, payload = await read_frame(reader)
        assert (kind, str(UUID(bytes=payload))) == (1, CALL)
        await read_frame(reader)

    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        await caller.place()
        await caller.over(5)
        assert [path for path, _ in daemon.asked] == ["inbound", "next", "hangup"]
        assert daemon.asked[0][1]["dnid"] == "700"
        assert daemon.asked[0][1]["arg_1"] == "700"
        assert daemon.asked[1][1]["arg_1"] == CALL
        assert caller.steps == ["hangup"]
        assert all(reply.startswith("200 result=1") for reply in daemon.replies)

    play(script, short)


def test_talk_again_opens_the_audio_anew() -> None:
    rounds = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        rounds.append(1)
        if len(rounds) == 2:
            await echo(reader, writer)

    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        await caller.place()
        first = caller.leg
        await until(lambda: caller.leg is not first)
        await caller.hang_up()
        assert caller.steps == ["talk"]

    play(script, twice, {"inbound": ANSWER, "next": ["SET VARIABLE SOVEREIGN_NEXT talk"]})


@pytest.mark.parametrize("action", ["reject", "busy", "divert", "fallback"])
def test_a_call_that_is_not_taken_says_what_the_dialplan_was_told(action: str) -> None:
    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        with pytest.raises(NotAnswered) as failure:
            await caller.place()
        assert (failure.value.action, failure.value.status) == (action, "SUCCESS")

    play(script, answers={"inbound": [f"SET VARIABLE SOVEREIGN_ACTION {action}"]})


def test_a_daemon_that_is_down_is_a_failure_for_the_dialplan() -> None:
    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        caller._agi = ("127.0.0.1", 1)
        with pytest.raises(NotAnswered) as failure:
            await caller.place()
        assert failure.value.status == "FAILURE"

    play(script)


def test_a_caller_may_leave_while_it_rings() -> None:
    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        async with asyncio.TaskGroup() as group:
            placing = group.create_task(refused(caller))
            await until(lambda: daemon.asked)
            await caller.hang_up()
        assert placing.result() == "HANGUP"

    # GET VARIABLE over and over: a daemon that takes its time
    play(script, answers={"inbound": ["GET VARIABLE X"] * 100_000})


async def refused(caller: AudioSocketCaller) -> str:
    with pytest.raises(NotAnswered) as failure:
        await caller.place()
    return failure.value.status


def test_digits_are_sent_one_a_frame() -> None:
    got: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, payload = await read_frame(reader)
            if kind == 3:
                got.append(payload.decode())

    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        await caller.place()
        caller.press("12#")
        await until(lambda: len(got) == 3)
        await caller.hang_up()
        assert got == ["1", "2", "#"]

    play(script, listen)


@pytest.mark.parametrize(
    ("sent", "ending"),
    [
        (b"\x00\x00\x00", "server hung up"),
        (b"\x03\x00\x011", "server broke the protocol"),
        (b"\xff\x00\x01\x01", "server broke the protocol"),
        (b"\x42\x00\x01\x01", "server broke the protocol"),
        (b"\x10\x00\x00", "server broke the protocol"),
        (b"", "server closed"),
    ],
)
def test_what_asterisk_would_end_the_call_for_ends_it_here(sent: bytes, ending: str) -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        writer.write(sent)
        await writer.drain()
        if sent:
            await reader.read()

    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        await caller.place()
        await caller.over(5)
        assert caller.report().ending == ending
        assert ("next" in [path for path, _ in daemon.asked]) == (ending in ("server closed", "server hung up"))

    play(script, misbehave)


def test_bursts_holes_and_late_payloads_are_seen() -> None:
    frame = b"\x10\x01\x40" + tone(0.02)

    async def rough(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        writer.write(frame * 7)
        await asyncio.sleep(0.3)
        writer.write(frame[:100])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(frame[100:])
        await reader.read()

    async def script(caller: AudioSocketCaller, daemon: ScriptedDaemon) -> None:
        await caller.place()
        await until(lambda: caller.heard.frames == 8)
        await caller.hang_up()
        report = caller.report()
        assert report.burst == 7
        assert report.hole_ms > 280
        assert report.late_payloads == 1

    play(script, rough)


def test_many_callers_share_one_clock() -> None:
    async def run() -> None:
        with CallerTicker() as ticker:
            async with ScriptedDaemon({"inbound": ANSWER}, echo) as daemon:
                callers = [
                    AudioSocketCaller(ticker, agi=daemon.agi, audio=daemon.audio, keep_audio=False) for _ in range(20)
                ]
                await asyncio.gather(*(caller.place() for caller in callers))
                said = [caller.say(babble(0.5)) for caller in callers]
                await asyncio.gather(*(utterance.finished.wait() for utterance in said))
                await asyncio.sleep(0.2)
                await asyncio.gather(*(caller.hang_up() for caller in callers))
                for caller in callers:
                    assert len(caller.heard.sounds()) == 1
                    assert caller.report().frames_heard >= 30
                await asyncio.gather(*(caller.close() for caller in callers))

    asyncio.run(run())
