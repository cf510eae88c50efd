"""What a telephone line does to speech: level, noise of a given distance, and the codec. Pure and seeded."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scripts.bench_conversation.recordings import Samples, activity
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

Signal = NDArray[np.float64]
"""Mono at 8 kHz in units of s16; may lie beyond them until it is coded."""

LINE_DBFS: Final = -62.0  # hiss of a good line
FADE_S: Final = 0.012


def seconds(length: float) -> int:
    """Samples in `length` seconds."""
    return round(length * PHONE_RATE)


def speech_level(signal: Signal | Samples) -> float:
    """RMS over the 10 ms that hold speech."""
    coarse = np.clip(signal, -32768, 32767).astype("<i2")
    loud = np.repeat(activity(coarse), 80)
    chosen = signal[: loud.size][loud].astype(np.float64)
    return float(np.sqrt(np.mean(chosen**2))) if chosen.size else 0.0


def at_level(audio: Samples | Signal, dbfs: float) -> Signal:
    """The same with its speech at `dbfs`."""
    level = speech_level(audio)
    return audio.astype(np.float64) * (32768 * 10 ** (dbfs / 20) / level if level else 0.0)


def faded(signal: Signal) -> Signal:
    """With both ends brought to zero within 12 ms, so that a cut makes no click."""
    length = min(seconds(FADE_S), signal.size // 2)
    ramp = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, length))
    out = signal.copy()
    out[:length] *= ramp
    out[out.size - length :] *= ramp[::-1]
    return out


def line_noise(length: int, dbfs: float, seed: int) -> Signal:
    """Hiss that falls off towards high frequencies, as rooms and handsets have it."""
    white = np.random.default_rng(seed).standard_normal(length + 2)
    soft = white[2:] + 0.6 * white[1:-1] + 0.3 * white[:-2]
    return np.asarray(soft / soft.std() * 32768 * 10 ** (dbfs / 20), dtype=np.float64)


def looped(background: Samples | Signal, length: int, seed: int) -> Signal:
    """`length` samples of a recording from a random place on, beginning anew at its end."""
    start = int(np.random.default_rng(seed).integers(background.size))
    return np.resize(np.roll(background.astype(np.float64), -start), length)


def below(speech: Signal, background: Signal, snr_db: float) -> Signal:
    """`background` so loud that the speech is `snr_db` above it."""
    level = float(np.sqrt(np.mean(background**2)))
    return background * (speech_level(speech) * 10 ** (-snr_db / 20) / level) if level else background


def coded(signal: Signal) -> Samples:
    """Through µ-law and back."""
    pcm = np.clip(np.rint(signal), -32768, 32767).astype("<i2").tobytes()
    return samples_of(ulaw_to_pcm(pcm_to_ulaw(pcm)))
