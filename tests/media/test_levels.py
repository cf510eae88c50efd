import numpy as np
import pytest

from sovereign_pbx.media.levels import SILENT_DBFS, dbfs, offset_s, onset_s, rms, window_dbfs

RATE = 8000


def speech_between(start: float, end: float, length: float = 2.0) -> np.ndarray:
    at = np.arange(int(RATE * length)) / RATE
    return np.where((at >= start) & (at < end), 8000 * np.sin(2 * np.pi * 300 * at), 0).astype("<i2")


def test_the_level_of_a_sine_and_of_silence() -> None:
    full = np.rint(32767 * np.sin(2 * np.pi * np.arange(RATE) / 80)).astype("<i2")
    assert dbfs(full.tobytes()) == pytest.approx(-3.01, abs=0.02)
    assert rms(full) == pytest.approx(23170, rel=0.001)
    assert dbfs(bytes(320)) == dbfs(b"") == SILENT_DBFS
    assert rms(b"") == 0


def test_onset_and_end_of_speech_are_found_to_a_hundredth_of_a_second() -> None:
    speech = speech_between(0.5, 1.3)
    assert onset_s(speech, RATE) == pytest.approx(0.5, abs=0.011)
    assert offset_s(speech, RATE) == pytest.approx(1.3, abs=0.011)


def test_a_click_is_no_onset() -> None:
    speech = speech_between(1.0, 1.5)
    speech[2000:2040] = 20000
    assert onset_s(speech, RATE) == pytest.approx(1.0, abs=0.011)


def test_silence_has_no_onset_and_no_end() -> None:
    assert onset_s(np.zeros(RATE, "<i2"), RATE) is None
    assert offset_s(np.zeros(RATE, "<i2"), RATE) is None
    assert onset_s(np.zeros(10, "<i2"), RATE) is None


def test_levels_are_given_for_whole_windows_only() -> None:
    assert window_dbfs(speech_between(0, 2)[:1000], RATE).shape == (12,)
