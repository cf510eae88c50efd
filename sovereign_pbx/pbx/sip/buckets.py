"""So much a second for each address, and no more: answers that cost the asker nothing must not be had without end."""

from collections import OrderedDict
from typing import Final

REMEMBERED: Final = 4_096


class Buckets:
    """A bucket of `burst` answers for each address, filled again at `per_s`. The address that has been quiet for
    longest is forgotten when there are too many."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, now: float) -> bool:
        """One answer for this address; False when it has had enough for the moment."""
        level, at = self._levels.pop(address, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._per_s)
        allowed = level >= 1
        self._levels[address] = (level - 1 if allowed else level, now)
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        return allowed
