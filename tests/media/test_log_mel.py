import numpy as np
import pytest

from sovereign_pbx.media.log_mel import log_mel

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def test_eight_seconds_are_eighty_bands_by_eight_hundred_steps() -> None:
    features = log_mel(tone(440, 8.0))
    assert features.shape == (80, 800) and features.dtype == np.float32


def test_a_tone_is_loudest_in_its_own_band_and_bands_rise_with_pitch() -> None:
    loudest = [int(log_mel(tone(hertz))[:, 50].argmax()) for hertz in (200, 400, 800, 1600, 3200, 6400)]
    assert loudest == sorted(set(loudest))
    # Slaney's scale is linear below 1 kHz: 200 Hz more are as many bands more from 200 as from 400 Hz
    # (give or take a band, because the transform sees a pitch to 40 Hz only)
    assert abs((loudest[1] - loudest[0]) * 2 - (loudest[2] - loudest[1])) <= 2


def test_the_level_of_the_line_does_not_matter() -> None:
    speech = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    assert log_mel(speech * np.float32(0.3)) == pytest.approx(log_mel(speech * np.float32(0.01)), abs=1e-2)


def test_nothing_lies_more_than_eight_decades_below_the_loudest() -> None:
    features = log_mel(np.concatenate((tone(1000), np.zeros(RATE, np.float32))))
    assert features.max() - features.min() == pytest.approx(2.0, abs=1e-5)


def test_digital_silence_has_features_too() -> None:
    assert np.isfinite(log_mel(np.zeros(RATE, np.float32))).all()


@pytest.mark.parametrize("step", [0, 1, 40, 99])
def test_the_features_are_those_of_the_definition_written_out(step: int) -> None:
    """A slow, literal computation of one step: window, transform, triangles, logarithm."""
    audio = np.random.default_rng(2).standard_normal(RATE).astype(np.float64)
    level = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)

    def mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + np.log(hertz / 1000) * 27 / np.log(6.4)

    mirrored = np.concatenate((level[200:0:-1], level, level[-2:-202:-1]))
    piece = mirrored[step * 160 :][:400] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400))
    turns = np.arange(400) / 400
    spectrum = [abs(np.sum(piece * np.exp(-2j * np.pi * bin_ * turns))) ** 2 for bin_ in range(201)]
    grid = np.linspace(0, 8000, 800_001)
    scale = np.array([mel(hertz) for hertz in grid[::100]])
    edges = np.interp(np.linspace(0, mel(8000), 82), scale, grid[::100])
    expected = []
    for low, middle, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        weights = [
            max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) for f in np.arange(201) * 40.0
        ]
        expected.append(np.log10(max(1e-10, np.dot(weights, spectrum) * 2 / (high - low))))
    ours = log_mel(audio.astype(np.float32))[:, step] * 4 - 4
    assert ours == pytest.approx(expected, abs=2e-3)
