"""Payloads into PCM (s16le) and back, one object a stream and direction pair.

G.722 is the C library of Maksym Sobolyev (PyPI `G722`, public domain), the one that FreeSWITCH has: in numpy the
recommendation's sample by sample feedback would take milliseconds a frame. It belongs to the extra `sip`; where it is
not installed the codec is not offered.

Opus is not spoken. Of its bindings `opuslib` ended in 2018; `opuslib-next` is one person's and wants the system's
libopus, found by ctypes; PyAV brings a whole FFmpeg along. Every PBX turns Opus into L16 or G.722, which carry the band
that recognisers listen to.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final, Protocol

import numpy as np

from sovereign_pbx.wire.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from sovereign_pbx.wire.l16 import l16_to_pcm, pcm_to_l16


class Codec(Protocol):
    """One stream each way. `unit_bytes`: of payload for each unit of the RTP clock."""

    unit_bytes: int

    def decode(self, payload: bytes) -> bytes: ...

    def encode(self, pcm: bytes) -> bytes: ...


class _Mulaw:
    unit_bytes = 1
    decode = staticmethod(ulaw_to_pcm)
    encode = staticmethod(pcm_to_ulaw)


class _Alaw:
    unit_bytes = 1
    decode = staticmethod(alaw_to_pcm)
    encode = staticmethod(pcm_to_alaw)


class _Linear:
    unit_bytes = 2
    decode = staticmethod(l16_to_pcm)
    encode = staticmethod(pcm_to_l16)


class _Wideband:
    """G.722 at 64 kbit/s: a byte holds two samples of 16 kHz, and is one unit of a clock that says 8000."""

    unit_bytes = 1

    def __init__(self) -> None:
        from G722 import G722  # an optional library

        self._decoder, self._encoder = G722(16000, 64000), G722(16000, 64000)

    def decode(self, payload: bytes) -> bytes:
        pcm: bytes = self._decoder.decode(payload).tobytes()
        return pcm

    def encode(self, pcm: bytes) -> bytes:
        coded: bytes = self._encoder.encode(np.frombuffer(pcm, "<i2"))
        return coded


_CODECS: Final[dict[str, type[Codec]]] = {"PCMU": _Mulaw, "PCMA": _Alaw, "L16": _Linear, "G722": _Wideband}


def codec(name: str) -> Codec:
    """`name` as in `wire.formats`. Raises KeyError for a name that is none, ImportError for a missing library."""
    return _CODECS[name]()


def available(names: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` that can be spoken here."""
    return tuple(name for name in names if name != "G722" or find_spec("G722") is not None)
