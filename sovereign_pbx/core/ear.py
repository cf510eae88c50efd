"""What has been heard of the caller since his last turn: speech by the voice detector, words by the recogniser.

The two disagree often (words without speech, speech without words, words that come late), so both are kept apart
and nothing is thrown away until a turn takes it.
"""

import re
from typing import Final

from sovereign_pbx.core.endpointing import Over, Score

LATE_WORDS_S: Final = 0.8  # words that come later than this after the speech were not in that speech
OVERDUE_S: Final = 3.0  # final text that comes later than this belongs to other words
MOST_PAUSES: Final = 20
_NOT_WORD = re.compile(r"[\W_]+")


def same_words(one: str, other: str) -> bool:
    """Whether two transcripts differ in nothing but case, punctuation and spacing."""
    return _bare(one) == _bare(other)


class Ear:
    """The caller's unfinished turn. Times in seconds, `at` in audio time."""

    __slots__ = (
        "_finals",
        "_mark",
        "asked",
        "began_at",
        "ended_at",
        "interim",
        "listened_at",
        "onset",
        "over",
        "pauses",
        "scores",
        "scoring_since",
        "silent_since",
        "speaking",
        "streams",
        "took",
        "took_until",
        "voiced",
        "wordless_since",
    )

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._mark = 0
        self.interim = ""
        self.speaking = False
        self.began_at: float | None = None  # first onset of this turn
        self.onset = 0.0  # onset of the speech that is going on
        self.voiced = False  # the voice detector heard some of it
        self.ended_at: float | None = None  # last speech sample; None while nothing has ended
        self.listened_at: float | None = None  # when the recogniser last said that something is final
        self.asked = False  # for its final text, since the last speech sample
        self.silent_since: float | None = None  # last speech sample that the voice detector ever heard
        self.over: Over = ""  # the recogniser has said by itself that the utterance is over
        self.scores: list[Score] = []  # what the turn model says about this silence, as it grows
        self.pauses: list[float] = []  # that he has made in this turn and gone on after
        self.scoring_since: float | None = None  # asked then, and not answered yet
        self.streams = False  # interims have been seen: its silence means no words
        self.wordless_since: float | None = None  # onset of the first speech since the last new words
        self.took = ""  # a turn went ahead with these unfinished words; their final text may still come
        self.took_until = 0.0

    # what is known

    @property
    def text(self) -> str:
        return " ".join([*self._finals, self.interim] if self.interim else self._finals)

    @property
    def settled(self) -> bool:
        """The recogniser has finished with all that was said up to the last speech sample."""
        if self.interim or self.listened_at is None:
            return False
        return self.ended_at is None or self.listened_at >= self.ended_at

    @property
    def new_words(self) -> int:
        """Words since `mark`."""
        return len(self.new_text.split())

    @property
    def new_text(self) -> str:
        """What was said since `mark`."""
        return " ".join([*self._finals[self._mark :], self.interim]).strip()

    # what happens

    def begin(self, at: float) -> None:
        self.speaking = self.voiced = True
        self.over = ""
        self.onset = at
        if self.wordless_since is None:
            self.wordless_since = at
        if self.began_at is None:
            self.began_at = at

    def stop(self, at: float) -> None:
        self.speaking = False
        self.asked = False
        self.scores, self.scoring_since = [], None
        self.ended_at = at
        if self.voiced:
            self.silent_since = at

    def hear_interim(self, text: str, now: float) -> None:
        self._words_at(now)
        self.streams = True
        self.over = ""
        self.interim = text.strip()

    def hear_final(self, text: str, now: float) -> None:
        self._words_at(now)
        self.interim = ""
        self.add(text)
        self.listened_at = now

    def pause(self, length: float) -> None:
        """He has gone on with his turn after a pause."""
        self.pauses = [*self.pauses[-MOST_PAUSES:], length]

    def score(self, probability: float) -> None:
        """The turn model's answer to the question asked last."""
        asked_at, self.scoring_since = self.scoring_since, None
        if asked_at is not None and self.ended_at is not None:
            self.scores.append(Score(asked_at - self.ended_at, probability))

    def add(self, text: str) -> None:
        if text.strip():
            self._finals.append(text.strip())

    def mark(self) -> None:
        """Count words from here."""
        self._mark = len(self._finals)

    def unsay(self) -> None:
        """What was said since `mark` was no part of a turn."""
        del self._finals[self._mark :]
        self.interim = ""

    def take(self, now: float) -> str:
        """The turn's text; the ear is empty afterwards, but still knows whether the caller speaks."""
        text, self.took = self.text, self.interim
        self.took_until = now + OVERDUE_S
        self.forget()
        return text

    def forget(self) -> None:
        self._finals = []
        self._mark = 0
        self.interim = ""
        self.began_at = None
        self.voiced = self.speaking
        self.over = ""
        self.scores, self.scoring_since = [], None
        self.ended_at = None
        self.listened_at = None
        self.pauses = []
        self.wordless_since = self.onset if self.speaking else None

    def shift(self, seconds: float) -> None:
        """The line was on hold for `seconds`: that was not silence."""
        if self.ended_at is not None:
            self.ended_at += seconds

    def _words_at(self, now: float) -> None:
        """Words that the voice detector cannot have heard move the end of speech to their own time."""
        self.wordless_since = now if self.speaking else None
        if self.began_at is None:
            self.began_at = now
        if self.speaking:
            return
        late = self.settled and self.ended_at is not None and now - self.ended_at > LATE_WORDS_S
        if late or not self.voiced or self.ended_at is None:
            self.ended_at = now


def _bare(text: str) -> str:
    return _NOT_WORD.sub(" ", text).strip().casefold()
