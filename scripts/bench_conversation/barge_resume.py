"""What is understood of a sentence in whose middle the assistant was held: transcribed back by the embedded Whisper.

Once as one recording with 0.8 s of silence at the pause, and once part by part, as the caller hears them seconds apart
with his own words between them. There a fragment at the end of the first part costs nothing, for he hears that the
assistant stopped; a word that neither part has, or that both have, does.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scripts.bench_conversation.barge_call import FRAME, Recogniser, Spoken
from scripts.bench_conversation.tables import markdown
from scripts.bench_conversation.words import timed
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.values import Word
from sovereign_pbx.media.playout import Playout
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

HELD_AT: Final = (0.2, 0.4, 0.6, 0.8)
_NUMBERS: Final = {"2": "two", "4": "four", "6": "six", "7": "seven", "9": "nine"}
_PAUSE: Final = bytes(PHONE_RATE // 5 * 2)
_HELD: Final = 4 * _PAUSE  # what the table's "as one" has between the parts


@dataclass(slots=True)
class Understood:
    """Words said, and how many of them were lost, added or changed: of the whole, and part by part."""

    words: int = 0
    as_one: int = 0
    in_parts: int = 0


def measured(speeches: Sequence[Spoken], recogniser: Recogniser, progress: ProgressLine) -> dict[str, Understood]:
    """By how the sentence was played."""
    found: dict[str, Understood] = defaultdict(Understood)
    for number, speech in enumerate(speeches):
        said = plain(speech.text)
        whole = errors(said, plain(recogniser(_line(speech.audio.tobytes()))))
        words = tuple(Word(*each) for each in timed(speech.audio, speech.text))
        for place, share in enumerate(HELD_AT):
            _count(found["not held"], said, whole, whole)
            for how, known in (("held, word times known", words), ("held, no word times", ())):
                parts = played(speech, share, known)
                first, second = (plain(recogniser(_line(part))) for part in parts)
                together = plain(recogniser(_line(_HELD.join(parts))))
                _count(found[how], said, errors(said, together), _lost(said, first, second))
            progress("going on", (number * len(HELD_AT) + place + 1) / (len(speeches) * len(HELD_AT)))
    return found


def played(speech: Spoken, share: float, words: tuple[Word, ...]) -> tuple[bytes, bytes]:
    """What is heard before and after a pause that begins after `share` of the audio."""
    playout = Playout(PHONE_RATE)
    playout.open(1)
    playout.add(1, speech.audio.tobytes())
    playout.finish(1)
    before = [playout.next_frame() or b"" for _ in range(int(speech.audio.size * share) // FRAME)]
    playout.pause()
    before += _drained(playout)
    playout.resume(words)
    return b"".join(before), b"".join(_drained(playout))


def _drained(playout: Playout) -> list[bytes]:
    frames = []
    while (frame := playout.next_frame()) is not None:
        frames.append(frame)
    return frames


def _line(pcm: bytes) -> bytes:
    return ulaw_to_pcm(pcm_to_ulaw(_PAUSE + pcm + _PAUSE))


def _count(found: Understood, said: Sequence[str], as_one: int, in_parts: int) -> None:
    found.words += len(said)
    found.as_one += as_one
    found.in_parts += in_parts


def _lost(said: Sequence[str], first: Sequence[str], second: Sequence[str]) -> int:
    """At the best place to divide the sentence, with the first part's last word or without it."""
    return min(
        errors(said[at:], second) + min(errors(said[:at], first), errors(said[:at], first[:-1]))
        for at in range(len(said) + 1)
    )


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Insertions, deletions and substitutions."""
    row = np.arange(len(heard) + 1)
    for number, word in enumerate(said, 1):
        before, row[0] = row.copy(), number
        for at, other in enumerate(heard, 1):
            row[at] = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (word != other))
    return int(row[-1])


def plain(text: str) -> list[str]:
    """Words in small letters, single figures as words, compounds in parts."""
    return [_NUMBERS.get(word, word) for word in re.sub(r"[^\w' ]", " ", text.lower()).split()]


def table(found: dict[str, Understood]) -> str:
    rows = [[how, str(each.words), str(each.as_one), str(each.in_parts)] for how, each in found.items()]
    return markdown(["a sentence", "words", "word errors as one", "part by part"], rows)
