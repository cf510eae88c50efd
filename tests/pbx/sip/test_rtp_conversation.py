"""Two ends talk over real sockets, and the way between them loses, doubles and delays."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import uvloop

from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.rtp_ports import Address, RtpPorts, RtpSocket
from sovereign_pbx.pbx.sip.rtp_session import RtpSession
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.wire.negotiation import Agreed, Encryption, agreed, answer, offer
from tests.pbx.sip.rtp_rig import frames, tone

TICKS = 100


@dataclass
class Way:
    """A relay on a port of its own, which treats datagrams badly."""

    socket: RtpSocket
    ends: dict[int, int]  # from whose port to whose
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    loss: float = 0.0
    spread_s: float = 0.0
    lost: int = 0

    def carry(self, data: bytes, sender: Address) -> None:
        to = ("127.0.0.1", self.ends[sender[1]])
        if self.chance.random() < self.loss:
            self.lost += 1
            return
        delay_s = self.chance.random() * self.spread_s
        asyncio.get_running_loop().call_later(delay_s, self.socket.send, data, to)


class End:
    """One end: its link, what it heard, what it was pressed."""

    def __init__(self, link: RtpLink) -> None:
        self.link, self.heard, self.digits = link, b"", ""
        link.listener = self

    def digit(self, digit: str) -> None:
        self.digits += digit

    def ended(self, how: LinkEnded) -> None: ...

    def tick(self, frame: bytes) -> None:
        for _ in range(2):
            self.heard += self.link.take() or b""
        self.link.put(frame)


@asynccontextmanager
async def call(codec: str, srtp: Encryption, loss: float, spread_s: float) -> AsyncIterator[tuple[End, End, Way]]:
    """Two sessions that agreed on `codec`, each sending to the relay between them."""
    block = reserve_ports()
    ports = RtpPorts("127.0.0.1", *block.rest)
    one, other, between = [await ports.open() for _ in range(3)]
    way = Way(between, {one.port: other.port, other.port: one.port}, loss=loss, spread_s=spread_s)
    between.listen(way.carry, way.carry)
    theirs = offer(host="127.0.0.1", port=one.port, codecs=(codec,), srtp=srtp)
    there, reply = answer(theirs, host="127.0.0.1", port=other.port, codecs=(codec,), srtp=srtp)
    here = agreed(theirs, reply)
    sessions = [RtpSession(one), RtpSession(other)]
    for session, found in zip(sessions, (here, there), strict=True):
        session.begin(over(found, between.port))
    yield End(sessions[0].link(here.rate)), End(sessions[1].link(there.rate)), way
    for session in sessions:
        session.close()
    between.close()
    for socket in (one, other, between):
        await socket.closed()
    block.release()


def over(found: Agreed, port: int) -> Agreed:
    return replace(found, remote=("127.0.0.1", port), rtcp=("127.0.0.1", port))


def gaps_ms(pcm: bytes, rate: int) -> list[float]:
    """How long each stretch is that is much quieter than the tone."""
    size = rate // 200
    samples = samples_of(pcm)
    levels = np.abs(samples[: samples.size // size * size].reshape(-1, size)).max(axis=1) > 1500
    found, run = [], 0
    for loud in levels:
        if loud and run:
            found.append(run * 5.0)
        run = 0 if loud else run + 1
    return found


@pytest.mark.parametrize(
    ("codec", "srtp", "loss", "spread_s"),
    [("PCMU", "off", 0.05, 0.04), ("G722", "required", 0.03, 0.03), ("L16", "off", 0.0, 0.0)],
)
def test_a_conversation_over_a_bad_way_has_no_long_gaps(
    codec: str, srtp: Encryption, loss: float, spread_s: float
) -> None:
    async def run() -> None:
        async with call(codec, srtp, loss, spread_s) as (one, other, way):
            rate = one.link.rate
            said = frames(tone(rate, TICKS * 0.02), rate)
            loop = asyncio.get_running_loop()
            due = loop.time()
            for frame in said:
                one.tick(frame)
                other.tick(frame)
                due = max(due + 0.02, loop.time())  # where the machine stood still, so did both ends
                await asyncio.sleep(due - loop.time())
            for end in (one, other):
                assert len(end.heard) >= 0.9 * TICKS * rate // 50 * 2
                quality = end.link.quality()
                assert quality is not None and quality.codec.startswith(codec)
                assert (quality.loss_percent > 0) == (way.lost > 0)
                # A fade lasts 60 ms; two packets may be lost in a row, and a stalled machine is not held against us.
                long = [gap for gap in gaps_ms(end.heard[len(end.heard) // 10 :], rate) if gap > 100]
                assert len(long) <= 1

    uvloop.run(run())
