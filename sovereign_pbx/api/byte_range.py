"""Which part of a file a request wants (RFC 9110 §14)."""

import re
from dataclasses import dataclass
from typing import Final

_ONE: Final = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` up to `end`, which is not included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Unsatisfiable(Exception):
    """Nothing of what is asked for is in the file."""


def part_of(header: str, size: int) -> Part | None:
    """The part that a Range header names. None for all that may be answered with the whole file: no header, another
    unit, several ranges, or no range at all. Raises Unsatisfiable."""
    found = _ONE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        wanted = min(int(found[2]), size)
        if not wanted:
            raise Unsatisfiable
        return Part(size - wanted, size)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Part(first, min(last + 1, size))
