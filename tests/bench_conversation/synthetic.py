"""Recordings made of tones, for the pure parts of the bench."""

import numpy as np

from scripts.bench_conversation.recordings import Recording, Samples


def syllables(*lengths_s: float, gap_s: float = 0.05) -> Samples:
    """Tones with short gaps between them, 30 ms of silence round it all."""
    pieces = [np.zeros(240)]
    for length in lengths_s:
        at = np.arange(round(length * 8000)) / 8000
        pieces += [8000 * np.sin(2 * np.pi * 200 * at), np.zeros(round(gap_s * 8000))]
    return np.concatenate([*pieces[:-1], np.zeros(240)]).astype("<i2")


def recording(
    text: str, audio: Samples | None = None, name: str = "folder/prompt", voice: str = "en_voice"
) -> Recording:
    sound = syllables(*(0.06 * len(word) for word in text.split())) if audio is None else audio
    return Recording("speech", voice, voice[:2], name, text, sound)


def house() -> list[Recording]:
    """A voice in English that has what every recipe needs, two more to talk behind it, and music."""
    found = []
    for voice in ("en_first", "en_second", "en_third"):
        found += [recording(word, name=f"digits/{at}", voice=voice) for at, word in enumerate(DIGITS)]
        found += [recording(letter * 3, name=f"letters/{letter}", voice=voice) for letter in "abcdefghijklmnopqrst"]
        found += [recording(f"answer{at}", name=f"digits/h-{at}", voice=voice) for at in range(20)]
        found += [
            recording(f"this prompt with number {at} says something.", name=f"{voice}/p{at}", voice=voice)
            for at in range(20)
        ]
        found += [recording("and", name=f"{voice}/vm-and", voice=voice)]
    tune = np.tile(syllables(0.3, 0.2), 10)
    return [*found, Recording("music", "band", "", "moh/tune", "", tune)]


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
