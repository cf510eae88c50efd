"""How a session's audio is coded: the telephone's own µ-law where the call is a telephone's, linear PCM elsewhere."""

import base64
import binascii
from typing import Any, Protocol

from sovereign_pbx.core.audio import PHONE_RATE, SAMPLE_BYTES
from sovereign_pbx.media.companding import pcm_to_ulaw, ulaw_to_pcm
from sovereign_pbx.media.resample import Resampler


class Code(Protocol):
    """One session's coder and decoder; both keep state."""

    format: dict[str, Any]  # as the vendors name it

    def encode(self, pcm: bytes) -> str:
        """PCM at the call's rate to base64."""

    def decode(self, text: str) -> bytes:
        """Base64 to PCM at the call's rate, whole samples. Raises ValueError."""


class Ulaw:
    """G.711 µ-law at 8 kHz: nothing is resampled, and 64 kbit/s do."""

    def __init__(self) -> None:
        self.format: dict[str, Any] = {"type": "audio/pcmu"}

    def encode(self, pcm: bytes) -> str:
        return base64.b64encode(pcm_to_ulaw(pcm)).decode()

    def decode(self, text: str) -> bytes:
        return ulaw_to_pcm(_bytes(text))


class Linear:
    """PCM at the vendor's rate, with a short FIR between where that is not the call's."""

    def __init__(self, rate: int, vendor_rate: int) -> None:
        self.format: dict[str, Any] = {"type": "audio/pcm", "rate": vendor_rate}
        self._there = Resampler(rate, vendor_rate) if rate != vendor_rate else None
        self._back = Resampler(vendor_rate, rate) if rate != vendor_rate else None
        self._odd = b""

    def encode(self, pcm: bytes) -> str:
        return base64.b64encode(self._there.process(pcm) if self._there else pcm).decode()

    def decode(self, text: str) -> bytes:
        pcm = self._odd + _bytes(text)
        whole = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
        self._odd = pcm[whole:]
        return self._back.process(pcm[:whole]) if self._back else pcm[:whole]


def code_for(rate: int, vendor_rate: int) -> Code:
    """The code for a call at `rate`; `vendor_rate` is the vendor's for linear PCM."""
    return Ulaw() if rate == PHONE_RATE else Linear(rate, vendor_rate)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError("audio that is no base64") from exc
