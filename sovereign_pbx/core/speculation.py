"""An answer begun before it is sure that the caller has finished: asked for, kept back, and only then taken or dropped.

The wait for the end of a turn can't be shortened without talking into pauses, but it can be used. While it lasts the
model is asked on the words so far, and what comes of it is kept here, event by event; of all that only the first
clause goes on, to be synthesised and not played. Nothing else happens before the turn is decided: no tool, no history,
no way taken, no sound. A decided turn that asks the model the very same takes the answer over as if it had just come.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sovereign_pbx.core.clauses import Clauses
from sovereign_pbx.core.events import ReplyDone, ReplyFailed, ReplyText, ReplyTool
from sovereign_pbx.core.speakable import tagged
from sovereign_pbx.core.values import Message

ReplyEvent = ReplyText | ReplyTool | ReplyDone | ReplyFailed

LONGEST: Final = 20_000  # characters kept back; no answer to one turn on the telephone has twenty minutes
TOKEN_CHARACTERS: Final = 4  # vendors' own rule of thumb for English; other languages have shorter tokens


def equivalent(one: str, other: str) -> bool:
    """Whether two transcripts differ in nothing but case, punctuation, spacing and the spelling of their characters."""
    return _bare(one) == _bare(other)


def estimated_tokens(characters: int) -> int:
    """What so much text may be in tokens: vendors tell no figures of an answer that was broken off."""
    return -(-characters // TOKEN_CHARACTERS)


@dataclass(slots=True, eq=False)
class Guess:
    """The reply numbered `number`, to `messages` at this `place` of the workflow, on the caller's `words` so far."""

    number: int
    words: str
    place: str
    messages: tuple[Message, ...]
    held: list[ReplyEvent] = field(default_factory=list)
    over: bool = False  # the model has finished, or failed
    spoilt: bool = False  # it failed, or went on for ever: not worth being taken
    told: dict[str, Any] = field(default_factory=dict)  # the vendor's figures, once it has finished
    characters: int = 0  # of its text
    _prepared: bool = False
    _clauses: Clauses = field(default_factory=Clauses)

    def hold(self, event: ReplyEvent) -> str:
        """Keep the event back. Returns the first words to be spoken, once, as soon as they are complete."""
        if self.spoilt:
            return ""
        self.held.append(event)
        pieces: list[str] = []
        if isinstance(event, ReplyText):
            self.characters += len(event.text)
            self.spoilt = self.characters > LONGEST
            pieces = self._clauses.feed(event.text)
        else:
            pieces = self._clauses.flush()
            self.over = not isinstance(event, ReplyTool)
            self.spoilt = isinstance(event, ReplyFailed)
            self.told = event.usage if isinstance(event, ReplyDone) else {}
        return self._first(pieces)

    def _first(self, pieces: Sequence[str]) -> str:
        if self._prepared or self.spoilt:
            return ""
        text = next(filter(None, map(tagged, pieces)), "")
        self._prepared = bool(text)
        return text

    def fits(self, place: str, messages: Sequence[Message]) -> bool:
        """Whether this is the answer to what is asked now: the same history, instructions and place, the same words."""
        if self.spoilt or place != self.place or len(messages) != len(self.messages):
            return False
        return all(map(_alike, messages, self.messages))

    def waste(self) -> dict[str, Any]:
        """What it cost in vain, for the turn's record: the vendor's figures, or an estimate where it was cut short."""
        asked = self.told.get("input_tokens", estimated_tokens(sum(len(each.content) for each in self.messages)))
        answered = self.told.get("output_tokens", estimated_tokens(self.characters))
        return {"dropped_replies": 1, "dropped_input_tokens": asked, "dropped_output_tokens": answered}


def _alike(one: Message, other: Message) -> bool:
    return one == other or (one.role == other.role == "user" and equivalent(one.content, other.content))


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
