"""Where a word begins, for want of word times: speech dips between words, and the deepest dips are closest to it."""

from typing import Final

import numpy as np

from sovereign_pbx.media.levels import Samples, window_dbfs

STEP_MS: Final = 10.0
REACH_MS: Final = 500.0  # nine words in ten are shorter
CLEAR_DB: Final = 18.0  # this far below the loudest of the last second is the gap between two words
DIP_DB: Final = 8.0  # and this far one between two syllables


def word_start(lately: Samples, rate: int) -> int:
    """Where in `lately`, the samples played last, the word that they end in begins.

    Behind the nearest clear gap within `REACH_MS` of the end; without one behind the quietest moment, if it is quiet
    enough to lie between two syllables. Otherwise, and where the end itself is quiet, the end.
    """
    step = int(rate * STEP_MS / 1000)
    level = window_dbfs(lately[lately.size % step :], rate, STEP_MS)
    if not level.size:
        return lately.size
    near = level[-int(REACH_MS / STEP_MS) :]
    clear = np.flatnonzero(near < level.max() - CLEAR_DB)
    at = int(clear[-1]) if clear.size else near.size - 1 - int(near[::-1].argmin())
    if near[at] > level.max() - DIP_DB:
        return lately.size
    return lately.size - (near.size - at - 1) * step
