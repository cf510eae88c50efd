"""A phone's ear: keeps every RTP packet with its arrival, so that what was heard can be rebuilt and measured."""

from dataclasses import dataclass
from itertools import pairwise

from sovereign_pbx.testing.g722_phone import G722, G722Ear
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.rtp_packet import DECODE, DIGITS, EVENT, HEADER, RATE, TELEPHONE_EVENT


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet as it arrived; `payload` still coded."""

    at: float
    sequence: int
    timestamp: int
    payload_type: int
    marker: bool
    source: int
    payload: bytes
    pcm: bytes = b""  # at 8 kHz; none in what is no audio


@dataclass(frozen=True, slots=True)
class HeardDigit:
    """A DTMF digit heard as a telephone event."""

    at: float
    digit: str


class RtpEar:
    """Takes packets in; `heard` has the audio by arrival, `by_timestamp` as the sender placed it. Both are at 8 kHz;
    `wide` is what came as G.722, at 16 kHz. With `keep=False` neither packets nor sound are kept, only how loud it was
    and when."""

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._g722: G722Ear | None = None
        self.packets: list[RtpPacket] = []
        self.digits: list[HeardDigit] = []
        self.heard = Heard(RATE, keep_audio=keep)
        self._events: set[tuple[int, int]] = set()

    def take(self, data: bytes, at: float) -> None:
        """One datagram; what is no RTP is passed over, as a phone would."""
        if len(data) < HEADER.size or data[0] >> 6 != 2:
            return
        first, second, sequence, timestamp, source = HEADER.unpack_from(data)
        start = HEADER.size + 4 * (first & 0x0F)
        if first & 0x10 and len(data) >= start + 4:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        kind, payload = second & 0x7F, data[start:]
        pcm = self._decode(kind, payload)
        packet = RtpPacket(at, sequence, timestamp, kind, bool(second & 0x80), source, payload, pcm)
        if self._keep:
            self.packets.append(packet)
        self._understand(packet)

    @property
    def wide(self) -> bytes:
        return bytes(self._g722.wide) if self._g722 is not None else b""

    def _decode(self, payload_type: int, payload: bytes) -> bytes:
        if payload_type == G722:
            self._g722 = self._g722 or G722Ear()
            return self._g722.decode(payload)
        decode = DECODE.get(payload_type)
        return decode(payload) if decode is not None else b""

    def _understand(self, packet: RtpPacket) -> None:
        if packet.pcm:
            self.heard.add(packet.at, packet.pcm)
        elif packet.payload_type == TELEPHONE_EVENT and len(packet.payload) >= EVENT.size:
            event = (packet.timestamp, packet.payload[0])
            if event not in self._events:
                self._events.add(event)
                self.digits.append(HeardDigit(packet.at, DIGITS[event[1] & 0x0F]))

    def audio_packets(self) -> list[RtpPacket]:
        return [packet for packet in self.packets if packet.pcm]

    def sequence_gaps(self) -> int:
        """How many packets are missing between the first and the last."""
        numbers = [packet.sequence for packet in self.packets]
        steps = ((after - before) & 0xFFFF for before, after in pairwise(numbers))
        return sum(step - 1 for step in steps if step)

    def by_timestamp(self) -> tuple[float, bytes]:
        """(arrival of the first packet, PCM with every sample where its RTP timestamp puts it, silence between)."""
        packets = self.audio_packets()
        if not packets:
            return 0.0, b""
        base = packets[0].timestamp
        audio = bytearray()
        for packet in packets:
            place = ((packet.timestamp - base) & 0xFFFFFFFF) * 2
            if place > 2 * RATE * 3600:  # another stream's clock: not to be placed on this one
                continue
            audio.extend(bytes(max(0, place + len(packet.pcm) - len(audio))))
            audio[place : place + len(packet.pcm)] = packet.pcm
        return packets[0].at, bytes(audio)
