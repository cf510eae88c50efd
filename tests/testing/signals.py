"""Signals that tests speak, and how alike what came back is."""

import numpy as np

RATE = 8000


def babble(seconds: float, *, seed: int = 1, level: float = 6000.0) -> bytes:
    """Noise in syllables of 200 ms: nothing repeats, so that a correlation has one peak."""
    count = int(seconds * RATE)
    noise = np.random.default_rng(seed).uniform(-level, level, count)
    syllables = 0.55 - 0.45 * np.cos(2 * np.pi * 5 * np.arange(count) / RATE)
    return (noise * syllables).astype("<i2").tobytes()


def tone(seconds: float, hertz: float = 440.0, level: float = 8000.0) -> bytes:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    return wave.astype("<i2").tobytes()


def find(spoken: bytes, heard: bytes) -> tuple[float, float]:
    """(seconds into `heard` where `spoken` fits best, normalised correlation there)."""
    a = np.frombuffer(spoken, "<i2").astype(float)
    b = np.frombuffer(heard, "<i2").astype(float)
    size = 1 << (len(a) + len(b)).bit_length()
    match = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size)[: len(b)]
    at = int(match.argmax())
    piece = b[at : at + len(a)]
    a = a[: len(piece)]
    power = float(np.sqrt((a**2).sum() * (piece**2).sum())) or 1.0
    return at / RATE, float((a * piece).sum()) / power
