"""A room behind the assistant's voice: a loop that never stops, mixed under speech 20 ms at a time.

It takes comfort noise's place, goes on through interruptions, and gives way a little while the assistant speaks.
Loops are made once by a thread and shared; a call keeps a place in one, and a gain.
"""

import threading
from functools import lru_cache
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.audio import FRAME_S, frame_samples
from sovereign_pbx.media.levels import FULL_SCALE, Samples, samples_of
from sovereign_pbx.media.rooms import LOOP_S, room

# Volume 1 is -29.5 dBFS rms, so that the contract's usual 0.3 is -40: a voice on the telephone lies at -20 to -26, and
# a room 15 to 20 dB below it is heard without being listened to.
FULL_DBFS: Final = -29.5
DUCK: Final = 0.63  # -4 dB while the assistant speaks
FADE_S: Final = 1.0
_PEAK: Final = 9000.0  # key strokes and birds; what is mixed under speech must leave it its room
_making = threading.Lock()
_calls = count()


class Loop:
    """A clip at a volume: its frames as bytes to be sent as they are, and as samples to be mixed."""

    def __init__(self, samples: Samples) -> None:
        rows = samples.reshape(int(LOOP_S / FRAME_S), -1)
        self.rows = rows
        self.ducked: NDArray[np.int32] = np.rint(rows * DUCK).astype(np.int32)
        self.frames = tuple(row.tobytes() for row in rows)


@lru_cache(maxsize=8)
def _samples(clip: str, rate: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = room(clip, rate).astype(np.float32)
    return found


@lru_cache(maxsize=32)
def _loop(clip: str, hundredths: int, rate: int) -> Loop:
    level = FULL_SCALE * 10 ** (FULL_DBFS / 20) * hundredths / 100
    return Loop(np.rint(np.clip(_samples(clip, rate) * level, -_PEAK, _PEAK)).astype("<i2"))


def loop(clip: str, volume: float, rate: int) -> Loop:
    """The clip at `volume` (0.05 … 1). The first time takes up to a second: call it in a thread."""
    with _making:
        return _loop(clip, round(volume * 100), rate)


class Background:
    """One call's room. Each call begins elsewhere in the loop, and fades in with equal power."""

    def __init__(self, found: Loop, rate: int) -> None:
        self._loop = found
        self._at = next(_calls) * 433 % len(found.frames)
        self._samples = frame_samples(rate)
        self._mixed = np.empty(self._samples, np.int32)
        self._nothing = np.zeros(self._samples, np.int16)
        self._fading = int(FADE_S / FRAME_S)
        self._faded = 0
        self._gain = 1.0

    def mix(self, speech: bytes | None) -> bytes:
        """The next 20 ms: `speech`, or nothing, with the room under it."""
        at = self._at
        self._at = at + 1 if at + 1 < len(self._loop.frames) else 0
        wanted = 1.0 if speech is None else DUCK
        if self._faded < self._fading or wanted != self._gain:
            behind = self._moving(self._loop.rows[at], wanted)
        elif speech is None:
            return self._loop.frames[at]
        else:
            behind = self._loop.ducked[at]
        mixed = self._mixed
        np.add(behind, self._nothing if speech is None else samples_of(speech), out=mixed)
        np.minimum(mixed, 32767, out=mixed)  # both together take half the time of np.clip
        np.maximum(mixed, -32768, out=mixed)
        return mixed.astype("<i2").tobytes()

    def _moving(self, row: Samples, wanted: float) -> NDArray[np.int32]:
        """A frame in which the gain changes, from where it was to where it is wanted."""
        gain = np.linspace(self._gain, wanted, self._samples, endpoint=False)
        self._gain = wanted
        if self._faded < self._fading:
            edges = np.linspace(self._faded, self._faded + 1, self._samples, endpoint=False) / self._fading
            self._faded += 1
            gain *= np.sin(np.pi / 2 * edges)
        return np.rint(row * gain).astype(np.int32)
