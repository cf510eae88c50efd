"""A telephone line made by hand does to speech what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bench_conversation import mixing
from scripts.bench_conversation.recordings import activity, trimmed


def tone(seconds: float, dbfs: float = -20.0) -> mixing.Signal:
    at = np.arange(round(seconds * 8000)) / 8000
    return np.asarray(np.sin(2 * np.pi * 300 * at) * 32768 * np.sqrt(2) * 10 ** (dbfs / 20))


def level(signal: mixing.Signal) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(signal**2)) / 32768))


@given(st.floats(-40, -10))
def test_speech_is_brought_to_the_level_asked_for(dbfs: float) -> None:
    speech = np.concatenate((np.zeros(4000), tone(1.0), np.zeros(4000)))
    assert mixing.speech_level(mixing.at_level(speech, dbfs)) == pytest.approx(32768 * 10 ** (dbfs / 20), rel=0.05)


@pytest.mark.parametrize("snr_db", [20, 10, 5])
def test_what_is_behind_the_caller_lies_so_far_below_his_speech_and_not_below_his_silence(snr_db: float) -> None:
    speech = np.concatenate((tone(1.0, -20), np.zeros(24000)))
    noise = mixing.line_noise(speech.size, -3, seed=1)
    assert level(mixing.below(speech, noise, snr_db)) == pytest.approx(-20 - snr_db, abs=0.3)


def test_line_noise_has_its_level_and_is_the_same_for_a_seed() -> None:
    noise = mixing.line_noise(16000, -62, seed=7)
    assert level(noise) == pytest.approx(-62, abs=0.1)
    assert np.array_equal(noise, mixing.line_noise(16000, -62, seed=7))
    assert not np.array_equal(noise, mixing.line_noise(16000, -62, seed=8))


def test_a_loop_fills_any_length_and_begins_anywhere() -> None:
    ramp = np.arange(100, dtype=np.float64)
    looped = mixing.looped(ramp, 250, seed=3)
    assert looped.size == 250
    assert np.array_equal(np.sort(looped[:100]), ramp)
    assert np.array_equal(looped[:100], looped[100:200])


def test_a_cut_makes_no_click() -> None:
    faded = mixing.faded(np.full(800, 1000.0))
    assert faded[0] == 0 and faded[-1] == pytest.approx(0, abs=1e-6)
    assert np.all(faded[200:600] == 1000)


def test_coding_is_that_of_the_telephone() -> None:
    signal = np.array([0.0, 4.0, 1000.0, -1000.0, 40000.0])
    heard = mixing.coded(signal)
    assert heard.dtype == np.dtype("<i2")
    assert abs(int(heard[2]) - 1000) < 40 and int(heard[2]) == -int(heard[3])
    assert heard[4] > 31000  # clipped, not wrapped


def test_trimming_leaves_the_sound_and_a_little_round_it() -> None:
    sound = np.concatenate((np.zeros(8000), tone(0.5), np.zeros(8000))).astype("<i2")
    kept = trimmed(sound)
    assert 0.5 <= kept.size / 8000 <= 0.6
    assert activity(kept).sum() in range(50, 54)
    assert trimmed(np.zeros(8000, "<i2")).size == 0
