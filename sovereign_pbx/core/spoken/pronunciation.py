"""Words that the voice gets wrong, and how to write them for it (contract §4.5 `speech_config.pronunciation`).

Whole words only. The contract does not say whether case counts: an entry in small letters is found however it is
written, one with a capital only as it is written, so that "IT" leaves "it" alone. The longest entry wins, then the
first. An empty `to` removes the word. What is put in is said as it is: no other rule and no other entry looks at it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sovereign_pbx.core.spoken.form import Edit

_SPACE: Final = re.compile(r"\s+")


class Pronunciation:
    """An assistant's list."""

    __slots__ = ("_pattern", "_said", "entries")

    def __init__(self, entries: Iterable[tuple[str, str]] = ()) -> None:
        """`entries`: what the text says, and what the voice is given."""
        self.entries = tuple((_SPACE.sub(" ", said.strip()), to) for said, to in entries if said.strip())
        by_length = sorted(self.entries, key=lambda entry: -len(entry[0]))
        self._said = [to for _, to in by_length]
        alternatives = (_alternative(written) for written, _ in by_length)
        self._pattern = re.compile("|".join(alternatives)) if by_length else None

    @classmethod
    def of(cls, given: Iterable[Mapping[str, Any]]) -> "Pronunciation":
        """From `speech_config.pronunciation`."""
        return cls((str(entry["from"]), str(entry["to"])) for entry in given)

    def edits(self, text: str) -> list[Edit]:
        """Where the entries stand in `text`."""
        if self._pattern is None:
            return []
        return [Edit(m.start(), m.end(), self._said[(m.lastindex or 1) - 1]) for m in self._pattern.finditer(text)]


def _alternative(written: str) -> str:
    pattern = re.escape(written).replace(r"\ ", r"\s+")
    before = r"(?<!\w)" if written[0].isalnum() else ""
    after = r"(?!\w)" if written[-1].isalnum() else ""
    return f"{before}({pattern}){after}" if written != written.lower() else f"{before}((?i:{pattern})){after}"
