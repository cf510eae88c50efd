"""A plain telephone on an impaired line: it speaks µ-law, keeps what comes, and reports as RTCP asks.

It keeps what comes back for as long as the latest packet of the last five seconds needed, between 40 and 200 ms. What
comes later is thrown away, and what is missing is silence: it makes nothing up, as better telephones do.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from scripts.impairment.path import Path
from sovereign_pbx.core.audio import FRAME_S, PHONE_RATE, frame_bytes, frame_samples
from sovereign_pbx.wire import rtcp, rtp
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm
from sovereign_pbx.wire.sdp import Description

LEAST_S, MOST_S = 0.040, 0.200  # of its jitter buffer
REMEMBERS_S = 5.0
REPORT_S = 1.0
_PCMU = 0


class Phone(asyncio.DatagramProtocol):
    """`out` and `back` are its line's two directions; everything it sends and receives goes over them."""

    def __init__(self, out: Path, back: Path) -> None:
        self.out, self.back = out, back
        self._transport: Any = None
        self._target = ("", 0)
        self._source = random.getrandbits(32)
        self._sequence, self._timestamp, self._sent = random.getrandbits(16), random.getrandbits(32), 0
        self._reception: rtp.Reception | None = None
        self._heard: dict[int, tuple[float, int, bytes]] = {}  # by number: arrival, timestamp, payload
        self._far_source = 0
        self._last_report = (0, 0.0)
        self._next_report = 0.0

    @classmethod
    async def open(cls, out: Path, back: Path) -> "Phone":
        phone = cls(out, back)
        loop = asyncio.get_running_loop()
        phone._transport, _ = await loop.create_datagram_endpoint(lambda: phone, local_addr=("127.0.0.1", 0))
        return phone

    def offer(self) -> Description:
        port = self._transport.get_extra_info("sockname")[1]
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
        lines += [f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=rtcp-mux", ""]
        return Description.parse("\r\n".join(lines).encode())

    def call(self, port: int) -> None:
        """Its sound goes there from now on."""
        self._target = ("127.0.0.1", port)

    def close(self) -> None:
        self._transport.close()

    def tick(self, frame: bytes) -> None:
        """Send 20 ms; a report now and then."""
        packet = rtp.Packet(_PCMU, not self._sent, self._sequence, self._timestamp, self._source, pcm_to_ulaw(frame))
        self._sequence = (self._sequence + 1) % rtp.SEQUENCES
        self._timestamp = (self._timestamp + frame_samples(PHONE_RATE)) % rtp.TIMESTAMPS
        self._sent += 1
        self._send(rtp.encode(packet))
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + REPORT_S
            self._send(self._report(now))

    def skip(self, ticks: int) -> None:
        """The timestamp is a clock, which goes on where nobody speaks."""
        self._timestamp = (self._timestamp + ticks * frame_samples(PHONE_RATE)) % rtp.TIMESTAMPS

    def _send(self, data: bytes) -> None:
        self.out.send(lambda: self._transport.sendto(data, self._target))

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.back.send(lambda: self._arrived(data))

    def _arrived(self, data: bytes) -> None:
        now = time.monotonic()
        if rtp.is_rtcp(data):
            for one in rtcp.parse(data):
                if isinstance(one, rtcp.Report) and one.sent is not None:
                    self._last_report = (rtcp.middle(one.sent.ntp), now)
            return
        packet = rtp.parse(data)
        if self._reception is None:
            self._reception, self._far_source = rtp.Reception(packet.sequence), packet.source
        number = self._reception.admit(packet.sequence)
        if number is not None:
            self._reception.time(packet.timestamp, now * PHONE_RATE)
            self._heard[number] = (now, packet.timestamp, packet.payload)

    def _report(self, now: float) -> bytes:
        sent = rtcp.Sent(
            ntp=rtcp.ntp(time.time()), timestamp=self._timestamp, packets=self._sent, octets=self._sent * 160
        )
        return rtcp.encode(rtcp.Report(source=self._source, sent=sent, blocks=self._blocks(now)), "phone@impaired")

    def _blocks(self, now: float) -> tuple[rtcp.Block, ...]:
        reception = self._reception
        if reception is None:
            return ()
        last, came_at = self._last_report
        block = rtcp.Block(
            source=self._far_source,
            fraction_lost=reception.fraction_lost(),
            lost=reception.lost,
            highest=reception.highest,
            jitter=int(reception.jitter),
            last_report=last,
            delay=int((now - came_at) * 65536) if last else 0,
        )
        return (block,)

    def heard(self, began: float, seconds: float) -> tuple[bytes, float]:
        """(What its listener hears of what was spoken from `began` on; the share of it that was lost or late, in
        percent)."""
        size, frames = frame_bytes(PHONE_RATE), int(seconds / FRAME_S)
        pcm, missing = bytearray(frames * size), frames
        for spoken, data in self._played():
            place = round((spoken - began) / FRAME_S)
            if 0 <= place < frames:
                pcm[place * size : place * size + size] = ulaw_to_pcm(data)[:size].ljust(size, b"\0")
                missing -= 1
        return bytes(pcm), 100 * missing / max(1, frames)

    def _played(self) -> Iterator[tuple[float, bytes]]:
        """(when it would have come by the quickest way, payload) of what came in time."""
        packets = sorted(self._heard.values())
        if not packets:
            return
        base = packets[0][1]
        sent = [rtp.difference(stamp, base, rtp.TIMESTAMPS) / PHONE_RATE for _, stamp, _ in packets]
        quickest = min(at - spoken for (at, _, _), spoken in zip(packets, sent, strict=True))
        lately: deque[tuple[float, float]] = deque()
        for (at, _, data), spoken in zip(packets, sent, strict=True):
            late = at - spoken - quickest
            while lately and lately[0][0] < at - REMEMBERS_S:
                lately.popleft()
            if late <= min(MOST_S, max([LEAST_S, *(each for _, each in lately)])):
                yield spoken + quickest, data
            lately.append((at, late))
