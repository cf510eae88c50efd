"""Where speech can be stopped without cutting into a sound: it dips between syllables, and deepest between words."""

from typing import Final

import numpy as np

from sovereign_pbx.media.levels import Samples, window_dbfs

STEP_MS: Final = 5.0
DIP_DB: Final = 15.0  # below the loudest of what was played lately; a vowel's own ripple stays within 10
SOFT_DBFS: Final = -60.0  # what is softer than this has no dips worth the name


def next_dip(lately: Samples, coming: Samples, rate: int) -> int:
    """How many samples of `coming` lie before its first dip; 0 where there is none, or it has begun already.

    `lately` are the samples played last, which tell how loud this voice is.
    """
    if not lately.size or not coming.size:
        return 0
    loudest = max(float(window_dbfs(part, rate, STEP_MS).max(initial=-120.0)) for part in (lately, coming))
    if loudest < SOFT_DBFS:
        return 0
    dips = np.flatnonzero(window_dbfs(coming, rate, STEP_MS) < loudest - DIP_DB)
    return int(dips[0]) * int(rate * STEP_MS / 1000) if dips.size else 0
