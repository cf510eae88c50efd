"""Speech detection on speech: a synthetic voice over line noise, through µ-law, as it comes from a telephone."""

import importlib
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.media.levels import offset_s, onset_s
from sovereign_pbx.media.resample import resample
from sovereign_pbx.media.scorer import CONTEXT, WINDOW, SileroScorer
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.media.vad_state import VadEvent
from sovereign_pbx.speech.models import locate
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

pytestmark = pytest.mark.speech

SENTENCES = (
    "Yes.",
    "No, thank you.",
    "What time do you open on Monday?",
    "I would like to book a table for four people.",
    "Can I speak to someone please?",
    "Thanks, that is all.",
)
LEAD_S = 1.5


@cache
def voice() -> tuple[bytes, ...]:
    hibari = importlib.import_module("hibari")  # slow to import, and only these tests need it

    speak = hibari.Hibari()
    return tuple(resample((speak(text, seed=1) * 20000).astype("<i2").tobytes(), 24000, 8000) for text in SENTENCES)


def on_the_telephone(speech: bytes, noise_dbfs: float, seed: int = 1) -> bytes:
    silence = bytes(int(LEAD_S * 16000))
    clean = np.frombuffer(silence + speech + silence, "<i2")
    noise = np.random.default_rng(seed).standard_normal(clean.size) * 32768 * 10 ** (noise_dbfs / 20)
    return ulaw_to_pcm(pcm_to_ulaw(np.clip(clean + noise, -32768, 32767).astype("<i2").tobytes()))


def listen(detector: SpeechDetector, pcm: bytes) -> list[tuple[float, VadEvent]]:
    """(when it was told, event) for one line that hears `pcm` from time 0."""
    state, told = detector.attach(), []
    for tick in range(len(pcm) // 320):
        now = (tick + 1) * 0.02
        event = detector.step([state], [pcm[tick * 320 : tick * 320 + 320]], now)[0]
        if event is not None:
            told.append((now, event))
    detector.detach(state)
    return told


def lags(noise_dbfs: float) -> NDArray[np.float64]:
    """Milliseconds a sentence: told after onset, onset's error, told after the end, end's error."""
    detector = SpeechDetector(locate("silero-vad"))
    assert detector.kind == "silero"
    rows = []
    for speech in voice():
        samples = np.frombuffer(speech, "<i2")
        began, ended = onset_s(samples, 8000, hold_ms=20), offset_s(samples, 8000)
        assert began is not None and ended is not None
        told = listen(detector, on_the_telephone(speech, noise_dbfs))
        assert [event.kind for _, event in (told[0], told[-1])] == ["started", "stopped"]
        onset, end = LEAD_S + began, LEAD_S + ended
        rows.append(
            (told[0][0] - onset, told[0][1].at - onset, told[-1][0] - end, told[-1][1].at - end),
        )
    return np.array(rows) * 1000


@pytest.mark.parametrize("noise_dbfs", [-80.0, -60.0, -45.0])
def test_speech_is_noticed_within_a_tenth_of_a_second_and_its_times_are_true(noise_dbfs: float) -> None:
    started_after, start_error, stopped_after, end_error = np.median(lags(noise_dbfs), axis=0)
    assert 40 < started_after < 120
    assert abs(start_error) < 50
    assert 90 < stopped_after < 280
    assert abs(end_error) < 110  # this voice trails off softly; recorded people measure within 10 ms


def test_line_noise_and_music_on_hold_of_a_quiet_kind_are_no_speech() -> None:
    detector = SpeechDetector(locate("silero-vad"))
    generator = np.random.default_rng(5)
    noise = (generator.standard_normal(8000 * 20) * 100).astype("<i2").tobytes()
    at = np.arange(8000 * 20) / 8000
    ringback = (4000 * (np.sin(2 * np.pi * 425 * at)) * (at % 5 < 1)).astype("<i2").tobytes()
    assert listen(detector, noise) == []
    assert len(listen(detector, ringback)) <= 2


def test_after_a_minute_of_silence_the_first_word_is_still_heard_in_time() -> None:
    detector = SpeechDetector(locate("silero-vad"))
    noise = (np.random.default_rng(6).standard_normal(8000 * 60) * 30).astype("<i2").tobytes()
    told = listen(detector, noise + on_the_telephone(voice()[2], -60))
    began = onset_s(np.frombuffer(voice()[2], "<i2"), 8000, hold_ms=20)
    assert began is not None
    assert told[0][0] - (60 + LEAD_S + began) < 0.15
    assert detector.statistics()["resets"] > 20


def test_many_lines_in_one_run_hear_what_each_would_hear_alone() -> None:
    calls = [on_the_telephone(speech, -60, seed) for seed, speech in enumerate(voice())]
    alone = [listen(SpeechDetector(locate("silero-vad")), pcm) for pcm in calls]
    detector = SpeechDetector(locate("silero-vad"))
    states = [detector.attach() for _ in calls]
    together: list[list[tuple[float, VadEvent]]] = [[] for _ in calls]
    for tick in range(max(map(len, calls)) // 320):
        now = (tick + 1) * 0.02
        frames = [pcm[tick * 320 : tick * 320 + 320] or None for pcm in calls]
        frames = [frame if frame and len(frame) == 320 else None for frame in frames]
        for index, event in enumerate(detector.step(states, frames, now)):
            if event is not None:
                together[index].append((now, event))
    assert together == alone


def test_the_batched_model_gives_the_scores_of_single_runs() -> None:
    windows = np.random.default_rng(7).standard_normal((20, 9, CONTEXT + WINDOW)).astype(np.float32) * np.float32(0.2)
    batched, single = SileroScorer(locate("silero-vad")), SileroScorer(locate("silero-vad"))
    batched.reserve(9)
    single.reserve(9)
    for step in windows:
        together = batched.score(np.arange(9, dtype=np.intp), step)
        apart = [single.score(np.array([n], np.intp), step[n : n + 1])[0] for n in range(9)]
        assert together == pytest.approx(apart, abs=1e-4)
