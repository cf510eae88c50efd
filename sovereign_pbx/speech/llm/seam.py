"""Where one model's reply broke off and another goes on: what the second is asked, and what of its words is new. Pure.

Models that are asked to go on often begin again, or repeat the last words, or finish the word that was cut. The caller
hears none of that twice.
"""

import re
from collections.abc import Sequence
from typing import Final

from sovereign_pbx.core.values import Message

GO_ON: Final = (
    "[Your last message broke off in the middle. Go on with the very next word: repeat nothing of it, do not begin"
    " anew and do not mention the break. If nothing is missing, write only a full stop.]"
)  # as the user: many servers take system messages only at the beginning, and none an assistant's as the last
AGAIN_WORDS: Final = 3  # so many first words alike, and it is the beginning again
OVERLAP_WORDS: Final = 12  # the tail of what was said that may be repeated
_STOPS: Final = tuple(".!?…")
_NOT_WORD = re.compile(r"[\W_]+")


def asked_to_go_on(messages: Sequence[Message], told: str) -> list[Message]:
    """The same question, with what has been answered so far."""
    return [*messages, Message("assistant", told.strip()), Message("user", GO_ON)]


class Seam:
    """Feed it the words of whoever goes on; take what `told` did not have."""

    def __init__(self, told: str) -> None:
        self._told = told
        self._before = told.split()
        self._held = ""
        self._open = not self._before  # the seam is passed: everything is new

    def feed(self, text: str) -> str:
        """More words; returns those that are new, "" while that is not known."""
        if self._open:
            return text
        self._held += text
        whole = self._held.split() if self._held[-1:].isspace() else self._held.split()[:-1]
        if self._undecided(whole):
            return ""
        return self._pass(whole)

    def rest(self) -> str:
        """Nothing follows: what is new of the words held back."""
        if self._open:
            return ""
        return self._pass(self._held.split())

    def _undecided(self, whole: Sequence[str]) -> bool:
        """Whether more words could still turn out to be a repetition."""
        if len(whole) > len(self._before):
            return False
        return not whole or _alike(whole, self._before[: len(whole)]) or self._in_tail(whole)

    def _in_tail(self, whole: Sequence[str]) -> bool:
        tail = self._before[-OVERLAP_WORDS:]
        starts = range(len(tail) - len(whole) + 1)
        return any(_alike(whole, tail[at : at + len(whole)]) for at in starts)

    def _pass(self, whole: Sequence[str]) -> str:
        self._open = True
        if not _bare(self._held) and self._told.rstrip()[-1:] in _STOPS:
            return ""  # "nothing is missing"
        again = self._repeated(whole)
        fresh = self._held.split(maxsplit=again)[again:] if again else [self._held.lstrip()]
        text = fresh[0] if fresh else ""
        if again == 0 and (ending := self._ending(whole)) is not None:
            return ending + self._held.lstrip()[len(whole[0]) :]
        joined = not text or self._told[-1:].isspace() or not _bare(text[:1])
        return text if joined else f" {text}"

    def _repeated(self, whole: Sequence[str]) -> int:
        """How many of the first words were said before."""
        same = 0
        while same < min(len(whole), len(self._before)) and _alike(whole[same : same + 1], self._before[same:][:1]):
            same += 1
        if same >= min(AGAIN_WORDS, len(self._before)):
            return same
        longest = min(len(whole), len(self._before), OVERLAP_WORDS)
        overlaps = (count for count in range(longest, 0, -1) if _alike(self._before[-count:], whole[:count]))
        return next(overlaps, 0)

    def _ending(self, whole: Sequence[str]) -> str | None:
        """The rest of a word that was cut: told "nineteen hun", and now it begins with "hundred"."""
        if not whole or self._told[-1:].isspace():
            return None
        cut = self._before[-1]
        longer = len(whole[0]) > len(cut) > 1 and whole[0].casefold().startswith(cut.casefold())
        return whole[0][len(cut) :] if longer else None


def _alike(some: Sequence[str], others: Sequence[str]) -> bool:
    return [_bare(one) for one in some] == [_bare(one) for one in others]


def _bare(text: str) -> str:
    return _NOT_WORD.sub("", text).casefold()
