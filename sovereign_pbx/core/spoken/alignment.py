"""From the word times of the spoken form to those of the written text, which history and transcript keep."""

import re
from collections.abc import Sequence
from typing import Final

from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.spoken.form import Spoken
from sovereign_pbx.core.values import Word

_NOT_LETTER: Final = re.compile(r"[\W_]+")
_AHEAD: Final = 16  # letters that a voice may leave out of its timing before it is found again


def _letters(text: str) -> str:
    return _NOT_LETTER.sub("", text).casefold()


class Alignment:
    """Turns a voice's words, as they come, into written words. Follows the letters, because voices cut words their
    own way ("twenty-one" as two); what it can't find it waits for."""

    __slots__ = ("_at", "_done", "_ends", "_given", "_lost", "_start", "_stream", "_tokens", "_written")

    def __init__(self, written: str, spoken: Spoken) -> None:
        self._tokens = written.split()
        self._written = spoken.written
        self._ends: list[int] = []
        letters: list[str] = []
        length = 0
        for word in spoken.text.split():
            letters.append(_letters(word))
            length += len(letters[-1])
            self._ends.append(length)
        self._stream = "".join(letters)
        self._at = 0  # letters said
        self._lost = 0  # letters of words that were not found since
        self._given = 0  # spoken words passed
        self._done = 0  # written words given back
        self._start: float | None = None

    def feed(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """The written words that are complete with these spoken ones, with their times."""
        done: list[Word] = []
        for word in words:
            self._start = word.start if self._start is None else self._start
            self._follow(_letters(word.text))
            done += self._complete(word.end)
        return tuple(done)

    def _follow(self, letters: str) -> None:
        if not letters:
            return
        found = self._stream.find(letters, self._at, self._at + len(letters) + 2 * self._lost + _AHEAD)
        if found < 0:
            self._lost += len(letters)
        else:
            self._at, self._lost = found + len(letters), 0

    def _complete(self, end: float) -> list[Word]:
        while self._given < len(self._ends) and self._ends[self._given] <= self._at:
            self._given += 1
        # a written word is complete when no spoken word of it is left
        upto = self._written[self._given] if self._given < len(self._written) else len(self._tokens)
        if not self._given or upto <= self._done:
            return []
        start, self._start = self._start if self._start is not None else end, None
        first, self._done = self._done, upto
        return [Word(token, start, end) for token in self._tokens[first:upto]]


def words_of_original(written: str, spoken: Spoken, words: Sequence[Word]) -> tuple[Word, ...]:
    """The words of `written` with the times of `words`, a voice's for `spoken`."""
    return Alignment(written, spoken).feed(words)


def estimated_words(written: str, spoken: Spoken, total_ms: float) -> tuple[Word, ...]:
    """The same where the voice tells no times: the spoken words share the length by their syllables and pauses."""
    tokens = spoken.text.split()
    weights = [estimate_ms(token) for token in tokens]
    scale = total_ms / sum(weights) / 1000 if weights else 0.0
    guessed: list[Word] = []
    reached = 0.0
    for token, weight in zip(tokens, weights, strict=True):
        guessed.append(Word(token, reached * scale, (reached + weight) * scale))
        reached += weight
    return words_of_original(written, spoken, guessed)
