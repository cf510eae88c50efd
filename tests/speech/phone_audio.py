"""Sounds for the speech tests: PCM s16le at 8 kHz, and what a telephone line does to it."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.speech.stt import SttStream
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

RATE = 8000
FRAME = 320


def pcm(samples: NDArray[np.float64]) -> bytes:
    """Samples in [-1, 1] as s16le."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def tone(seconds: float, *frequencies: float, level: float = 0.2) -> NDArray[np.float64]:
    at = np.arange(int(RATE * seconds)) / RATE
    found: NDArray[np.float64] = level * sum((np.sin(2 * np.pi * f * at) for f in frequencies), np.zeros(at.size))
    return found


def noise(seconds: float, level: float) -> NDArray[np.float64]:
    return np.random.default_rng(7).standard_normal(int(RATE * seconds)) * level


def music(seconds: float) -> NDArray[np.float64]:
    notes = np.array([262, 330, 392, 523, 494, 392, 330, 294])
    at = np.arange(int(RATE * seconds)) / RATE
    pitch = notes[(at * 4).astype(int) % 8]
    found: NDArray[np.float64] = sum((np.sin(2 * np.pi * pitch * at * k) / k for k in (1, 2, 3)), np.zeros(at.size))
    return found * 0.1


def clicks(seconds: float) -> NDArray[np.float64]:
    found = np.zeros(int(RATE * seconds))
    found[::1500] = 0.8
    return found


def over_the_phone(speech: bytes) -> bytes:
    """Through G.711 mu-law and back."""
    return ulaw_to_pcm(pcm_to_ulaw(speech))


def say_into(stream: SttStream, speech: bytes) -> None:
    """Frames into a stream, with the VAD's marks around them."""
    whole = pcm(np.zeros(RATE // 5)) + speech + pcm(np.zeros(RATE // 5))
    whole += b"\0" * (-len(whole) % FRAME)
    for number, start in enumerate(range(0, len(whole), FRAME)):
        stream.send(whole[start : start + FRAME])
        if number == 14:
            stream.speech(True)
    stream.speech(False)


_SPELLED = "zero one two three four five six seven eight nine ten"
NUMBERS = {str(number): word for number, word in enumerate(_SPELLED.split(" "))}


def words(text: str) -> list[str]:
    """Lower case words without punctuation, small numbers spelled out."""
    return [NUMBERS.get(word, word) for word in re.sub(r"[^\w' ]", " ", text.lower()).split()]


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Insertions, deletions and substitutions between two texts."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row[0] = row[:], number
        for at, other in enumerate(heard, 1):
            row[at] = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (word != other))
    return row[-1]
