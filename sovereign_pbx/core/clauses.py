"""Streamed model text, cut into pieces that a voice can begin with.

The first piece is the one the caller waits for, so it leaves early: at a comma, or after six words where a new
phrase begins (a voice that stops after "in the" is heard to stumble). Whole sentences follow, because a voice that
sees a whole sentence sounds better. No character other than white space is ever lost, added or moved.
"""

import re
from typing import Final

FIRST_WORDS: Final = 6  # two seconds of speech: longer than a voice needs to begin with the next piece
COMMA_WORDS: Final = 2  # "Yes," alone is over before the next piece can be ready
LONGEST: Final = 300  # characters; a sentence without an end still has to be said

# What begins a phrase, so that a breath before it is natural; English, Dutch, German, French.
_STARTS: Final = """
and but or because so if when while where which who that than with without from for to at in on by until after before
en maar of omdat dus als wanneer terwijl waar die dat met zonder van voor naar bij tot na
und aber oder weil wenn wo mit ohne von vom für zu zum zur nach bis vor
et mais ou parce quand où qui que avec sans de du pour vers chez jusque avant après
"""
# What no phrase ends with.
_OPEN: Final = """
a an the is are was be do does can will your our my his her its not no very
een de het is zijn kan uw ons mijn der die das ein eine ist sind kann le la les un une est sont
"""
_PHRASE_STARTS: Final = frozenset(_STARTS.split())
_NOT_LAST: Final = _PHRASE_STARTS | frozenset(_OPEN.split())

_SENTENCE = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]|\n")
_COMMA = re.compile(r"[,;:—–](?=\s)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|\d{1,3}|[A-Za-z]\.[A-Za-z]|e\.g|i\.e|a\.m|p\.m|etc|vs|approx|dr|mr|mrs|ms|mx|prof|st|ave|no|nr|tel"
    r"|ext|jr|sr|inc|ltd|dept|bijv|bv|dhr|mevr|mw|ca|blz|incl|excl|evt|nl|bzw|usw|ggf|z\.b|d\.h|str|mme|mlle|env|apt)$",
    re.IGNORECASE,
)


class Clauses:
    """Feed it text as it streams; take the pieces that are ready."""

    __slots__ = ("_buffer", "_first")

    def __init__(self) -> None:
        self._buffer = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        """Add `text`; return the pieces that are complete now, without surrounding white space."""
        self._buffer += text
        pieces: list[str] = []
        while (end := self._end()) is not None:
            self._take(end, pieces)
        return pieces

    def flush(self) -> list[str]:
        """Return what is left: the model has finished, or turned to a tool."""
        pieces: list[str] = []
        self._take(len(self._buffer), pieces)
        return pieces

    def _take(self, end: int, pieces: list[str]) -> None:
        piece, self._buffer = self._buffer[:end].strip(), self._buffer[end:]
        if piece:
            pieces.append(piece)
            self._first = False

    def _end(self) -> int | None:
        ends = [_sentence_end(self._buffer), _too_long(self._buffer)]
        if self._first:
            ends.append(_first_clause_end(self._buffer))
        return min((end for end in ends if end is not None), default=None)


def _sentence_end(buffer: str) -> int | None:
    for match in _SENTENCE.finditer(buffer):
        if match.group() != "." or not _ABBREVIATION.search(buffer, 0, match.start()):
            return match.end()
    return None


def _first_clause_end(buffer: str) -> int | None:
    for match in _COMMA.finditer(buffer):
        if len(buffer[: match.start()].split()) >= COMMA_WORDS:
            return match.end()
    words = list(re.finditer(r"\S+(?=\s+\S+\s)", buffer))  # the next word must be whole: "to" may become "today"
    for match in words[FIRST_WORDS - 1 :]:
        # never inside a dictated number, nor where a full stop may yet turn out to be an abbreviation's
        following = buffer[match.end() :].split(maxsplit=1)[0]
        ends_open = match.group()[-1].isdigit() or match.group()[-1] == "."
        if not ends_open and following.lower() in _PHRASE_STARTS and match.group().lower() not in _NOT_LAST:
            return match.end()
    return None


def _too_long(buffer: str) -> int | None:
    if len(buffer) <= LONGEST:
        return None
    commas = [match.end() for match in _COMMA.finditer(buffer, 0, LONGEST)]
    if commas:
        return commas[-1]
    space = buffer.rfind(" ", 1, LONGEST)
    return space if space > 0 else LONGEST
