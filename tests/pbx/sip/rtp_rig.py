"""A call's RTP without a network and without waiting: a socket that keeps what is sent, and a clock that is set."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.rtp_ports import Address, Receiver, RtpSocket
from sovereign_pbx.pbx.sip.rtp_session import RtpSession
from sovereign_pbx.wire import rtp
from sovereign_pbx.wire.g711 import pcm_to_ulaw
from sovereign_pbx.wire.negotiation import Agreed, Encryption, agreed, answer, offer
from sovereign_pbx.wire.rtp import Packet

FAR, STRANGER = ("192.0.2.1", 4000), ("198.51.100.66", 7)
TICK_S = 0.02
SOURCE = 0xBEEF


class Socket:
    """What `RtpSocket` is to a session."""

    def __init__(self) -> None:
        self.port = 30000
        self.sent: list[tuple[bytes, Address]] = []
        self.reports: list[tuple[bytes, Address]] = []
        self.closed = False

    def listen(self, rtp: Receiver, rtcp: Receiver) -> None:
        self.rtp, self.rtcp = rtp, rtcp

    def send(self, data: bytes, to: Address) -> None:
        assert not self.closed
        (self.reports if rtp.is_rtcp(data) else self.sent).append((data, to))

    def send_rtcp(self, data: bytes, to: Address) -> None:
        assert not self.closed
        self.reports.append((data, to))

    def close(self) -> None:
        self.closed = True

    def statistics(self) -> dict[str, int]:
        return {}


class Listener:
    def __init__(self) -> None:
        self.digits = ""
        self.ends: list[LinkEnded] = []

    def digit(self, digit: str) -> None:
        self.digits += digit

    def ended(self, how: LinkEnded) -> None:
        self.ends.append(how)


def agreement(
    *codecs: str, srtp: Encryption = "off", offered: Sequence[str] = (), host: str = FAR[0]
) -> tuple[Agreed, Agreed]:
    """What the far side and we come to: (theirs, ours)."""
    theirs = offer(host=host, port=FAR[1], codecs=offered or codecs, srtp=srtp)
    ours, described = answer(theirs, host="192.0.2.9", port=30000, codecs=codecs, srtp=srtp)
    return agreed(theirs, described), ours


class Rig:
    """Our session, begun, with a link; the far side is played by hand. Must be made within a running loop."""

    def __init__(self, *codecs: str, srtp: Encryption = "off", rate: int = 0, **options: Any) -> None:
        self.now = 1000.0
        self.socket, self.listener = Socket(), Listener()
        self.theirs, self.agreed = agreement(*(codecs or ("PCMU",)), srtp=srtp)
        self.session = RtpSession(
            cast(RtpSocket, self.socket), now=lambda: self.now, wall=lambda: self.now + 1.7e9, **options
        )
        self.session.begin(self.agreed)
        self.link = self.attach(rate or self.agreed.rate)
        self.sequence, self.timestamp = 65_530, 2**32 - 800

    def attach(self, rate: int) -> RtpLink:
        link = self.session.link(rate)
        link.listener = self.listener
        return link

    # --- the far side

    def packet(self, payload: bytes, payload_type: int = 0, *, marker: bool = False, source: int = SOURCE) -> Packet:
        """The next packet of the stream."""
        found = Packet(payload_type, marker, self.sequence, self.timestamp, source, payload)
        self.sequence = (self.sequence + 1) % 65536
        return found

    def hear(self, packet: Packet, sender: Address = FAR) -> None:
        self.socket.rtp(rtp.encode(packet), sender)

    def speak(self, pcm: bytes) -> None:
        """20 ms of the far side's voice (PCMU)."""
        self.hear(self.packet(pcm_to_ulaw(pcm)))
        self.timestamp = (self.timestamp + 160) % 2**32

    # --- our clock

    def tick(self, frame: bytes | None = None) -> list[bytes]:
        """20 ms pass: what the link has, then a frame of ours."""
        self.now += TICK_S
        heard = []
        first = self.link.take()
        if first is not None:
            heard.append(first)
            more = self.link.take()
            if more is not None:
                heard.append(more)
        self.link.put(frame if frame is not None else bytes(self.link.rate // 50 * 2))
        return heard

    def sent(self) -> list[Packet]:
        """What we have sent, and forget it."""
        packets = [rtp.parse(data) for data, _ in self.socket.sent]
        self.socket.sent.clear()
        return packets


def tone(rate: int, seconds: float, hertz: float = 400) -> bytes:
    at = np.arange(int(rate * seconds)) / rate
    pcm: bytes = np.rint(8000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes()
    return pcm


def frames(pcm: bytes, rate: int) -> list[bytes]:
    size = rate // 50 * 2
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]
