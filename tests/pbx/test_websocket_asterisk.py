"""chan_websocket of a real Asterisk: sound, digits, hold, every end, and what it keeps in its queue."""

import asyncio
from pathlib import Path

import pytest

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import LinkClosed, LinkFinished
from sovereign_pbx.pbx.asterisk.websocket_link import WebSocketLink
from tests.pbx.websocket_stage import G722, Stage, hears, is_loud, perform, share, tone
from tests.waiting import until

pytestmark = pytest.mark.pbx

AFTERWARDS_HZ = 1004  # Milliwatt(): what the dialplan goes on to


@pytest.mark.parametrize(("rate", "codec", "hertz"), [(8000, 0, 1200), (16000, 0, 1200), (16000, G722, 5200)])
def test_both_sides_hear_each_other(asterisk_root: Path, rate: int, codec: int, hertz: int) -> None:
    async def script(stage: Stage) -> None:
        stage.speech = tone(hertz, 30, rate)
        call, talker = await stage.call()
        back = hertz - 300
        if codec == G722:
            call.say_wide(tone(back, 10, 16000))
            await hears(lambda: call.ear.wide, hertz, 16000)
        else:
            call.say(tone(back, 10, 8000))
            await hears(call.ear.heard.audio, hertz)
        await hears(talker.sound, back, rate)
        assert talker.link.statistics()["errors"] == 0
        await call.hang_up()

    perform(asterisk_root, script, rate=rate, codecs=(codec,))


def test_digits_and_hold_and_the_callers_hang_up(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.speech = tone(600, 30, 8000)
        call, talker = await stage.call()
        await call.press("15*#")
        await until(lambda: len(talker.digits) >= 4)
        await call.hold()
        await asyncio.sleep(1.5)
        assert talker.link.ended is None
        await call.unhold()
        await hears(call.ear.heard.audio, 600)
        assert talker.digits == list("15*#")
        await call.hang_up()
        await until(lambda: bool(talker.ends))
        assert [type(how) for how in talker.ends] == [LinkFinished]

    perform(asterisk_root, script)


def test_when_the_daemon_closes_the_caller_goes_on_in_the_dialplan(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, talker = await stage.call()
        talker.link.close()
        await hears(call.ear.heard.audio, AFTERWARDS_HZ)
        assert [type(how) for how in talker.ends] == [LinkClosed]
        await call.hang_up()

    perform(asterisk_root, script)


def test_when_the_connection_is_cut_the_caller_goes_on_in_the_dialplan(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, talker = await stage.call()
        assert isinstance(talker.link, WebSocketLink)
        talker.link.drop(LinkClosed("cut"))
        await hears(call.ear.heard.audio, AFTERWARDS_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


def test_a_call_that_is_not_expected_goes_on_in_the_dialplan(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await stage.phone.call("W11111111-1111-4111-8111-111111111111")
        await hears(call.ear.heard.audio, AFTERWARDS_HZ)
        assert stage.carrier.statistics()["refused_unknown_id"] == 1
        await call.hang_up()

    perform(asterisk_root, script)


def test_without_a_daemon_the_caller_goes_on_in_the_dialplan(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        await stage.carrier.close()
        call = await stage.phone.call("W11111111-1111-4111-8111-111111111111")
        await hears(call.ear.heard.audio, AFTERWARDS_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


def test_twenty_callers_at_once_are_never_mixed_up(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        placed = await asyncio.gather(*(stage.dial() for _ in range(20)))
        await until(lambda: len(stage.talkers) == 20)
        for number, (call, token) in enumerate(placed):
            stage.talkers[token].speech = tone(500 + 100 * number, 30, 8000)
            call.say(tone(550 + 100 * number, 30, 8000))
        for number, (call, token) in enumerate(placed):
            await hears(call.ear.heard.audio, 500 + 100 * number)
            await hears(stage.talkers[token].sound, 550 + 100 * number)
        await asyncio.gather(*(call.hang_up() for call, _ in placed))

    perform(asterisk_root, script)


def test_what_asterisk_has_queued_is_forgotten_when_the_link_is_flushed(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, talker = await stage.call()
        link = talker.link
        assert isinstance(link, WebSocketLink)
        for _ in range(150):  # three seconds at once
            link.put(tone(600, 0.02, 8000))
        await hears(call.ear.heard.audio, 600)
        await until(lambda: link.queued > 60)
        before = len(call.ear.packets)
        link.flush()
        await until(lambda: share(call.ear.heard.audio()[-8000:], 600, 8000) == 0)
        after = [packet.pcm for packet in call.ear.packets[before:]]
        assert sum(is_loud(pcm) for pcm in after) < 40  # of more than sixty that were to come
        await call.hang_up()

    perform(asterisk_root, script)


def test_what_stands_in_asterisks_queue_melts_in_a_pause(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, talker = await stage.call()
        link = talker.link
        assert isinstance(link, WebSocketLink)
        for _ in range(12):  # as after ticks that its thread was late for
            link.put(tone(600, 0.02, 8000))
        await until(lambda: link.queued > 5)
        await until(lambda: link.queued <= 2)
        assert link.statistics()["frames_left_out"] >= 5
        assert len(call.ear.heard.audio()) >= frame_bytes(8000)
        await call.hang_up()

    perform(asterisk_root, script)
