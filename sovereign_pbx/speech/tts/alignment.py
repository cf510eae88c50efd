"""Words with times out of a voice's character alignment."""

from collections.abc import Sequence

from sovereign_pbx.core.values import Word


class WordAssembler:
    """Puts characters with times together to words; a word may be cut anywhere between two chunks.

    Audio tags (`[whispers]`) come back in the alignment of voices that know them; they are not spoken, hence no words.
    """

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._start = 0.0
        self._end = 0.0
        self._in_tag = False

    def feed(self, chars: Sequence[str], starts: Sequence[float], ends: Sequence[float]) -> tuple[Word, ...]:
        """Characters with seconds from the segment's start; returns the words that are complete now."""
        done: list[Word] = []
        for char, start, end in zip(chars, starts, ends, strict=False):
            if self._in_tag or char == "[":
                self._in_tag = char != "]"
                continue
            if char.isspace():
                done += self.rest()
                continue
            if not self._letters:
                self._start = start
            self._letters.append(char)
            self._end = end
        return tuple(done)

    def rest(self) -> tuple[Word, ...]:
        """The word begun last: the segment is over."""
        if not self._letters:
            return ()
        word = Word("".join(self._letters), self._start, self._end)
        self._letters = []
        return (word,)
