"""The same voice on the telephone and on a wideband line: begun, ended and finished at the same moments."""

import asyncio
import importlib
from functools import cache

import numpy as np
import pytest

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.resample import resample
from sovereign_pbx.media.turn import TurnModel
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.media.vad_state import VadEvent
from sovereign_pbx.speech.models import locate
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm
from tests.media.scripted import Diary, ScriptedLink
from tests.media.test_vad_speech import LEAD_S, SENTENCES

pytestmark = pytest.mark.speech


@cache
def voice() -> tuple[bytes, ...]:
    """At 24 kHz."""
    speak = importlib.import_module("hibari").Hibari()  # slow to import, and only these tests need it
    return tuple((speak(text, seed=1) * 20000).astype("<i2").tobytes() for text in SENTENCES)


def arriving(speech: bytes, rate: int, noise_dbfs: float = -60.0) -> bytes:
    """With silence on either side and noise over all of it; through µ-law where it comes by telephone."""
    silence = bytes(int(LEAD_S * rate) * 2)
    clean = np.frombuffer(silence + resample(speech, 24000, rate) + silence, "<i2")
    noise = np.random.default_rng(1).standard_normal(clean.size) * 32768 * 10 ** (noise_dbfs / 20)
    pcm = np.clip(clean + noise, -32768, 32767).astype("<i2").tobytes()
    return ulaw_to_pcm(pcm_to_ulaw(pcm)) if rate == 8000 else pcm


def listen(detector: SpeechDetector, pcm: bytes, rate: int) -> list[tuple[float, VadEvent]]:
    state, told, size = detector.attach(rate), [], frame_bytes(rate)
    for tick in range(len(pcm) // size):
        now = (tick + 1) * 0.02
        event = detector.step([state], [pcm[tick * size : tick * size + size]], now)[0]
        if event is not None:
            told.append((now, event))
    detector.detach(state)
    return told


@pytest.mark.parametrize("noise_dbfs", [-80.0, -60.0, -45.0])
def test_speech_begins_and_ends_on_a_wideband_line_when_it_does_on_the_telephone(noise_dbfs: float) -> None:
    detector = SpeechDetector(locate("silero-vad"))
    assert detector.kind == "silero"
    apart = []
    for speech in voice():
        narrow = listen(detector, arriving(speech, 8000, noise_dbfs), 8000)
        wide = listen(detector, arriving(speech, 16000, noise_dbfs), 16000)
        assert [wide[0][1].kind, wide[-1][1].kind] == ["started", "stopped"]
        apart.append(
            (
                wide[0][0] - narrow[0][0],
                wide[0][1].at - narrow[0][1].at,
                wide[-1][0] - narrow[-1][0],
                wide[-1][1].at - narrow[-1][1].at,
            )
        )
    assert np.abs(np.median(apart, axis=0)).max() <= 0.04, apart
    assert np.abs(np.array(apart)[:, :2]).max() <= 0.07, apart


def test_the_turn_model_tells_a_finished_sentence_from_a_cut_one_on_a_wideband_line() -> None:
    turns = TurnModel(locate("smart-turn"), timeout_s=10.0)

    async def score(speech: bytes, share: float) -> float:
        pcm = resample(speech, 24000, 16000)
        link = ScriptedLink(16000)
        line = Line(link, Diary())
        pcm = pcm[: int(len(pcm) * share) // 2 * 2] + bytes(6400)
        link.incoming.extend(pcm[at : at + 640] for at in range(0, len(pcm) - 639, 640))
        while link.incoming:
            line.take()
        return await turns.score(line.recent(8.0)) or 0.0

    async def scenario() -> None:
        whole = [await score(speech, 1.0) for speech in voice()[2:]]
        cut = [await score(speech, 0.6) for speech in voice()[2:]]
        await turns.close()
        assert np.mean(whole) > np.mean(cut) + 0.3, (whole, cut)

    asyncio.run(scenario())
