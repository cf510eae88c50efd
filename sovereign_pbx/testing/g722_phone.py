"""G.722 in a scripted phone, whose people speak and listen at 8 kHz unless a test wants all that the codec carries."""

from importlib import import_module
from typing import Any, Final

from sovereign_pbx.media.resample import Resampler
from sovereign_pbx.testing.rtp_packet import RATE

G722: Final = 9  # RFC 3551: its clock is written as 8000, its sound is at 16 kHz
WIDE_RATE: Final = 16000
_BIT_RATE: Final = 64000


def _codec() -> Any:
    """Imported by who speaks it: a telephone with G.711 does without the library."""
    return import_module("G722").G722(WIDE_RATE, _BIT_RATE)


class G722Mouth:
    """Codes one stream."""

    def __init__(self) -> None:
        self._codec = _codec()
        self._up = Resampler(RATE, WIDE_RATE)

    def encode(self, pcm: bytes) -> bytes:
        """8 kHz PCM."""
        return self.encode_wide(self._up.process(pcm))

    def encode_wide(self, pcm: bytes) -> bytes:
        """16 kHz PCM."""
        coded: bytes = self._codec.encode(memoryview(pcm).cast("h"))
        return coded


class G722Ear:
    """Decodes one stream; `wide` is all of it at 16 kHz."""

    def __init__(self) -> None:
        import G722 as library

        self.wide = bytearray()
        self._codec = library.G722(WIDE_RATE, _BIT_RATE)
        self._down = Resampler(WIDE_RATE, RATE)

    def decode(self, payload: bytes) -> bytes:
        """8 kHz PCM."""
        pcm = self._codec.decode(payload).tobytes()
        self.wide += pcm
        return self._down.process(pcm)
