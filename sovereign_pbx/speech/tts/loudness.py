"""Synthetic speech made fit for the telephone: one level for all voices, no long silence around it. Pure.

Voices come at -11 to -30 dBFS and with up to 0.3 s of silence in front, which the caller hears as a slow answer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.media.resample import resample

SPEECH_DBFS: Final = -20.0  # RMS while speaking; PBX prompts and callers lie around it
CEILING_DBFS: Final = -3.0
MOST_GAIN_DB: Final = 20.0
LEAD_S: Final = 0.030
TAIL_S: Final = 0.200
_WINDOW_S: Final = 0.010
_AUDIBLE_DB: Final = -35.0  # below the speech level: breath and room, not a word
_QUIET_DB: Final = -30.0

Samples = NDArray[np.float64]


def for_phone(pcm: bytes, src: int, dst: int) -> bytes:
    """PCM s16le at `src` Hz as the link takes it: at `dst` Hz, trimmed, levelled, limited. May be empty."""
    samples = np.frombuffer(resample(pcm, src, dst), "<i2").astype(np.float64) / 32768
    level = speech_level(samples, dst)
    if level <= 0:
        return b""
    gain = min(10 ** (SPEECH_DBFS / 20) / level, 10 ** (MOST_GAIN_DB / 20))
    loud = limited(trimmed(samples, dst, level) * gain)
    return np.rint(loud * 32767).astype("<i2").tobytes()


def speech_level(samples: Samples, rate: int) -> float:
    """RMS over the windows that hold speech: those within 30 dB of the loudest. 0 for silence."""
    energy = _energies(samples, rate)
    if not energy.size or energy.max() <= 1e-9:
        return 0.0
    active = energy[energy > energy.max() * 10 ** (_QUIET_DB / 10)]
    return float(np.sqrt(active.mean()))


def trimmed(samples: Samples, rate: int, level: float) -> Samples:
    """Without the silence before the first sound but 30 ms, and after the last but 200 ms."""
    width = int(rate * _WINDOW_S)
    audible = np.flatnonzero(_energies(samples, rate) > (level * 10 ** (_AUDIBLE_DB / 20)) ** 2)
    if not audible.size:
        return samples[:0]
    first = max(0, int(audible[0]) * width - int(rate * LEAD_S))
    last = (int(audible[-1]) + 1) * width + int(rate * TAIL_S)
    return samples[first:last]


def limited(samples: Samples) -> Samples:
    """Peaks bent softly from half the ceiling on, so that none passes it."""
    ceiling = 10 ** (CEILING_DBFS / 20)
    knee = ceiling / 2
    over = np.abs(samples) - knee
    bent = np.sign(samples) * (knee + (ceiling - knee) * np.tanh(np.maximum(over, 0) / (ceiling - knee)))
    return np.where(over > 0, bent, samples)


def _energies(samples: Samples, rate: int) -> Samples:
    width = int(rate * _WINDOW_S)
    whole = samples[: samples.size // width * width].reshape(-1, width)
    energies: Samples = (whole * whole).mean(axis=1)
    return energies
