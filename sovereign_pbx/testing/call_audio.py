"""The audio half of a scripted phone's call: a UDP socket, an ear and a mouth."""

import asyncio

from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.rtp_ear import RtpEar
from sovereign_pbx.testing.rtp_mouth import RtpMouth
from sovereign_pbx.testing.rtp_packet import TELEPHONE_EVENT
from sovereign_pbx.testing.sip_message import Direction, Media


class CallAudio(asyncio.DatagramProtocol):
    """Opened on loopback at `host`; offers `codecs` (RTP payload types, best first: 0 µ-law, 8 A-law, 9 G.722)."""

    def __init__(
        self, host: str, codecs: tuple[int, ...], ticker: CallerTicker | None = None, *, keep: bool = True
    ) -> None:
        self.ear = RtpEar(keep=keep)
        self._ticker = ticker
        self.mouth: RtpMouth | None = None
        self._host = host
        self._codecs = codecs
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._offers = 0

    async def open(self) -> None:
        if self._transport is None:
            self._transport, _ = await self._loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, 0))
            self.mouth = RtpMouth(self._transport, ticker=self._ticker)

    def description(self, direction: Direction = "sendrecv") -> str:
        """Our SDP."""
        assert self._transport is not None, "open() comes first"
        self._offers += 1
        port = self._transport.get_extra_info("sockname")[1]
        return Media(self._host, port, (*self._codecs, TELEPHONE_EVENT), direction).sdp(self._offers)

    def connect(self, media: Media | None) -> None:
        """Send to where the other side listens, in the first codec that both have."""
        if media is None or media.port == 0 or self.mouth is None:
            return
        shared = [number for number in media.payload_types if number in self._codecs]
        if shared:
            self.mouth.start((media.host, media.port), shared[0])

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self.ear.take(data, self._loop.time())

    def error_received(self, exc: Exception) -> None:
        """The other side's port is closed already: a call that ends looks like this."""

    def silence(self) -> None:
        """Stop sending for good."""
        if self.mouth is not None:
            self.mouth.close()

    def close(self) -> None:
        self.silence()
        if self._transport is not None:
            self._transport.close()
