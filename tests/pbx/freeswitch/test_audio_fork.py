"""Calls whose sound comes by mod_audio_fork, on a played FreeSWITCH that counts what the real one would take amiss."""

import asyncio
import struct

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.pbx.freeswitch.audio_fork import OVERRUN, ForkServer, ForkSession
from sovereign_pbx.pbx.freeswitch.parked_dialplan import render
from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.testing.freeswitch_audio_fork import Fork, ForkSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel, Person
from tests.pbx.freeswitch.parked_stage import CALLER, SPEECH, Stage, play
from tests.waiting import until


def fork_of(stage: Stage, channel: Channel) -> Fork:
    assert isinstance(stage.switch, ForkSwitch)
    return stage.switch.forks[channel.uuid]


def test_a_caller_is_rung_answered_and_heard() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        fork = fork_of(stage, caller)
        fork.speech = CALLER * 300
        await until(lambda: CALLER * 3 in stage.hears(stage.link()))
        stage.switch.press(caller, "5")
        await until(lambda: stage.desk.digits == ["5"])
        assert (stage.link().kind, stage.link().rate) == ("audio_fork", 8000)
        assert fork.depth <= 8
        await stage.switch.hang_up(caller)
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario, fork=True)


def test_a_cut_is_heard_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        fork = fork_of(stage, caller)
        stage.link().flush()
        await until(lambda: fork.killed == 1)
        await until(lambda: stage.played(caller).endswith(SPEECH))  # and goes on
        await stage.switch.hang_up(caller)

    play(scenario, fork=True)


def test_marks_tell_how_late_the_caller_hears() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        link = stage.link()
        session = vars(link)["_session"]
        assert isinstance(session, ForkSession)
        await until(lambda: session.played_after_s > 0)
        assert session.played_after_s < 0.4
        await stage.switch.hang_up(caller)

    play(scenario, fork=True)


def test_a_connection_that_is_lost_comes_again() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        link = stage.link()
        assert isinstance(stage.switch, ForkSwitch)
        await stage.switch.unfork(caller.uuid)
        await until(lambda: SPEECH * 5 in stage.played(caller))
        await fork_of(stage, caller).say_nothing_more()
        await until(lambda: stage.pbx.health()["websocket"]["connections"] == 1)
        await until(lambda: SPEECH * 5 in stage.played(caller))
        assert link.ended is None
        await stage.switch.hang_up(caller)

    play(scenario, fork=True)


def test_a_caller_who_talks_with_a_colleague_is_not_listened_to() -> None:
    async def scenario(stage: Stage) -> None:
        stage.switch.people["user/100"] = Person("answer")
        caller = await stage.talking()
        stage.say_goodbye(NextStep("dial", "100"), NextStep("talk"))
        await until(lambda: caller.partner is not None)
        assert isinstance(stage.switch, ForkSwitch)
        await until(lambda: stage.switch.forks == {})  # type: ignore[attr-defined]  # it is one that forks
        assert caller.partner is not None
        await stage.switch.hang_up(caller.partner)
        await until(lambda: SPEECH * 3 in stage.played(caller))
        assert [how.outcome for how in stage.desk.dialled if how is not None] == ["answered"]
        await stage.switch.hang_up(caller)

    play(scenario, fork=True)


def test_what_freeswitch_had_to_drop_is_counted() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        stage.switch.esl.event(OVERRUN, {"Unique-ID": caller.uuid})
        await until(lambda: stage.pbx.health()["invites"].get("buffer_overrun") == 1)
        await stage.switch.hang_up(caller)

    play(scenario, fork=True)


def test_strangers_get_nothing_and_nobody_gets_in_twice() -> None:
    async def body() -> None:
        server = ForkServer("127.0.0.1", 0)
        await server.server.start()
        session = ForkSession(8000, on_lost=lambda: None)
        address = server.expect(session)
        try:
            first, second, third = Fork(8000), Fork(8000), Fork(8000)
            with pytest.raises(InvalidStatus):
                await first.begin(address.partition("?")[0], "sovereign")
            await second.begin(address, "sovereign", protocol="audio.drachtio.org")
            async with asyncio.timeout(15):
                await session.heard.wait()
            with pytest.raises(InvalidStatus):
                await third.begin(address, "sovereign")
            await second.end()
        finally:
            await server.server.close()
        assert server.server.counts["refused_unknown_id"] == 2

    asyncio.run(body())


def test_a_sample_of_minus_one_is_no_mark() -> None:
    async def body() -> None:
        server = ForkServer("127.0.0.1", 0)
        await server.server.start()
        session = ForkSession(8000, on_lost=lambda: None)
        fork = Fork(8000)
        try:
            await fork.begin(server.expect(session), "sovereign")
            async with asyncio.timeout(15):
                await session.heard.wait()
            link = session.link()
            for _ in range(120):
                link.put(struct.pack("<160h", *[-1, 5] * 80))
                await asyncio.sleep(FRAME_S)
            assert fork.faults == []
            assert session.played_after_s > 0
        finally:
            await fork.end()
            await server.server.close()

    asyncio.run(body())


def test_who_begins_with_sound_is_refused() -> None:
    async def body() -> None:
        server = ForkServer("127.0.0.1", 0)
        await server.server.start()
        session = ForkSession(8000, on_lost=lambda: None)
        fork = Fork(8000)
        try:
            fork_socket_error = False
            try:
                await fork.begin(server.expect(session), b"\0\0")  # type: ignore[arg-type]  # bytes on purpose
                await until(lambda: server.server.counts["refused_unusable"] == 1)
            except ConnectionClosed:
                fork_socket_error = True
            assert fork_socket_error or not session.heard.is_set()
        finally:
            await fork.end()
            await server.server.close()

    asyncio.run(body())


def test_the_dialplan_keeps_the_channel_writing() -> None:
    text = render(media="audio_fork")
    assert text.count("send_silence_when_idle=-1") == text.count('application="park"')
    assert "absolute_codec_string" not in text
