"""G.711 µ-law and A-law by table: one look-up a sample (about 1 µs for 20 ms).

The tables are made at import from the recommendation's own arithmetic (ITU-T G.711 §3, tables 1 and 2): 8 segments that
double in step, µ-law with a bias of 33 on 14 bits (here 132 on 16), A-law on 13 bits with every other bit inverted.
PCM is mono, signed 16-bit little-endian.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_ULAW_BIAS: Final = 132
_ULAW_CLIP: Final = 32767 - _ULAW_BIAS


def _segment(magnitude: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the segment, 0 to 7: each begins at twice the magnitude of the one before, the second at 256."""
    return np.searchsorted(256 << np.arange(7), magnitude, side="right").astype(np.int64)


def _ulaw_decoding() -> NDArray[np.int16]:
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _ULAW_BIAS << (code >> 4 & 7)) - _ULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _ulaw_encoding() -> NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.minimum(abs(sample), _ULAW_CLIP) + _ULAW_BIAS
    segment = _segment(magnitude)
    code: NDArray[np.int64] = segment << 4 | magnitude >> segment + 3 & 0x0F
    return np.asarray(~(np.where(sample < 0, 0x80, 0) | code) & 0xFF, np.uint8)


def _alaw_decoding() -> NDArray[np.int16]:
    code = np.arange(256) ^ 0x55
    segment = code >> 4 & 7
    mantissa = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, mantissa, mantissa + 0x100 << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


def _alaw_encoding() -> NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.where(sample < 0, ~sample, sample)  # ones' complement: -1 belongs to the first negative interval
    segment = _segment(magnitude)
    code: NDArray[np.int64] = segment << 4 | magnitude >> np.maximum(segment, 1) + 3 & 0x0F
    return np.asarray((np.where(sample < 0, 0, 0x80) | code) ^ 0x55, np.uint8)


_ULAW_TO_PCM: Final[NDArray[np.int16]] = _ulaw_decoding()
_PCM_TO_ULAW: Final[NDArray[np.uint8]] = _ulaw_encoding()
_ALAW_TO_PCM: Final[NDArray[np.int16]] = _alaw_decoding()
_PCM_TO_ALAW: Final[NDArray[np.uint8]] = _alaw_encoding()


def ulaw_to_pcm(coded: bytes) -> bytes:
    """Two bytes of PCM for each byte of µ-law."""
    return _ULAW_TO_PCM[np.frombuffer(coded, np.uint8)].tobytes()


def pcm_to_ulaw(pcm: bytes) -> bytes:
    """One byte of µ-law for each sample. Raises ValueError when half a sample is left over."""
    coded: bytes = _PCM_TO_ULAW[np.frombuffer(pcm, "<u2")].tobytes()
    return coded


def alaw_to_pcm(coded: bytes) -> bytes:
    """Two bytes of PCM for each byte of A-law."""
    return _ALAW_TO_PCM[np.frombuffer(coded, np.uint8)].tobytes()


def pcm_to_alaw(pcm: bytes) -> bytes:
    """One byte of A-law for each sample. Raises ValueError when half a sample is left over."""
    coded: bytes = _PCM_TO_ALAW[np.frombuffer(pcm, "<u2")].tobytes()
    return coded
