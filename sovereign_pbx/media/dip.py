"""Where a word begins, for want of word times: speech dips between words, and the deepest dips are closest to it."""

from typing import Final

import numpy as np

from sovereign_pbx.media.levels import Samples, window_dbfs

STEP_MS: Final = 10.0
REACH_MS: Final = 500.0  # nine words in ten are shorter
CLEAR_DB: Final = 18.0  # this far below the loudest of the last second is the gap between two words


def word_start(lately: Samples, rate: int) -> int:
    """Where in `lately`, the samples played last, the word that they end in begins.

    The nearest clear gap within `REACH_MS` of the end; without one the quietest moment. The end itself where that
    is quiet.
    """
    step = int(rate * STEP_MS / 1000)
    lately_db = window_dbfs(lately[lately.size % step :], rate, STEP_MS)
    if lately_db.size < 2:
        return int(lately.size)
    smooth = np.minimum(lately_db, np.append(lately_db[1:], lately_db[-1]))
    near = smooth[-int(REACH_MS / STEP_MS) :]
    clear = np.flatnonzero(near < lately_db.max() - CLEAR_DB)
    at = int(clear[-1]) if clear.size else int(near.argmin())
    return int(lately.size) - (near.size - at - 1) * step
