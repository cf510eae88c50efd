"""Change of sample rate with a short linear-phase FIR: about 2 ms of delay, no internal blocks.

General-purpose resamplers work in blocks and hold 20 to 100 ms back when fed 20 ms frames; a call can't afford that.
Coefficients are whole multiples of 2^-20 and sums are taken in float64, so every product and sum is exact: the output
depends on the samples alone, never on how the stream was cut into chunks.
"""

from functools import lru_cache
from math import gcd
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.media.levels import samples_of

HALF_WIDTH_MS: Final = 2.0  # one side of the impulse response, which is the delay
_KAISER_BETA: Final = 6.0  # about 63 dB of stop-band attenuation
_QUANTUM: Final = float(1 << 20)
_RATES: Final = (8000, 192_000)


@lru_cache(maxsize=32)
def filter_bank(src: int, dst: int, half_width_ms: float = HALF_WIDTH_MS) -> NDArray[np.float64]:
    """The polyphase filters from `src` to `dst` Hz, shape (phases, taps), each row summing to one.

    Row p, applied to `taps` consecutive input samples, gives the output that lies p/phases of an input sample after
    the newest of them, delayed by (taps - 1) / 2 input samples.
    """
    phases = dst // gcd(src, dst)
    slow = min(src, dst)
    taps = 2 * round(half_width_ms / 1000 * src) + 1
    # Half amplitude 4 % below half the slower rate. At 8 kHz: flat to 3.4 kHz, -60 dB from 4.35 kHz; what lies between
    # 4 and 4.35 kHz folds to above 3.65 kHz, where no telephone listens.
    cutoff = 0.48 * slow / src * 2
    centre = (taps - 1) / 2
    at = np.arange(taps)[::-1][None, :] - centre + (np.arange(phases) / phases)[:, None]
    edge = np.clip(1 - (at / (centre + 1)) ** 2, 0, None)
    bank = np.sinc(at * cutoff) * np.i0(_KAISER_BETA * np.sqrt(edge))
    bank /= bank.sum(axis=1, keepdims=True)
    quantised: NDArray[np.float64] = np.rint(bank * _QUANTUM) / _QUANTUM
    return quantised


def _checked(rate: int) -> int:
    if not _RATES[0] <= rate <= _RATES[1]:
        raise ValueError(f"sample rate {rate} Hz is outside {_RATES[0]} … {_RATES[1]}")
    return rate


class Resampler:
    """A stream of s16le mono PCM from `src` to `dst` Hz, in chunks of any size.

    The output is `delay_ms` behind the input; over the stream's life it has as many samples as dst / src asks for.
    """

    def __init__(self, src: int, dst: int) -> None:
        self.src, self.dst = _checked(src), _checked(dst)
        common = gcd(src, dst)
        self._up, self._down = dst // common, src // common
        self._bank = filter_bank(src, dst)
        self.taps = self._bank.shape[1]
        self.delay_ms = 0.0 if src == dst else (self.taps - 1) / 2 / src * 1000
        self._history = np.zeros(self.taps - 1)
        self._next = 0  # the next output's place on the grid of src * up Hz, counted from the next chunk's start
        self._half = b""  # the odd byte of a chunk that ended within a sample

    def process(self, pcm: bytes) -> bytes:
        """The output that `pcm` completes (may be empty)."""
        if self.src == self.dst:
            return pcm
        if self._half or len(pcm) % SAMPLE_BYTES:
            pcm = self._half + pcm
            self._half = pcm[len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES :]
        fresh = samples_of(pcm)
        if not fresh.size:
            return b""
        stretch = np.concatenate((self._history, fresh))
        self._history = stretch[fresh.size :]
        return self._filtered(stretch, fresh.size)

    def skip_delay(self) -> None:
        """Leave out the first `delay_ms` of output. Before the first `process` only."""
        self._next = (self.taps - 1) // 2 * self._up

    def _filtered(self, stretch: NDArray[np.float64], fresh: int) -> bytes:
        windows = sliding_window_view(stretch, self.taps)
        first, end = self._next, fresh * self._up
        outputs = max(0, -(-(end - first) // self._down))
        self._next = first + outputs * self._down - end
        # einsum, not a matrix product: BLAS would wake a thread on every core for these few thousand sums.
        out: NDArray[np.float64]
        if self._up == 1:
            out = np.einsum("ij,j->i", windows[first :: self._down], self._bank[0])
        elif self._down == 1:
            out = np.einsum("ij,pj->ip", windows, self._bank).reshape(-1)[first:]
        else:
            at, phase = np.divmod(np.arange(first, end, self._down), self._up)
            out = np.einsum("ij,ij->i", windows[at], self._bank[phase])
        pcm: bytes = np.clip(np.rint(out), -32768, 32767).astype("<i2").tobytes()
        return pcm


def resample(pcm: bytes, src: int, dst: int) -> bytes:
    """A whole utterance at another rate, without delay: sample n of the output is the moment n / dst of the input."""
    if _checked(src) == _checked(dst) or not pcm:
        return pcm
    converter = Resampler(src, dst)
    converter.skip_delay()
    out = converter.process(pcm + bytes(2 * SAMPLE_BYTES * converter.taps))
    wanted = len(pcm) // SAMPLE_BYTES * dst // src
    return out[: wanted * SAMPLE_BYTES]
