"""DTMF that comes two ways, reported once."""

import time
from collections import deque
from typing import Final, Literal

Way = Literal["audio", "signalling"]

# How far apart the two reports of one key may arrive: by the sound, and by AMI or INFO. Both are made at the key's
# release, so it is milliseconds; but AMI is one stream for the whole PBX, and a mass hang-up was seen to put 3000
# events in front of it. Because reports are matched one to one, a long window can't swallow a key pressed twice: the
# second press is reported twice as well.
WINDOW_S: Final = 2.0

_MAX_UNMATCHED: Final = 64

DIGITS: Final = frozenset("0123456789*#ABCD")


class DigitsOnce:
    """For one call: whether a digit is news, or the other way's report of one that is known already."""

    def __init__(self) -> None:
        self._unmatched: dict[Way, deque[tuple[float, str]]] = {
            "audio": deque(maxlen=_MAX_UNMATCHED),
            "signalling": deque(maxlen=_MAX_UNMATCHED),
        }

    def is_news(self, way: Way, digit: str) -> bool:
        """Whether to report `digit`, seen on `way` just now."""
        now = time.monotonic()
        others = self._unmatched["signalling" if way == "audio" else "audio"]
        while others and others[0][0] < now - WINDOW_S:
            others.popleft()
        for entry in others:
            if entry[1] == digit:
                others.remove(entry)
                return False
        self._unmatched[way].append((now, digit))
        return True
