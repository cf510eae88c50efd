"""How often somebody may ask (contract §17): so many in a window that begins with the first."""

import math
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left. `reset_at`: Unix seconds at which it is whole again. `retry_after_s`: 0 while there is some."""

    limit: int
    remaining: int
    reset_at: int
    retry_after_s: int = 0

    @property
    def exhausted(self) -> bool:
        return self.retry_after_s > 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every answer."""
        shown = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }
        return shown | ({"Retry-After": str(self.retry_after_s)} if self.exhausted else {})


class Limiter:
    """Counts for many at once, and forgets the longest unseen beyond `most`."""

    def __init__(self, limit: int, window_s: float = 60.0, *, most: int = 10_000) -> None:
        self.limit = limit
        self._window_s = window_s
        self._most = most
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, who: str, now: float) -> Allowance:
        """Count one request of `who` at `now` (Unix seconds), unless there is nothing left."""
        began, used = self._windows.get(who, (now, 0))
        if not began <= now < began + self._window_s:  # over, or the clock was set back
            began, used = now, 0
        ends = began + self._window_s
        if used >= self.limit:
            return Allowance(self.limit, 0, math.ceil(ends), max(1, math.ceil(ends - now)))
        self._windows[who] = (began, used + 1)
        self._windows.move_to_end(who)
        while len(self._windows) > self._most:
            self._windows.popitem(last=False)
        return Allowance(self.limit, self.limit - used - 1, math.ceil(ends))
