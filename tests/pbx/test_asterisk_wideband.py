"""Wideband over AudioSocket on the real Asterisk: what a G.722 telephone says and hears, and when it is narrow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.testing.sip_call import SipCall
from tests.pbx.stage import Stage, hears, perform
from tests.waiting import until

pytestmark = pytest.mark.pbx

HIGH_HZ = 6000  # above what a telephone's 8 kHz can hold
LOW_HZ = 400
G722 = (9,)
NO_CHANNEL = {"modules.conf": "noload = chan_audiosocket.so\n"}


def tone(hertz: int, rate: int, seconds: float = 30.0) -> bytes:
    return np.asarray(8000 * np.sin(np.arange(int(rate * seconds)) * (2 * np.pi * hertz / rate)), "<i2").tobytes()


def strength(pcm: bytes, rate: int, hertz: int) -> float:
    """How much of its last 200 ms is this tone: 1.0 for one of amplitude 8000."""
    samples = np.frombuffer(pcm, "<i2").astype(float)[-rate // 5 :]
    if len(samples) < rate // 5:
        return 0.0
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return float(abs((samples * wave).mean()) * 2 / 8000)


def heard_by_the_daemon(stage: Stage, hertz: int) -> float:
    link = next(reversed(stage.desk.heard))
    return strength(bytes(stage.desk.wide.get(link, b"")), link.rate, hertz)


async def speaking(stage: Stage, hertz: int) -> SipCall:
    """A G.722 caller who whistles while the daemon whistles the same."""
    stage.desk.hertz = hertz
    call, _ = await stage.talk()
    call.say_wide(tone(hertz, 16000))
    return call


async def is_wide(stage: Stage, call: SipCall) -> None:
    await until(lambda: heard_by_the_daemon(stage, HIGH_HZ) > 0.9, 15.0)
    await until(lambda: strength(call.ear.wide, 16000, HIGH_HZ) > 0.9, 15.0)
    assert stage.desk.offers[-1].rate == next(reversed(stage.desk.heard)).rate == 16000


def test_what_lies_above_the_telephones_band_is_heard_at_both_ends(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await speaking(stage, HIGH_HZ)
        await is_wide(stage, call)
        await call.press("5")
        await until(lambda: stage.desk.digits == ["5"])
        await call.hold()
        await until(lambda: stage.desk.holds == [True])
        await call.unhold()
        await until(lambda: stage.desk.holds == [True, False])
        await is_wide(stage, call)
        stage.desk.links[stage.desk.offers[-1].call_id].close()  # the conversation is over: NextStep("hangup")
        await call.over()
        assert stage.desk.asked_next == [stage.desk.offers[-1].call_id]
        await until(lambda: bool(stage.desk.gone_calls))
        assert stage.desk.digits == ["5"]

    perform(asterisk_root, script, codecs=G722)


@pytest.mark.parametrize(
    ("options", "offered"),
    [({"media": "audiosocket"}, 8000), ({"ami": False}, 8000), ({"extra": NO_CHANNEL}, 16000)],
    ids=["not wanted", "a version that is not known", "an Asterisk that can't"],
)
def test_narrow_where_wideband_can_not_be(asterisk_root: Path, options: dict[str, Any], offered: int) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.hertz = LOW_HZ
        call, _ = await stage.talk()
        assert stage.desk.offers[-1].rate == offered
        both = np.frombuffer(tone(LOW_HZ, 16000), "<i2") // 2 + np.frombuffer(tone(HIGH_HZ, 16000), "<i2") // 2
        call.say_wide(both.tobytes())
        await until(lambda: heard_by_the_daemon(stage, LOW_HZ) > 0.45, 15.0)
        await until(lambda: strength(call.ear.wide, 16000, LOW_HZ) > 0.9, 15.0)
        assert heard_by_the_daemon(stage, HIGH_HZ if offered == 16000 else 8000 - HIGH_HZ) < 0.02
        await call.hang_up()
        await until(lambda: bool(stage.desk.gone_calls))

    perform(asterisk_root, script, codecs=G722, **options)


def test_a_wideband_call_comes_back_from_a_colleague_who_did_not_take_it(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.steps = [NextStep("dial", "100", briefing=True), NextStep("talk")]
        stage.desk.takes = False
        call = await speaking(stage, HIGH_HZ)
        await is_wide(stage, call)
        stage.desk.links[stage.desk.offers[-1].call_id].close()
        colleague = await stage.agent.incoming()
        await colleague.answer()
        await until(lambda: bool(stage.desk.briefing_links), 15.0)
        assert stage.desk.briefing_links[0].rate == 8000
        stage.desk.briefing_links[0].close()
        await until(lambda: len(stage.desk.asked_next) == 2, 15.0)
        await until(lambda: len(stage.desk.heard) == 2, 15.0)
        await is_wide(stage, call)
        await call.hang_up()
        await until(lambda: bool(stage.desk.gone_calls))

    perform(asterisk_root, script, codecs=G722)


def test_a_wideband_caller_whose_sound_is_cut_off_goes_to_the_fallback(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.step = NextStep("fallback")
        call = await speaking(stage, HIGH_HZ)
        await is_wide(stage, call)
        await stage.cut()
        await hears(call, 1004, 15.0)
        await call.hang_up()
        await until(lambda: bool(stage.desk.gone_calls))

    perform(asterisk_root, script, codecs=G722)
