"""From 8 to 16 kHz for the models: all calls in one matrix product, float out, 1 ms behind the input."""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.media.resample import filter_bank

MODEL_RATE: Final = 16000
_HALF_WIDTH_MS: Final = 1.0  # the models are not choosy: half the filter of a voice path scores the same
_BLOCK: Final = 32
_BANK: Final = filter_bank(PHONE_RATE, MODEL_RATE, _HALF_WIDTH_MS)
_TAPS: Final = _BANK.shape[1]
# OpenBLAS spreads a product of more than 262144 multiplications over all cores, and its threads then spin for each
# other: measured, that doubled the cost of a tick with 100 calls. 80 rows of (48, 64) stay below.
_ONE_THREAD_ROWS: Final = 80
HISTORY: Final = _TAPS - 1  # samples at 8 kHz that the filter wants to see before the first one it converts


def _upsampling_matrix() -> NDArray[np.float32]:
    """Turns a block of s16 samples at 8 kHz (with the filter's reach before it) into floats at 16 kHz."""
    matrix = np.zeros((_BLOCK + HISTORY, _BLOCK * 2), dtype=np.float32)
    for at in range(_BLOCK):
        matrix[at : at + _TAPS, at * 2 : at * 2 + 2] = _BANK.T
    matrix /= 32768
    return matrix


_UPSAMPLING: Final = _upsampling_matrix()


def upsample_windows(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of 8 kHz samples, each with the filter's history in front, at 16 kHz: (n, m + history) -> (n, 2 m).

    `m` is a multiple of 32. Samples are in s16 units, the result in [-1, 1].
    """
    rows, width = samples.shape
    blocks = (width - HISTORY) // _BLOCK
    reach = _BLOCK + HISTORY
    step = samples.strides[1]
    cut = as_strided(
        samples,
        (rows, blocks, reach),
        (samples.strides[0], step * _BLOCK, step),
        writeable=False,
    )
    flat = cut.reshape(rows * blocks, reach)
    out = np.empty((rows * blocks, _BLOCK * 2), dtype=np.float32)
    for at in range(0, rows * blocks, _ONE_THREAD_ROWS):
        np.matmul(flat[at : at + _ONE_THREAD_ROWS], _UPSAMPLING, out=out[at : at + _ONE_THREAD_ROWS])
    return out.reshape(rows, blocks * _BLOCK * 2)


def upsample(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """A stretch of 8 kHz samples as 16 kHz floats in [-1, 1], for the models."""
    padded = -(-samples.size // _BLOCK) * _BLOCK
    row = np.zeros((1, padded + HISTORY), dtype=np.float32)
    row[0, HISTORY : HISTORY + samples.size] = samples
    return upsample_windows(row)[0, : samples.size * 2]
