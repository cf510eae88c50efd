"""One turn of a caller, as audio with the truth about it."""

from dataclasses import dataclass, field
from typing import Literal

from scripts.bench_conversation.recordings import Samples
from scripts.bench_conversation.words import Word

Kind = Literal[
    "sentence",  # as recorded, with the pauses its speaker made
    "paused",  # a sentence with one or two pauses put in where the energy dips between words
    "joined",  # two sentences with "and" between them, and a pause before or after it
    "answer",  # one word or two
    "number",  # digits in groups
    "spelled",  # letters in groups
]
Split = Literal["train", "test"]

TURNS: tuple[Kind, ...] = ("sentence", "paused", "joined", "answer", "number", "spelled")


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence inside the turn, in seconds of the item. `made`: put in; otherwise the speaker's own (from 200 ms on)."""

    start: float
    end: float
    made: bool


@dataclass(frozen=True, slots=True)
class Item:
    """`audio`: what the telephone line brings, 8 kHz, through µ-law; begins and ends with silence.

    Times are seconds in `audio`. `spans` are the stretches of the caller's speech, `pauses` what lies between them and
    the pauses that the speaker made. `asked` is what the assistant said before.
    """

    name: str
    kind: Kind
    split: Split
    language: str
    voice: str
    condition: str
    audio: Samples = field(repr=False)
    text: str = ""
    words: tuple[Word, ...] = field(default=(), repr=False)
    spans: tuple[tuple[float, float], ...] = ()
    pauses: tuple[Pause, ...] = ()
    asked: str = ""

    @property
    def speech_start(self) -> float:
        """First sample of the caller's speech."""
        return self.spans[0][0]

    @property
    def speech_end(self) -> float:
        """Last sample of the caller's speech."""
        return self.spans[-1][1]
