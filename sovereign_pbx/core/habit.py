"""How long this caller pauses inside his turns, learnt while he speaks.

Two things teach it: a pause after which he went on within the same turn, and a turn that was taken for ended and that
he corrected by going on at once. What is learnt is the middle of the last few, so that one long search for a
document does not slow the rest of the call down.
"""

from collections import deque
from typing import Final

LEAST_S: Final = 0.2  # shorter ones are the stops of consonants and breaths, not pauses
MOST_S: Final = 3.0
REMEMBERED: Final = 9
NEEDED: Final = 2
USUAL_S: Final = 0.5  # pauses inside turns between strangers on the telephone
SPREAD_S: Final = 0.4


class Habit:
    """One caller's pauses. Seconds."""

    __slots__ = ("_pauses",)

    def __init__(self) -> None:
        self._pauses: deque[float] = deque(maxlen=REMEMBERED)

    def paused(self, pause_s: float) -> None:
        """He was silent for `pause_s` and went on with the same turn."""
        if pause_s >= LEAST_S:
            self._pauses.append(min(MOST_S, pause_s))

    @property
    def usual_s(self) -> float | None:
        """His usual pause; None before there are enough of them."""
        if len(self._pauses) < NEEDED:
            return None
        ordered = sorted(self._pauses)
        return ordered[len(ordered) // 2]

    @property
    def stretch(self) -> float:
        """From -1 (he hardly pauses) to 1 (he takes his time); 0 while nothing is known."""
        usual = self.usual_s
        return 0.0 if usual is None else min(1.0, max(-1.0, (usual - USUAL_S) / SPREAD_S))
