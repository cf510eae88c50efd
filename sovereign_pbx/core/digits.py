"""Keys the caller presses, gathered into entries. No key ever leaves here by way of a note.

An entry that is masked is told to nobody: the model and the record get how many keys it had and a reference to it;
the keys themselves stay here, for a tool that the administrator has given them to, until the call is over.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from sovereign_pbx.core.plan import Collector

KEYS: Final = frozenset("0123456789*#ABCD")
LONGEST: Final = 64  # a stuck key or a fax must not grow the message without end
MASK: Final = "•"

Outcome = Literal["complete", "timed_out", "too_short", "cancelled", "hung_up"]
"""Of an entry that a tool has asked for. timed_out: no key at all; too_short: too few of them; cancelled: the caller
spoke instead."""


def key_of(text: str) -> str:
    """The key that was pressed, "" for what is none."""
    key = text.upper()
    return key if len(key) == 1 and key in KEYS else ""


@dataclass(slots=True)
class Collecting:
    """A tool waits for an entry. `asked`: the caller has heard what to key in, and his time runs."""

    collector: Collector
    call_id: str
    asked: bool = False


class Digits:
    """Keys that belong to no complete entry yet, and the entries that were masked."""

    __slots__ = ("_kept", "_numbers", "_pressed")

    def __init__(self) -> None:
        self._pressed = ""
        self._kept: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._pressed)

    def __repr__(self) -> str:
        return f"<Digits {len(self._pressed)} pressed>"

    def press(self, key: str) -> None:
        """Take a key; those beyond the longest entry that there can be are lost."""
        if len(self._pressed) < LONGEST:
            self._pressed += key

    def complete(self, collector: Collector) -> str | None:
        """Take the entry that the keys complete, without its finish key; None as long as it is not complete.

        What was pressed beyond it stays, for the entry that follows.
        """
        most = min(collector.most, LONGEST)
        end = self._pressed.find(collector.finish) if collector.finish else -1
        if 0 <= end <= most:
            entry, self._pressed = self._pressed[:end], self._pressed[end + 1 :]
            return entry
        if len(self._pressed) < most:
            return None
        entry, self._pressed = self._pressed[:most], self._pressed[most:]
        if collector.finish and self._pressed.startswith(collector.finish):
            self._pressed = self._pressed[1:]
        return entry

    def take(self) -> str:
        """All that was pressed."""
        pressed, self._pressed = self._pressed, ""
        return pressed

    # what others get to know of an entry

    def message(self, collector: Collector, entry: str) -> str:
        """An entry that nobody has asked for, as the caller's words; "" when nothing was pressed."""
        if not entry or not collector.mask:
            return f"DTMF: {entry}" if entry else ""
        return f"DTMF: {MASK * len(entry)} ({self._keep(collector, entry)})"

    def result(self, collector: Collector, outcome: Outcome, entry: str) -> str:
        """What a collector's tool gives back to the model, as JSON."""
        told: dict[str, object] = {"outcome": outcome}
        if collector.mask:
            told["digits"] = self._keep(collector, entry) if outcome == "complete" else MASK * len(entry)
            told["count"] = len(entry)
        else:
            told["digits"] = entry
        return json.dumps(told, ensure_ascii=False)

    def kept(self, name: str) -> str:
        """The last complete masked entry of the collector `name`; "" when there was none."""
        return self._kept.get(name, "")

    def _keep(self, collector: Collector, entry: str) -> str:
        self._kept[collector.name] = entry
        self._numbers[collector.name] += 1
        return f"{collector.name}-{self._numbers[collector.name]}"
