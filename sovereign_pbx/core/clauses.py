"""Streamed model text, cut into pieces that a voice can begin with.

The first piece is the one the caller waits for, so it leaves early: at a comma, or after six words where a new
phrase begins (a voice that stops after "in the" is heard to stumble). Whole sentences follow, because a voice that
sees a whole sentence sounds better. Abbreviations, numbers, addresses and audio tags are never cut. No character other
than white space is ever lost, added or moved.
"""

import re
from typing import Final

from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.speakable import TAG
from sovereign_pbx.core.spoken import de, en, fr, nl

FIRST_WORDS: Final = 6  # two seconds of speech: longer than a voice needs to begin with the next piece
COMMA_WORDS: Final = 2  # "Yes," alone is over before the next piece can be ready,
FIRST_MS: Final = 800.0  # and so is "Ja, hoor,": the next clause takes 0.2 s of tokens and up to 0.5 s of a voice
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
_GAP = re.compile(r"(?<!\d)\s|\s(?!\d)")  # not within "06 12 34 56 78"
_TRIES: Final = 20
_COMMA = re.compile(r"[,;:—–](?=\s)")
_WORD_BEFORE = re.compile(r"(?:^|[\s(])(\S{1,12})$")
_INITIAL = re.compile(r"(?:[^\W\d_]|\d{1,3}|(?:[^\W\d_]\.)+[^\W\d_])$")  # "J.", "20. November", "e.g."
_LONGEST_TAG: Final = 60

# Every abbreviation that we know to put into words, and some that are said as they are written.
_LANGUAGES: Final = (nl.LEXICON, en.LEXICON, de.LEXICON, fr.LEXICON)
_OTHERS: Final = "sr jr inc ltd mx st nl bv ca env apt pp ext ing ex fr hr"
_ABBREVIATIONS: Final = frozenset(
    word.rstrip(".").lower() for each in _LANGUAGES for word in each.abbreviations if word.endswith(".")
) | frozenset(_OTHERS.split())
# Those that are words of their own unless a figure follows ("no."), and those that often end a sentence as well.
_BEFORE_FIGURES: Final = frozenset(word.rstrip(".").lower() for each in _LANGUAGES for word in each.before_figures)
_KEEP_STOP: Final = frozenset(word.rstrip(".").lower() for each in _LANGUAGES for word in each.keep_stop)


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
        if (match.group() != "." or _stops(buffer, match.start())) and not _in_tag(buffer, match.end()):
            return match.end()
    return None


def _stops(buffer: str, at: int) -> bool:
    """Whether the full stop ends a sentence, not an abbreviation; where what follows must tell, once it is there."""
    found = _WORD_BEFORE.search(buffer, max(0, at - 14), at)
    word = found[1].lower() if found else ""
    following = buffer[at + 1 :].lstrip()[:1]
    if word in _BEFORE_FIGURES:
        return bool(following) and not following.isdecimal()
    if word in _KEEP_STOP:
        return following.isupper()
    return word not in _ABBREVIATIONS and not _INITIAL.match(word)


def _in_tag(buffer: str, at: int) -> bool:
    """Inside "[excited, fast]", which belongs to what follows it and must reach the voice whole."""
    opened = buffer.rfind("[", max(0, at - _LONGEST_TAG), at)
    return opened >= 0 and "]" not in buffer[opened:at]


def _first_clause_end(buffer: str) -> int | None:
    said = TAG.sub(_blank, buffer)  # tags are no words, and take no time
    for match in _COMMA.finditer(said):
        first = said[: match.end()]
        long_enough = len(first.split()) >= COMMA_WORDS and estimate_ms(first) >= FIRST_MS
        if long_enough and not _in_tag(said, match.end()):
            return match.end()
    words = list(re.finditer(r"\S+(?=\s+\S+\s)", said))  # the next word must be whole: "to" may become "today"
    for match in words[FIRST_WORDS - 1 :]:
        # never inside a dictated number, nor where a full stop may yet turn out to be an abbreviation's
        following = said[match.end() :].split(maxsplit=1)[0]
        ends_open = match.group()[-1].isdigit() or match.group()[-1] == "." or _in_tag(said, match.end())
        if not ends_open and following.lower() in _PHRASE_STARTS and match.group().lower() not in _NOT_LAST:
            return match.end()
    return None


def _blank(tag: re.Match[str]) -> str:
    return " " * len(tag.group())


def _too_long(buffer: str) -> int | None:
    if len(buffer) <= LONGEST:
        return None
    commas = [match.end() for match in _COMMA.finditer(buffer, 0, LONGEST) if not _in_tag(buffer, match.end())]
    if commas:
        return commas[-1]
    spaces = [match.start() for match in _GAP.finditer(buffer, 1, LONGEST + 1) if match.start() < LONGEST]
    whole = [at for at in spaces[-_TRIES:] if not _in_tag(buffer, at)]
    return whole[-1] if whole else spaces[-1] if spaces else LONGEST
