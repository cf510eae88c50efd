"""Whole calls at 16 kHz: what is heard, understood, said and recorded is wideband, and another rate serves."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.calls.desk import CallDesk
from sovereign_pbx.media.resample import resample
from sovereign_pbx.media.wav import read_wav
from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.pbx.link import Decision, Offer
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS
from tests.calls.house import GREETING, INTERRUPTION, QUESTION, house, play, quiet
from tests.calls.realtime_house import asks, greeted, live_house
from tests.calls.test_call import said
from tests.waiting import until

WIDE = 16000
RECORDING: dict[str, Any] = {"recording": {"enabled": True}}


def wide(pcm: bytes) -> bytes:
    """The sentence at 16 kHz, with what a telephone leaves out: hiss at 5 to 7 kHz while it is loud."""
    samples = np.frombuffer(resample(pcm, 8000, WIDE), "<i2").astype(float)
    hiss = np.fft.rfft(np.random.default_rng(1).standard_normal(samples.size))
    hertz = np.fft.rfftfreq(samples.size, 1 / WIDE)
    hiss[(hertz < 5000) | (hertz > 7000)] = 0
    loud = np.convolve(np.abs(samples), np.ones(320) / 320, "same")
    found = samples * 0.7 + np.fft.irfft(hiss, samples.size) * loud
    return np.clip(found, -32768, 32767).astype("<i2").tobytes()


def hiss_share(samples: NDArray[np.int16]) -> float:
    """How much of the energy at 16 kHz lies above 5 kHz."""
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    return float(power[np.fft.rfftfreq(samples.size, 1 / WIDE) > 5000].sum() / power.sum())


def rates(monkeypatch: pytest.MonkeyPatch, *, offered: int, carried: int) -> None:
    """Every call is offered at one rate, and its AudioSocket has another."""
    take, expect = CallDesk.offered, AudioSocketServer.expect

    async def offer(desk: CallDesk, call: Offer) -> Decision:
        return await take(desk, replace(call, rate=offered))

    def expecting(server: AudioSocketServer, token: str, within_s: float, **_: Any) -> None:
        expect(server, token, within_s, rate=carried)

    monkeypatch.setattr(CallDesk, "offered", offer)
    monkeypatch.setattr(AudioSocketServer, "expect", expecting)


def test_a_wideband_call_is_wideband_from_the_recogniser_to_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates(monkeypatch, offered=WIDE, carried=WIDE)

    async def scene() -> None:
        async with house(tmp_path, **RECORDING) as place, place.caller(rate=WIDE) as caller:
            place.deepgram.keep_audio = True
            await caller.place()
            await quiet(caller)
            await caller.say(wide(QUESTION)).finished.wait()
            await until(lambda: len(place.openai.requests) >= 1)
            await quiet(caller, after=1)
            await caller.hang_up()
            (report,) = await place.reported()
            assert said(report)[:2] == [("assistant", GREETING), ("user", "What time do you open?")]
            (heard,) = place.deepgram.connections
            assert heard.values("sample_rate") == ["16000"]
            assert hiss_share(np.frombuffer(bytes(heard.audio), "<i2")) > 0.05
            assert {seen.query["output_format"] for seen in place.elevenlabs.sockets} == {"pcm_16000"}
            greeting = caller.heard.sounds()[0]
            assert greeting.end - greeting.start == pytest.approx(len(GREETING) * CHAR_MS / 1000, abs=0.3)
            assert caller.report().odd_frames == 0
            (row,) = await place.rows()
            assert row.recording_path
            rate, channels = await asyncio.to_thread(read_wav, Path(row.recording_path))
            assert rate == WIDE and row.recording
            assert row.recording["duration_seconds"] == pytest.approx(channels.shape[1] / WIDE, abs=0.1)
            assert hiss_share(channels[0]) > 0.05 and hiss_share(channels[1]) < 0.05

    play(scene())


def test_a_wideband_caller_interrupts_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates(monkeypatch, offered=WIDE, carried=WIDE)

    async def scene() -> None:
        async with house(tmp_path) as place, place.caller(rate=WIDE) as caller:
            place.openai.script = (Answer("We are open from nine to five on every day of the week but Sunday. " * 3),)
            await caller.place()
            await quiet(caller)
            await caller.say(wide(QUESTION)).finished.wait()
            await until(lambda: len(caller.heard.sounds()) > 1)
            began = asyncio.get_running_loop().time()
            await caller.say(wide(INTERRUPTION)).finished.wait()
            await until(lambda: len(place.openai.requests) >= 2)
            cut = [sound for sound in caller.heard.sounds() if sound.start < began][-1]
            assert cut.end - began < 1.5
            await caller.hang_up()

    play(scene())


@pytest.mark.parametrize(("offered", "carried"), [(48000, 8000), (8000, WIDE)])
def test_a_link_of_another_rate_than_was_prepared_for_is_resampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: int, carried: int
) -> None:
    rates(monkeypatch, offered=offered, carried=carried)
    prepared = min(offered, WIDE)

    async def scene() -> None:
        async with house(tmp_path, **RECORDING) as place, place.caller(rate=carried) as caller:
            await caller.place()
            await quiet(caller)
            await caller.say(resample(QUESTION, 8000, carried)).finished.wait()
            await until(lambda: len(place.openai.requests) >= 1)
            await quiet(caller, after=1)
            await caller.hang_up()
            (report,) = await place.reported()
            assert said(report)[1] == ("user", "What time do you open?")
            (heard,) = place.deepgram.connections
            assert heard.values("sample_rate") == [str(prepared)]
            greeting = caller.heard.sounds()[0]
            assert greeting.end - greeting.start == pytest.approx(len(GREETING) * CHAR_MS / 1000, abs=0.3)
            assert caller.report().odd_frames == 0
            (row,) = await place.rows()
            assert row.recording_path
            assert (await asyncio.to_thread(read_wav, Path(row.recording_path)))[0] == prepared

    play(scene())


def test_a_realtime_model_hears_and_speaks_wideband(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's at its own 24 kHz."""
    rates(monkeypatch, offered=WIDE, carried=WIDE)

    async def scene() -> None:
        async with live_house(tmp_path) as place, place.house.caller(rate=WIDE) as caller:
            await greeted(caller)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            assert [text for _, text in await place.messages()][:2] == [GREETING, "What time do you open?"]
            (update,) = place.session.of("session.update")
            audio = update["session"]["audio"]
            assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
            greeting = caller.heard.sounds()[0]
            assert greeting.end - greeting.start == pytest.approx(len(GREETING) * CHAR_MS / 1000, abs=0.3)

    play(scene())
