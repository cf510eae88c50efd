"""When 20 ms ticks are due: an absolute schedule, pure. Late, it catches up a little, then starts afresh."""

from typing import Final, NamedTuple

from sovereign_pbx.core.audio import FRAME_S

# Two missed frames are sent at once with the one that is due: 40 ms of lead, what a phone's jitter buffer bridges.
# More would reach the phone as a burst that it throws away.
MOST_CAUGHT_UP: Final = 2
EARLY_S: Final = 0.001  # event loops round their timers to a millisecond; waking again for the rest would spin


class Due(NamedTuple):
    """`ticks` to run now; `skipped` ticks that were given up by anchoring anew; `lag_s` behind the schedule."""

    ticks: int
    skipped: int
    lag_s: float


class Schedule:
    """Ticks at `start`, `start` + 20 ms, …: the n-th is due at start + n · 20 ms however late the others ran."""

    __slots__ = ("_anchor", "_done", "caught_up", "late", "reanchored", "skipped", "worst_lag_s")

    def __init__(self, start: float) -> None:
        self._anchor = start
        self._done = 0
        self.late = 0
        self.caught_up = 0
        self.reanchored = 0
        self.skipped = 0
        self.worst_lag_s = 0.0

    @property
    def next_at(self) -> float:
        """When the next tick is due."""
        return self._anchor + self._done * FRAME_S

    def resume(self, now: float) -> None:
        """Begin afresh: the next tick is due one frame after `now`, and what is missing was not needed."""
        self._anchor, self._done = now, 1

    def due(self, now: float) -> Due:
        """What is to be done at `now`; the ticks it names count as done. Early: nothing."""
        lag = now - self.next_at
        if lag < -EARLY_S:
            return Due(0, 0, 0.0)
        self.worst_lag_s = max(self.worst_lag_s, lag)
        missed = int(max(lag, 0.0) / FRAME_S)
        if missed == 0:
            self._done += 1
            return Due(1, 0, lag)
        self.late += 1
        if missed <= MOST_CAUGHT_UP:
            self.caught_up += missed
            self._done += missed + 1
            return Due(missed + 1, 0, lag)
        self.reanchored += 1
        self.skipped += missed
        self._anchor, self._done = now, 1
        return Due(1, missed, lag)
