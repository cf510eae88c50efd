"""Where the time of a turn goes: one stop-watch that always runs for exactly one part.

Because a part begins where the one before ends, the parts sum to the whole: from the caller's last speech
sample to the first sample of the answer. A filler phrase is not the answer and does not stop the watch.
"""

from typing import Literal

from sovereign_pbx.core.values import TurnTiming

Part = Literal["endpointing", "stt", "llm", "tool", "clause", "tts", "link"]


class Timeline:
    """The stop-watch of one turn. Times in seconds on the conversation's clock."""

    __slots__ = ("_ended", "_part", "_since", "_spent")

    def __init__(self, started_at: float, part: Part = "endpointing") -> None:
        self._spent: dict[Part, float] = {}
        self._part: Part = part
        self._since = started_at
        self._ended = False

    @property
    def part(self) -> Part:
        return self._part

    @property
    def ended(self) -> bool:
        return self._ended

    def enter(self, part: Part, now: float) -> None:
        """From `now` on the time belongs to `part`. No-op once the first sample is out."""
        if self._ended or part == self._part:
            return
        self._account(now)
        self._part = part

    def end(self, now: float) -> None:
        """The first sample of the answer went out."""
        if not self._ended:
            self._account(now)
            self._ended = True

    def timing(self) -> TurnTiming | None:
        """The parts in milliseconds, or None when no answer was ever heard."""
        if not self._ended:
            return None
        return TurnTiming(**{f"{part}_ms": seconds * 1000 for part, seconds in self._spent.items()})

    def _account(self, now: float) -> None:
        now = max(now, self._since)
        self._spent[self._part] = self._spent.get(self._part, 0.0) + now - self._since
        self._since = now
