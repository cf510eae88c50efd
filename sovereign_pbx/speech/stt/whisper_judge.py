"""Which of Whisper's texts to believe. Pure.

Whisper was trained to write something for every sound: given noise or a tone it invents a sentence or repeats a word
without end. Measured on noise, silence, tones, music, clicks and breath at telephone quality against short real words
("yes", "seven", "thank you"): no-speech probability 0.55 to 0.95 (tiny.en) and 0.47 to 0.77 (base) against at most
0.40; mean log probability of a token below -1.0 against above -1.2. Neither is enough alone, together they are.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Final

LOOP_RATIO: Final = 2.4  # text that compresses this well repeats itself (the reference decoder's own limit)
DOUBT_NO_SPEECH: Final = 0.45
DOUBT_LOGPROB: Final = -1.0
_ANNOTATION: Final = re.compile(r"[\[(*♪][^\])*♪]*[\])*♪]|♪")
_REPEAT: Final = re.compile(r"(.{1,80}?)\1{3,}", re.DOTALL)

# what these models write when nobody spoke; real callers say them too, hence only with doubtful numbers
PHANTOMS: Final = frozenset(
    {
        "you",
        "i",
        "oh",
        "ooh",
        "so",
        "okay",
        "bye",
        "im",
        "im sorry",
        "thank you",
        "thanks",
        "thanks for watching",
        "thank you for watching",
        "thank you very much",
        "please subscribe",
        "bedankt",
        "dank u wel",
        "ondertiteling door",
        "untertitel der amaraorg community",
        "vielen dank",
        "merci",
        "merci davoir regardé",
        "sous titres réalisés par la communauté damaraorg",
        "gracias",
        "grazie",
    }
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What the decoder wrote, with its own doubts: mean log probability of a token, probability of no speech."""

    text: str
    logprob: float
    no_speech: float

    @property
    def looped(self) -> bool:
        """The same words over and over."""
        return loops(self.text)


def loops(text: str) -> bool:
    """Whether a text repeats itself the way a decoder does that has lost its way."""
    data = text.encode()
    if len(data) >= 24 and len(data) / len(zlib.compress(data)) > LOOP_RATIO:
        return True
    found = _REPEAT.search(text)
    # "0 0 0 0" is a number that a caller may dictate; four times the same longer phrase is not
    return found is not None and len(found[0]) > 24


def doubtful(draft: Draft) -> bool:
    """Worth a second look with the whole 30 s window, which costs three times as much and errs less."""
    return draft.looped or draft.no_speech > DOUBT_NO_SPEECH or draft.logprob < DOUBT_LOGPROB


def believed(draft: Draft) -> str:
    """The words to pass on; empty when nobody spoke."""
    text = cleaned(draft.text)
    if not text or draft.no_speech > 0.6:
        return ""
    if draft.no_speech > 0.4 and (draft.logprob < -1.0 or draft.looped):
        return ""
    if draft.logprob < -2.0:
        return ""
    if plain(text) in PHANTOMS and draft.no_speech > 0.3 and draft.logprob < -0.8:
        return ""
    return unlooped(text) if draft.looped else text


def cleaned(text: str) -> str:
    """Without annotations such as "[music]"; empty when no letter or digit is left."""
    text = " ".join(_ANNOTATION.sub(" ", text).split())
    return text if any(char.isalnum() for char in text) else ""


def unlooped(text: str) -> str:
    """The text up to and including the first round of what repeats."""
    found = _REPEAT.search(text)
    return text if found is None else (text[: found.start()] + found[1]).strip(" ,;-")


def plain(text: str) -> str:
    """Letters, digits and single spaces, in lower case."""
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())
