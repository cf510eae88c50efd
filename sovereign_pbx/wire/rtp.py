"""RTP packets (RFC 3550 §5.1), and the account of what has come from one source (§6.4.1, A.1, A.8)."""

import struct
from typing import Final, NamedTuple

from sovereign_pbx.wire.malformed import Malformed

HEADER_BYTES: Final = 12
SEQUENCES: Final = 1 << 16
TIMESTAMPS: Final = 1 << 32

_HEADER: Final = struct.Struct(">BBHII")
_MARKER: Final = 0x80
_VERSION_2: Final = 0x80

# RFC 3550 A.1: a jump within these is loss or reordering, beyond them another stream, or a stranger's.
MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = 100
_WINDOW: Final = 128  # packets back in which a second copy is noticed


class Packet(NamedTuple):
    """One packet; `payload` without padding."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    source: int
    payload: bytes


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP (RFC 5761 §4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def parse(data: bytes) -> Packet:
    """Raises Malformed."""
    if len(data) < HEADER_BYTES:
        raise Malformed("shorter than an RTP header")
    first, second, sequence, timestamp, source = _HEADER.unpack_from(data)
    if first & 0xC0 != _VERSION_2:
        raise Malformed("not of RTP version 2")
    start, end = HEADER_BYTES, len(data)
    if first & 0x3F:  # padding, an extension or contributing sources
        start, end = _payload_of(data, first)
    return Packet(second & 0x7F, bool(second & _MARKER), sequence, timestamp, source, data[start:end])


def _payload_of(data: bytes, first: int) -> tuple[int, int]:
    start, end = HEADER_BYTES + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if end < start + 4:
            raise Malformed("the extension is cut off")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:
        padding = data[-1]
        if not padding:
            raise Malformed("padding of no bytes")
        end -= padding
    if end < start:
        raise Malformed("the header says more than there is")
    return start, end


def encode(packet: Packet) -> bytes:
    second = packet.payload_type | (_MARKER if packet.marker else 0)
    return _HEADER.pack(_VERSION_2, second, packet.sequence, packet.timestamp, packet.source) + packet.payload


def difference(later: int, earlier: int, size: int) -> int:
    """later - earlier on a ring of `size`, between -size/2 and size/2 - 1."""
    return (later - earlier + size // 2) % size - size // 2


class Reception:
    """What has come from one source. `highest` counts on over wrap-arounds."""

    def __init__(self, first: int) -> None:
        self.first = self.highest = first
        self.received = self.duplicates = 0
        self.jitter = 0.0  # in units of the clock
        self.over = False
        self._seen = 0  # bit n: the packet n before the highest one has come
        self._probe: int | None = None  # the sequence that would make a jump believable
        self._transit: float | None = None
        self._reported = (0, 0)  # expected and received at the last report

    def admit(self, sequence: int) -> int | None:
        """The packet's number, counted on over wrap-arounds; None for a second copy, or for one that can't belong here.

        A jump is believed when the next packet bears it out: then `over` says that another account begins with it.
        """
        step = difference(sequence, self.highest % SEQUENCES, SEQUENCES)
        if not -MAX_MISORDER <= step < MAX_DROPOUT:
            self.over = sequence == self._probe
            self._probe = (sequence + 1) % SEQUENCES
            return None
        self._probe = None
        number = self.highest + step
        if step > 0:
            self._seen = (self._seen << min(step, _WINDOW)) & ((1 << _WINDOW) - 1)
            self.highest = number
            step = 0
        if self._seen >> -step & 1:
            self.duplicates += 1
            return None
        self._seen |= 1 << -step
        self.received += 1
        return number

    def time(self, timestamp: int, arrival: float) -> None:
        """Take a packet into the jitter: `arrival` on any clock, in units of the timestamp's."""
        transit = arrival - timestamp
        if self._transit is not None:
            d = abs((transit - self._transit + TIMESTAMPS / 2) % TIMESTAMPS - TIMESTAMPS / 2)
            self.jitter += (d - self.jitter) / 16
        self._transit = transit

    def forget_time(self) -> None:
        """The sender paused: what comes next is no measure of the network."""
        self._transit = None

    @property
    def expected(self) -> int:
        return self.highest - self.first + 1

    @property
    def lost(self) -> int:
        """Never less than 0: copies are not counted."""
        return max(0, self.expected - self.received)

    def fraction_lost(self) -> float:
        """Of what was expected since this was last asked."""
        expected, received = self.expected - self._reported[0], self.received - self._reported[1]
        self._reported = (self.expected, self.received)
        return max(0.0, (expected - received) / expected) if expected > 0 else 0.0
