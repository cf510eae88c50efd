"""RTCP (RFC 3550 §6): how much has been sent, and what of it the other side received."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.wire.malformed import Malformed

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
DESCRIPTION: Final = 202
GOODBYE: Final = 203
MAX_BYTES: Final = 1500

_NTP_EPOCH_S: Final = 2_208_988_800  # 1900 to 1970
_BLOCK: Final = struct.Struct(">IIIIII")
_SENDER: Final = struct.Struct(">QIII")
_CNAME: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one side received of `source`.

    `jitter` in units of that stream's clock; `last_report` and `delay` in 1/65536 s (0: no report has come yet).
    """

    source: int
    fraction_lost: float
    lost: int  # in all; negative when copies came
    highest: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a sender has sent up to `ntp`, which is `timestamp` on its RTP clock."""

    ntp: int  # 64 bits, 32 of them seconds since 1900
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of `source`; `sent` where it sends."""

    source: int
    sent: Sent | None
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Goodbye:
    """`sources` leave."""

    sources: tuple[int, ...]


def ntp(unix_s: float) -> int:
    """64 bits of NTP time."""
    return int((unix_s + _NTP_EPOCH_S) * 2**32) & 0xFFFF_FFFF_FFFF_FFFF


def middle(time: int) -> int:
    """The middle 32 bits, as reports name a time (§6.4.1)."""
    return time >> 16 & 0xFFFF_FFFF


def round_trip_s(block: Block, now: int) -> float | None:
    """The way there and back, by a report that came at `now` (NTP); None where it tells nothing, or nonsense."""
    if not block.last_report:
        return None
    units = middle(now) - block.last_report - block.delay & 0xFFFF_FFFF
    return units / 65536 if units < 60 * 65536 else None  # a clock set back meanwhile gives hours


def parse(data: bytes) -> list[Report | Goodbye]:
    """The packets of a compound that are understood; others are passed over. Raises Malformed."""
    if len(data) > MAX_BYTES:
        raise Malformed(f"RTCP of {len(data)} bytes")
    found: list[Report | Goodbye] = []
    at = 0
    while at < len(data):
        if len(data) - at < 8 or data[at] & 0xC0 != 0x80:
            raise Malformed("not an RTCP header")
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            raise Malformed("the length says more than there is")
        packet = _packet(data[at:end])
        if packet is not None:
            found.append(packet)
        at = end
    return found


def _packet(data: bytes) -> Report | Goodbye | None:
    count, kind = data[0] & 0x1F, data[1]
    if kind == GOODBYE:
        if len(data) < 4 + 4 * count:
            raise Malformed("a goodbye is cut off")
        return Goodbye(struct.unpack_from(f">{count}I", data, 4))
    if kind not in (SENDER_REPORT, RECEIVER_REPORT) or len(data) < 8:
        return None
    start = 8 + (_SENDER.size if kind == SENDER_REPORT else 0)
    if len(data) < start + count * _BLOCK.size:
        raise Malformed("a report is cut off")
    sent = None
    if kind == SENDER_REPORT:
        time, timestamp, packets, octets = _SENDER.unpack_from(data, 8)
        sent = Sent(ntp=time, timestamp=timestamp, packets=packets, octets=octets)
    blocks = tuple(_block(data, start + number * _BLOCK.size) for number in range(count))
    return Report(source=int.from_bytes(data[4:8], "big"), sent=sent, blocks=blocks)


def _block(data: bytes, at: int) -> Block:
    source, loss, highest, jitter, last_report, delay = _BLOCK.unpack_from(data, at)
    lost = loss & 0xFF_FFFF
    return Block(
        source=source,
        fraction_lost=(loss >> 24) / 256,
        lost=lost - (1 << 24) if lost & 0x80_0000 else lost,
        highest=highest,
        jitter=jitter,
        last_report=last_report,
        delay=delay,
    )


def encode(report: Report, cname: str, leaving: bool = False) -> bytes:
    """A compound as it must be: report, description, and a goodbye if `leaving` (§6.1)."""
    parts = [_report(report), _description(report.source, cname)]
    if leaving:
        parts.append(struct.pack(">BBHI", 0x81, GOODBYE, 1, report.source))
    return b"".join(parts)


def _report(report: Report) -> bytes:
    body = report.source.to_bytes(4, "big")
    if report.sent is not None:
        sent = report.sent
        body += _SENDER.pack(sent.ntp, sent.timestamp, sent.packets & 0xFFFF_FFFF, sent.octets & 0xFFFF_FFFF)
    body += b"".join(map(_block_bytes, report.blocks))
    return _header(len(report.blocks), SENDER_REPORT if report.sent is not None else RECEIVER_REPORT, body)


def _block_bytes(block: Block) -> bytes:
    lost = min(max(block.lost, -(1 << 23)), (1 << 23) - 1) & 0xFF_FFFF
    fraction = min(255, max(0, int(block.fraction_lost * 256)))
    return _BLOCK.pack(
        block.source,
        fraction << 24 | lost,
        block.highest & 0xFFFF_FFFF,
        min(block.jitter, 0xFFFF_FFFF),
        block.last_report,
        min(block.delay, 0xFFFF_FFFF),
    )


def _description(source: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    item = bytes((_CNAME, len(name))) + name
    chunk = source.to_bytes(4, "big") + item + bytes(4 - len(item) % 4)  # at least one zero ends the list
    return _header(1, DESCRIPTION, chunk)


def _header(count: int, kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def blocks_about(reports: Sequence[Report | Goodbye], source: int) -> list[Block]:
    """What `reports` say of what `source` sent."""
    return [block for one in reports if isinstance(one, Report) for block in one.blocks if block.source == source]
