"""Concealment: a voice that loses a frame goes on, fades, and comes back without a click."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.media.conceal import Concealer
from sovereign_pbx.media.levels import dbfs, samples_of

RATES = [8000, 16000]


def voice(rate: int, seconds: float = 1.0, pitch_hz: float = 120.0) -> bytes:
    """A buzz with the harmonics of a voice."""
    at = np.arange(int(rate * seconds)) / rate
    wave = sum(np.sin(2 * np.pi * pitch_hz * n * at + n) / n for n in range(1, 12))
    pcm: bytes = (wave / np.abs(wave).max() * 12000).astype("<i2").tobytes()
    return pcm


def frames(pcm: bytes, rate: int) -> list[bytes]:
    size = rate // 50 * 2
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


def with_lost(pcm: bytes, rate: int, lost: set[int]) -> list[bytes]:
    concealer = Concealer(rate)
    return [
        concealer.fill(rate // 50) if number in lost else concealer.good(frame)
        for number, frame in enumerate(frames(pcm, rate))
    ]


@pytest.mark.parametrize("rate", RATES)
def test_a_lost_frame_of_a_steady_voice_is_hardly_missed(rate: int) -> None:
    pcm = voice(rate)
    heard = samples_of(with_lost(pcm, rate, {20})[20]).astype(float)
    real = samples_of(frames(pcm, rate)[20]).astype(float)
    first = slice(0, rate // 100)  # the 10 ms before the fade begins
    noise = np.sqrt(np.mean((heard[first] - real[first]) ** 2)) / np.sqrt(np.mean(real[first] ** 2))
    assert noise < 0.15


@pytest.mark.parametrize("rate", RATES)
def test_what_stays_away_fades_into_quiet(rate: int) -> None:
    heard = with_lost(voice(rate), rate, set(range(20, 30)))
    levels = [dbfs(frame) for frame in heard[19:26]]
    assert levels[0] > levels[1] > levels[2] > levels[3]
    assert max(levels[4:]) < -55


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lost", [{20}, {20, 21}, set(range(20, 30))])
def test_neither_the_gap_nor_its_end_clicks(rate: int, lost: set[int]) -> None:
    pcm = voice(rate)
    steepest = np.abs(np.diff(samples_of(pcm).astype(int))).max()
    heard = samples_of(b"".join(with_lost(pcm, rate, lost))).astype(int)
    assert np.abs(np.diff(heard)).max() <= steepest * 1.6


def test_what_has_no_pitch_is_repeated_without_clicks_too() -> None:
    rough = np.convolve(np.random.default_rng(3).standard_normal(8000), np.hanning(24), "same")
    pcm = (rough / np.abs(rough).max() * 12000).astype("<i2").tobytes()
    steepest = np.abs(np.diff(samples_of(pcm).astype(int))).max()
    for at in range(5, 45):
        heard = samples_of(b"".join(with_lost(pcm, 8000, {at, at + 1}))).astype(int)
        assert np.abs(np.diff(heard)).max() <= steepest * 1.3


def test_real_sound_is_untouched_but_for_the_joint() -> None:
    pcm = voice(8000)
    heard = with_lost(pcm, 8000, {20})
    real = frames(pcm, 8000)
    assert heard[:20] == real[:20] and heard[22:] == real[22:]
    assert heard[21][40:] == real[21][40:]


def test_a_gap_before_anything_was_heard_is_quiet() -> None:
    assert dbfs(Concealer(8000).fill(160)) < -55


def test_silence_that_was_announced_has_the_level_that_was_told() -> None:
    concealer = Concealer(8000)
    for frame in frames(voice(8000), 8000):
        concealer.good(frame)
    concealer.noise_dbov = -45.0
    concealer.hush()
    heard = b"".join(concealer.fill(160) for _ in range(50))
    assert abs(dbfs(heard) + 45) < 1.5


def test_nobody_is_made_to_hear_loud_noise() -> None:
    concealer = Concealer(8000)
    concealer.noise_dbov = 0.0
    assert dbfs(concealer.noise(8000)) < -29


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 480)), max_size=40), st.sampled_from(RATES))
def test_pieces_of_any_length_are_filled_to_the_sample(pieces: list[tuple[bool, int]], rate: int) -> None:
    concealer = Concealer(rate)
    for good, samples in pieces:
        pcm = concealer.good(bytes(2 * samples)) if good else concealer.fill(samples)
        assert len(pcm) == 2 * samples
