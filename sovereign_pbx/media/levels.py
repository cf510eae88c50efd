"""How loud a piece of audio is, and where in it sound begins. For benches, pictures and the energy detector."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.audio import SAMPLE_BYTES

Samples = NDArray[np.int16]

FULL_SCALE: Final = 32768.0
SILENT_DBFS: Final = -120.0  # what a level of exactly zero is reported as, so that callers need no special case


def samples_of(pcm: bytes) -> Samples:
    """View s16le bytes as samples, without a copy. A trailing odd byte is ignored."""
    return np.frombuffer(pcm, dtype="<i2", count=len(pcm) // SAMPLE_BYTES)


def rms(pcm: bytes | Samples) -> float:
    """Root mean square in sample units (0 … 32768); 0 for no samples."""
    samples = samples_of(pcm) if isinstance(pcm, bytes) else pcm
    if not samples.size:
        return 0.0
    wide = samples.astype(np.float32)
    return float(np.sqrt(np.mean(wide * wide)))


def dbfs(pcm: bytes | Samples) -> float:
    """Level in dB relative to a square wave of full scale; `SILENT_DBFS` for digital silence."""
    level = rms(pcm)
    return max(SILENT_DBFS, 20 * float(np.log10(level / FULL_SCALE))) if level > 0 else SILENT_DBFS


def window_dbfs(samples: Samples, rate: int, window_ms: float = 10.0) -> NDArray[np.float32]:
    """Level of each whole window of `window_ms`, in dBFS."""
    size = max(1, int(rate * window_ms / 1000))
    windows = samples[: samples.size // size * size].reshape(-1, size).astype(np.float32)
    level: NDArray[np.float32] = np.sqrt(np.mean(windows * windows, axis=1)) / FULL_SCALE
    return np.float32(20) * np.log10(np.maximum(level, np.float32(1e-6)))


def onset_s(samples: Samples, rate: int, *, threshold_dbfs: float = -45.0, hold_ms: float = 30.0) -> float | None:
    """Seconds to the first moment from which the level stays above `threshold_dbfs` for `hold_ms`.

    `hold_ms` keeps a click or a packet's edge from counting as speech. None when there is no such moment.
    """
    loud = window_dbfs(samples, rate) > threshold_dbfs
    need = max(1, int(hold_ms / 10))
    if loud.size < need:
        return None
    runs = np.convolve(loud.astype(np.int8), np.ones(need, np.int8), mode="valid")
    found = np.flatnonzero(runs == need)
    return float(found[0]) * 0.010 if found.size else None


def offset_s(samples: Samples, rate: int, *, threshold_dbfs: float = -45.0) -> float | None:
    """Seconds to the end of the last 10 ms that is above `threshold_dbfs`; None when nothing is."""
    loud = np.flatnonzero(window_dbfs(samples, rate) > threshold_dbfs)
    return float(loud[-1] + 1) * 0.010 if loud.size else None
