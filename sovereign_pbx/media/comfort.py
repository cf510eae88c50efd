"""Comfort noise: what the caller hears while nobody speaks.

Digital silence sounds like a dropped line, so an answered call always carries a faint hiss. The noise is made once
per rate and handed out frame by frame; nothing is computed while a call runs.
"""

from functools import lru_cache
from itertools import count
from typing import Final

import numpy as np

from sovereign_pbx.core.audio import frame_samples

# -60 dBm0 is 16 units rms, two of the smallest steps of µ-law and one of A-law: quiet enough not to be noticed, loud
# enough to survive either codec. Much below it a decoder turns the noise back into digital silence.
LEVEL_DBM0: Final = -60.0
_FULL_SCALE_SINE_DBM0: Final = 3.14  # G.711: the sine that just reaches full scale is +3.14 dBm0
_FRAMES: Final = 97  # 1.94 s and prime, so that two calls which begin together don't hiss in step for long
_starts = count()


@lru_cache(maxsize=8)
def _table(rate: int) -> tuple[bytes, ...]:
    generator = np.random.default_rng(rate)
    white = generator.standard_normal(_FRAMES * frame_samples(rate))
    # A short low-pass takes the sharpness off, as room and handset do; wrapping round keeps the loop seamless.
    soft = white + 0.6 * np.roll(white, 1) + 0.3 * np.roll(white, 2)
    level = 32768 / np.sqrt(2) * 10 ** ((LEVEL_DBM0 - _FULL_SCALE_SINE_DBM0) / 20)
    samples = np.rint(soft / soft.std() * level).astype("<i2").reshape(_FRAMES, -1)
    return tuple(row.tobytes() for row in samples)


class ComfortNoise:
    """An endless row of 20 ms noise frames at `rate` Hz; each instance starts elsewhere in the loop."""

    __slots__ = ("_at", "_frames")

    def __init__(self, rate: int) -> None:
        self._frames = _table(rate)
        self._at = next(_starts) * 31 % _FRAMES

    def next_frame(self) -> bytes:
        """The next frame; no allocation."""
        at = self._at
        self._at = at + 1 if at + 1 < _FRAMES else 0
        return self._frames[at]
