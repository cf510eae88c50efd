"""A text and what a voice is given instead of it, with the way back from each spoken word to the written ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"\S+")


class Edit(NamedTuple):
    """`text[start:end]` is said as `said`."""

    start: int
    end: int
    said: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """`text` is for the voice; its word number i says what stands in the written word number `written[i]`.

    Words are runs of anything but white space, as in `core/heard.py`. `written` never decreases.
    """

    text: str
    written: tuple[int, ...]

    def after(self, other: "Spoken") -> "Spoken":
        """This form, of what was the spoken form `other`: the way back leads through both."""
        return Spoken(self.text, tuple(other.written[place] for place in self.written))


def unchanged(text: str) -> Spoken:
    """The text as it is."""
    return Spoken(text, tuple(range(len(text.split()))))


def edited(text: str, edits: Sequence[Edit]) -> Spoken:
    """`text` with `edits`, which are in order and do not overlap."""
    if not edits:
        return unchanged(text)
    owners: list[int] = []
    starts = [match.start() for match in _WORD.finditer(text)]
    parts: list[str] = []
    places: list[tuple[int, int, int]] = []  # (where a part begins in the spoken text, in `text`, index of its edit)
    at = length = 0
    for index, edit in enumerate(edits):
        for piece, origin, number in ((text[at : edit.start], at, -1), (edit.said, edit.start, index)):
            if piece:
                parts.append(piece)
                places.append((length, origin, number))
                length += len(piece)
        at = edit.end
    if at < len(text):
        parts.append(text[at:])
        places.append((length, at, -1))
    spoken = "".join(parts)
    word = place = 0
    for match in _WORD.finditer(spoken):
        last = match.end() - 1
        while place + 1 < len(places) and places[place + 1][0] <= last:
            place += 1
        begun, origin, number = places[place]
        where = origin + last - begun if number < 0 else _within(text, edits[number], last - begun)
        while word + 1 < len(starts) and starts[word + 1] <= where:
            word += 1
        owners.append(word)
    return Spoken(spoken, tuple(owners))


def _within(text: str, edit: Edit, offset: int) -> int:
    """Where in the written text a character of an edit comes from: group by group where both have as many ("020 123"),
    else in proportion."""
    groups = edit.said.count(", ") + 1
    if groups > 1:
        starts = [match.start() for match in _WORD.finditer(text, edit.start, edit.end)]
        if len(starts) == groups:
            return starts[edit.said.count(", ", 0, offset)]
    return edit.start + (offset * (edit.end - edit.start - 1)) // max(1, len(edit.said) - 1)
