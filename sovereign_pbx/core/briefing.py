"""A colleague is asked to take a caller: what is said to him, and what counts as his answer. Pure; time comes with each
event, what is to be done goes out as commands.

He hears what the call is about, then the question. A key or a yes or no counts at any moment and stops what is being
said. Whoever says nothing is asked once more; whoever says something else is asked twice more, or hears it all again
where he asks who it is. Only a key or a yes takes the caller: a mailbox that answers says neither.

Who lifts a receiver speaks first ("Yes, Jansen speaking"), and that is no answer yet: it is heard out (OPENING), and
while we speak words count only where the voice detector has heard him begin after us. That also keeps out our own
echo, whose question says "yes".
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from sovereign_pbx.core.answer import Verdict, verdict
from sovereign_pbx.core.events import Tick

BriefingOutcome = Literal["accepted", "declined", "no_answer", "gone"]

ACCEPT_KEY: Final = "1"
DECLINE_KEY: Final = "2"
TOTAL_S: Final = 45.0  # the caller waits all that time
GREETING_S: Final = 0.8  # whoever answers a telephone begins to speak within that
GREETED_S: Final = 0.4  # of silence after it
LONGEST_GREETING_S: Final = 4.0
SILENCE_S: Final = 6.0  # after the question; a telephone has to be taken from the ear to press a key
LATE_S: Final = 1.5  # from the end of his speech to its text
SURE_S: Final = 1.0  # an interim yes becomes the final one by then, or counts itself
MOST_AGAIN: Final = 2
MOST_REPEATS: Final = 2

BriefingLine = Literal["words", "question", "keys", "again"]
"""words: what the call is about. question, keys: to be answered by voice or key, by key alone. again: no answer was
understood; the question follows."""
_ASKED_THEN: Final = ("words", "again")


@dataclass(frozen=True, slots=True)
class Spoken:
    """The line was played to its end."""

    line: BriefingLine


@dataclass(frozen=True, slots=True)
class Speech:
    """The voice detector's word: he began to speak, or fell silent."""

    begins: bool


@dataclass(frozen=True, slots=True)
class Words:
    """What he said, as the recogniser has it so far (`final`: as it is)."""

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class Key:
    """He pressed it."""

    digit: str


@dataclass(frozen=True, slots=True)
class Listening:
    """There is a recogniser from here on, or there is none."""

    on: bool


@dataclass(frozen=True, slots=True)
class HungUp:
    """He is gone."""


@dataclass(frozen=True, slots=True)
class Say:
    """Play the line; answer with `Spoken`."""

    line: BriefingLine


@dataclass(frozen=True, slots=True)
class Hush:
    """Stop what is being said; no `Spoken` follows for it."""


@dataclass(frozen=True, slots=True)
class Settle:
    """It is decided; nothing follows."""

    outcome: BriefingOutcome


BriefingEvent: TypeAlias = Spoken | Speech | Words | Key | Listening | Tick | HungUp
BriefingCommand: TypeAlias = Say | Hush | Settle


class Stage(Enum):
    """Where it stands."""

    OPENING = "he says who he is, or nothing"
    SAYING = "we speak"
    WAITING = "the question is asked"
    HEARING = "he says something that may be an answer"
    SETTLED = "decided"


class Acceptance:
    """One colleague's briefing, from the moment he can hear us."""

    def __init__(self, language: str, now: float) -> None:
        self.outcome: BriefingOutcome | None = None
        self._language = language
        self._end = now + TOTAL_S
        self._until = now + GREETING_S  # the alarm of the stage
        self._latest_opening = now + LONGEST_GREETING_S
        self._stage = Stage.OPENING
        self._line: BriefingLine | None = None  # what is being said
        self._listening = False
        self._after: BriefingLine | None = None  # what follows when he has said what he is saying
        self._speaking = False
        self._began = False  # he has begun to speak since we did
        self._wants_words = False
        self._meant: Verdict = "nothing"  # by his words so far
        self._silences = self._unclear = self._repeats = 0
        self._out: list[BriefingCommand] = []

    @property
    def stage(self) -> Stage:
        return self._stage

    @property
    def deadline(self) -> float | None:
        """When a `Tick` is owed; None once it is decided."""
        return None if self.outcome is not None else min(self._until, self._end)

    def feed(self, event: BriefingEvent, now: float) -> list[BriefingCommand]:
        """What is to be done, in order."""
        if self.outcome is not None:
            return []
        self._out = []
        if isinstance(event, HungUp):
            self._settle("gone")
        elif isinstance(event, Key):
            self._key(event.digit)
        elif now >= self._end:
            self._settle("no_answer")
        elif isinstance(event, Spoken):
            self._spoken(event.line, now)
        elif isinstance(event, Speech):
            self._speech(event.begins, now)
        elif isinstance(event, Words):
            self._words(event, now)
        elif isinstance(event, Listening):
            self._listening = event.on
        elif now >= self._until:
            self._rings()
        return self._out

    # --- what happens

    def _key(self, digit: str) -> None:
        if digit == ACCEPT_KEY:
            self._settle("accepted")
        elif digit == DECLINE_KEY:
            self._settle("declined")
        else:
            self._ask_again()

    def _spoken(self, line: BriefingLine, now: float) -> None:
        if self._stage is not Stage.SAYING or line != self._line:
            return
        self._line = None
        following: BriefingLine | None = ("question" if self._listening else "keys") if line in _ASKED_THEN else None
        if following is not None and not self._speaking:
            self._say(following, go_on=True)
        elif following is not None:
            self._wait(now + SILENCE_S)
            self._after = following
        elif self._wants_words:
            self._repeat()
        else:
            self._wait(now + SILENCE_S)

    def _speech(self, begins: bool, now: float) -> None:
        self._speaking = begins
        if self._stage is Stage.OPENING:
            until = self._latest_opening if begins else now + GREETED_S
            self._until = min(until, self._latest_opening)
        elif begins:
            self._began = True
            if self._stage is Stage.WAITING:
                self._until = max(self._until, now + SILENCE_S)
        elif self._stage is Stage.WAITING:
            self._until = now + LATE_S if self._after is not None else max(self._until, now + LATE_S)

    def _words(self, heard: Words, now: float) -> None:
        if self._stage is Stage.OPENING or (self._stage is Stage.SAYING and not self._began):
            return
        meant = verdict(heard.text, self._language)
        if heard.final:
            self._answered(meant)
        elif meant in ("yes", "no") or self._stage is Stage.HEARING:
            self._hear(meant, now)

    def _rings(self) -> None:
        if self._stage is Stage.OPENING:
            self._say("words")
        elif self._stage is Stage.HEARING:
            self._answered(self._meant)
        elif self._after is not None:
            self._say(self._after)
        elif self._stage is Stage.WAITING:
            self._silences += 1
            if self._silences > 1:
                self._settle("no_answer")
            else:
                self._say("again")

    # --- what it comes to

    def _hear(self, meant: Verdict, now: float) -> None:
        """It may be the answer; a moment later it will be."""
        self._hush()
        self._stage, self._until, self._meant, self._after = Stage.HEARING, now + SURE_S, meant, None

    def _answered(self, meant: Verdict) -> None:
        if meant == "yes":
            self._settle("accepted")
        elif meant == "no":
            self._settle("declined")
        elif self._stage is Stage.SAYING:  # what he may want to know is being said
            self._wants_words = self._wants_words or (meant == "what" and self._line != "words")
        elif meant == "what":
            self._repeat()
        elif meant == "unclear" or self._stage is Stage.HEARING:
            self._ask_again()

    def _ask_again(self) -> None:
        self._unclear += 1
        if self._unclear > MOST_AGAIN:
            self._settle("no_answer")
        else:
            self._say("again")

    def _repeat(self) -> None:
        self._repeats += 1
        if self._repeats > MOST_REPEATS:
            self._ask_again()
        else:
            self._say("words")

    def _say(self, line: BriefingLine, *, go_on: bool = False) -> None:
        """`go_on`: behind another line, so that what he has begun to say over that one counts."""
        self._hush()
        self._stage, self._line, self._until, self._after = Stage.SAYING, line, self._end, None
        self._began = self._began and go_on
        self._wants_words = False
        self._out.append(Say(line))

    def _hush(self) -> None:
        if self._stage is Stage.SAYING and self._line is not None:
            self._line = None
            self._out.append(Hush())

    def _wait(self, until: float) -> None:
        self._stage, self._line, self._until, self._after = Stage.WAITING, None, until, None

    def _settle(self, outcome: BriefingOutcome) -> None:
        self._hush()
        self._stage, self.outcome = Stage.SETTLED, outcome
        self._out.append(Settle(outcome))
