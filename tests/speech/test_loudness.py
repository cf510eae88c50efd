"""Synthetic speech made fit for the telephone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.tts.local_session import pieces
from sovereign_pbx.speech.tts.loudness import CEILING_DBFS, for_phone, limited, speech_level
from tests.speech import phone_audio as audio


def decibels(level: float) -> float:
    return 20 * float(np.log10(level))


def samples(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768


@pytest.mark.parametrize("level", [0.05, 0.2, 0.9])
def test_every_voice_comes_out_at_the_same_level(level: float) -> None:
    voice = audio.noise(1.0, 0.2) * level
    assert decibels(speech_level(samples(for_phone(audio.pcm(voice), 8000, 8000)), 8000)) == pytest.approx(-20, abs=0.5)


def test_a_peak_over_quiet_speech_is_limited() -> None:
    voice = audio.noise(1.0, 0.02)
    voice[4000:4040] = 0.9
    assert np.max(np.abs(samples(for_phone(audio.pcm(voice), 8000, 8000)))) <= 10 ** (CEILING_DBFS / 20) + 1e-3


def test_silence_in_front_is_cut_to_thirty_milliseconds_and_behind_to_two_hundred() -> None:
    voice = np.concatenate([np.zeros(2400), audio.noise(0.5, 0.1), np.zeros(8000)])
    out = samples(for_phone(audio.pcm(voice), 8000, 8000))
    assert np.argmax(np.abs(out) > 0.01) == pytest.approx(240, abs=80)
    assert out.size == pytest.approx(240 + 4000 + 1600, abs=160)


def test_a_pause_within_the_speech_stays() -> None:
    voice = np.concatenate([audio.noise(0.3, 0.1), np.zeros(4000), audio.noise(0.3, 0.1)])
    assert samples(for_phone(audio.pcm(voice), 8000, 8000)).size >= voice.size


def test_silence_has_no_audio() -> None:
    assert for_phone(bytes(16000), 16000, 8000) == b""
    assert for_phone(b"", 16000, 8000) == b""


def test_the_rate_is_the_links() -> None:
    at = np.arange(24000) / 24000
    out = for_phone(audio.pcm(0.3 * np.sin(2 * np.pi * 440 * at)), 24000, 8000)
    assert len(out) // 2 == pytest.approx(8000, abs=100)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=200))
def test_the_limiter_never_lets_a_peak_through_and_never_turns_a_sample_round(values: list[float]) -> None:
    out = limited(np.array(values))
    assert np.max(np.abs(out)) <= 10 ** (CEILING_DBFS / 20) + 1e-9
    assert np.all(out * np.array(values) >= 0)


def test_quiet_samples_pass_the_limiter_unchanged() -> None:
    quiet = audio.noise(0.1, 0.05)
    assert np.array_equal(limited(quiet), quiet)


@given(st.text(max_size=600), st.integers(5, 200))
def test_pieces_hold_every_word_once_and_in_order(text: str, about: int) -> None:
    assert " ".join(pieces(text, about)).split() == text.split()


@given(st.lists(st.text("abcdefgh,.", min_size=1, max_size=10), max_size=80), st.integers(20, 200))
def test_pieces_are_short(words: list[str], about: int) -> None:
    assert all(len(piece) <= about for piece in pieces(" ".join(words), about))


def test_a_long_answer_is_cut_at_sentence_ends() -> None:
    text = "We are open. " * 30
    assert all(piece.endswith(".") for piece in pieces(text))
