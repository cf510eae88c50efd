"""A sentence that a voice broke off: what is left of it, and whose words lie where. Pure.

The audio that came will be heard to its end, so the rest begins at the first word that is not whole in it. Half a word
that was heard is said again whole, as people do who are interrupted by a cough.
"""

import re
from collections.abc import Sequence
from typing import Final

from sovereign_pbx.core.heard import estimate_ms, heard
from sovereign_pbx.core.values import Word

UNTIMED_MS: Final = 500.0  # so much sound without a word's time: that voice gives none
_HAS_SOUND = re.compile(r"[^\W_]")


def rest_of(text: str, words: Sequence[Word], ms: float, pace: float = 1.0) -> tuple[str, str]:
    """(what `ms` milliseconds of audio have said of `text`, what is left of it: "" when nothing with a sound is).

    Where the voice told no times, its `pace` decides (how much longer than estimated it takes), and the last word is
    never taken for said: one that is heard twice costs less than one that is missing.
    """
    said = heard(text, words, None if words else estimate_ms(text) * pace, ms)
    if not words and said == text.rstrip():
        said = text[: text.rstrip().rfind(" ") + 1].rstrip()
    rest = text[len(said) :].strip()
    return said, rest if _HAS_SOUND.search(rest) else ""


def spread(text: str, ms: float, from_s: float = 0.0) -> tuple[Word, ...]:
    """Times for the words of `text`, which takes `ms`, by their syllables."""
    tokens = text.split()
    scale = ms / (1000 * sum(estimate_ms(token) for token in tokens)) if tokens else 0.0
    words: list[Word] = []
    for token in tokens:
        start = words[-1].end if words else from_s
        words.append(Word(token, start, start + estimate_ms(token) * scale))
    return tuple(words)


def moved(words: Sequence[Word], by_s: float) -> tuple[Word, ...]:
    return tuple(Word(word.text, word.start + by_s, word.end + by_s) for word in words)
