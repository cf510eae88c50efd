"""Log-mel features as Whisper was trained on, in numpy: what the turn model reads.

80 triangular bands on Slaney's mel scale with equal areas, over the power spectrum of 25 ms Hann windows every 10 ms;
decimal logarithm, floored 8 below the loudest value, scaled to roughly [-1, 1]. The waveform is first brought to zero
mean and unit variance, so that the level of the line does not matter.
"""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

RATE: Final = 16000
BANDS: Final = 80
_FFT: Final = 400
_HOP: Final = 160
_LINEAR_HZ: Final = 200 / 3  # Slaney: a mel is 66.7 Hz below 1 kHz, above it a step is a factor of 6.4^(1/27)
_KNEE_HZ: Final = 1000.0
_KNEE_MEL: Final = _KNEE_HZ / _LINEAR_HZ
_OCTAVE: Final = float(np.log(6.4)) / 27

Features = NDArray[np.float32]


def _band_edges() -> NDArray[np.float64]:
    """BANDS + 2 frequencies, equally far apart in mel from 0 Hz to half the rate."""
    top = _KNEE_MEL + np.log(RATE / 2 / _KNEE_HZ) / _OCTAVE
    mel = np.linspace(0, top, BANDS + 2)
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, _KNEE_HZ * np.exp((mel - _KNEE_MEL) * _OCTAVE))


def _triangles() -> NDArray[np.float64]:
    """Weights of shape (BANDS, bins)."""
    edges = _band_edges()
    hertz = np.arange(_FFT // 2 + 1) * RATE / _FFT
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)


# Only 3 % of the weights differ from zero. Summing those avoids a matrix product, for which BLAS would spread over
# every core and make the media clock late.
_WEIGHTS: Final = _triangles()
_BINS: Final = np.nonzero(_WEIGHTS)[1]
_STARTS: Final = np.searchsorted(np.nonzero(_WEIGHTS)[0], np.arange(BANDS))
_VALUES: Final = _WEIGHTS[np.nonzero(_WEIGHTS)].astype(np.float32)
_HANN: Final = np.hanning(_FFT + 1)[:-1].astype(np.float32)


def log_mel(audio: NDArray[np.float32]) -> Features:
    """Features of shape (80, n / 160) of n samples at 16 kHz; n is at least 400."""
    level = (audio - audio.mean(dtype=np.float64)) / np.sqrt(audio.var(dtype=np.float64) + 1e-7)
    padded = np.pad(level.astype(np.float32), _FFT // 2, mode="reflect")
    frames = sliding_window_view(padded, _FFT)[: audio.size // _HOP * _HOP : _HOP]
    spectrum = np.fft.rfft(frames * _HANN)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.add.reduceat(power[:, _BINS] * _VALUES, _STARTS, axis=1)
    logarithm = np.log10(np.maximum(bands, 1e-10)).T
    floored = np.maximum(logarithm, logarithm.max() - 8)
    return np.ascontiguousarray((floored + 4) / 4, dtype=np.float32)
