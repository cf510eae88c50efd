"""Tones to be known by, in what a telephone heard."""

import numpy as np

AMPLITUDE = 8000
HEARD = 0.85
"""Of `strength`: the tone is there, whole and undamped, for 200 ms."""


def tone(hertz: int, seconds: float, rate: int = 8000) -> bytes:
    """Loud, as speech is."""
    at = np.arange(round(rate * seconds)) / rate
    return (AMPLITUDE * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes()


def strength(pcm: bytes, hertz: int, rate: int = 8000) -> float:
    """How much of the last 200 ms is this tone: 1.0 for one as `tone` makes it."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(float)[-rate // 5 :]
    if samples.size < rate // 5:
        return 0.0
    wave = np.exp(-2j * np.pi * hertz * np.arange(samples.size) / rate)
    return float(abs((samples * wave).mean()) * 2 / AMPLITUDE)


def best(pcm: bytes, hertz: int, rate: int = 8000) -> float:
    """`strength` of the best 200 ms: a machine that stands still for a moment leaves holes elsewhere."""
    size, step = 2 * (rate // 5), 2 * (rate // 10)
    return max((strength(pcm[at : at + size], hertz, rate) for at in range(0, len(pcm) - size + 1, step)), default=0.0)
