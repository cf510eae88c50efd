"""AudioSocket: one byte kind, two bytes length (big-endian), payload. Samples are little-endian.

Source: Asterisk 22.10 `res_audiosocket.c` and `chan_audiosocket.c`. The first frame on a connection is the call's
UUID. Rates other than 8 kHz (0x11…0x18) exist since Asterisk 20.17 and 22.7; the dialplan application `AudioSocket()`
always speaks 8 kHz.
"""

import struct
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sovereign_pbx.wire.malformed import Malformed

HANGUP: Final = 0x00
ID: Final = 0x01
DTMF: Final = 0x03
SLIN8: Final = 0x10
ERROR: Final = 0xFF

RATE_OF_KIND: Final[Mapping[int, int]] = {
    0x10: 8000,
    0x11: 12000,
    0x12: 16000,
    0x13: 24000,
    0x14: 32000,
    0x15: 44100,
    0x16: 48000,
    0x17: 96000,
    0x18: 192000,
}
KIND_OF_RATE: Final[Mapping[int, int]] = {rate: kind for kind, rate in RATE_OF_KIND.items()}

ID_BYTES: Final = 16
DIGITS: Final = "0123456789*#ABCDabcd"

# Asterisk itself drops a frame of more than 8096 samples ("Out of buffer space"); it never sends one either.
MAX_PAYLOAD: Final = 8096 * 2

HANGUP_FRAME: Final = b"\x00\x00\x00"

_HEADER: Final = struct.Struct(">BH")

Frame = tuple[int, bytes]


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One frame as ONE bytes object: Asterisk kills a call whose payload stalls for more than 5 ms behind its header.

    Raises:
        Malformed: the kind is not a byte, or the payload is longer than 16 bits can say.
    """
    if not 0 <= kind <= 0xFF or len(payload) > 0xFFFF:
        raise Malformed(f"an AudioSocket frame of kind {kind} with {len(payload)} bytes can't be encoded")
    return _HEADER.pack(kind, len(payload)) + payload


def audio_header(rate: int, payload_bytes: int) -> bytes:
    """The three bytes before `payload_bytes` bytes of audio at `rate` Hz (for callers that send one size for ever)."""
    kind = KIND_OF_RATE.get(rate)
    if kind is None:
        raise Malformed(f"AudioSocket has no kind for {rate} Hz")
    return _HEADER.pack(kind, payload_bytes)


def call_id(payload: bytes) -> UUID:
    """The UUID of an `ID` frame."""
    if len(payload) != ID_BYTES:
        raise Malformed(f"an AudioSocket UUID has 16 bytes, not {len(payload)}")
    return UUID(bytes=payload)


def digit(payload: bytes) -> str:
    """The digit of a `DTMF` frame, upper case."""
    text = payload.decode("latin-1")
    if len(text) != 1 or text not in DIGITS:
        raise Malformed(f"an AudioSocket DTMF frame holds one digit, not {payload[:4]!r}")
    return text.upper()


class Parser:
    """Cuts a byte stream into frames, whatever the network did to its packet borders."""

    __slots__ = ("_buffer", "_max_payload")

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._buffer = b""

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Every frame that `data` completes, in order; unknown kinds included.

        Raises:
            Malformed: a header announces more than `max_payload` bytes. The parser is of no use afterwards.
        """
        buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        at, size = 0, len(buffer)
        while size - at >= 3:
            length = buffer[at + 1] << 8 | buffer[at + 2]
            if length > self._max_payload:
                raise Malformed(f"an AudioSocket frame of {length} bytes is over the limit of {self._max_payload}")
            end = at + 3 + length
            if end > size:
                break
            frames.append((buffer[at], buffer[at + 3 : end]))
            at = end
        self._buffer = buffer[at:]
        return frames
