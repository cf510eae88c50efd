"""The sound of one parked call over FreeSWITCH's `unicast`: bare samples in UDP datagrams, one of 20 ms each way.

Measured on 1.10.12 and 1.11.2. An empty datagram would make it deaf to us for the rest of the call, and one of another
size leaves its telephone packets in disorder. Nothing tells of an end: silence for more than 200 ms is one.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Final

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.media.link import LinkKind
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.paced import Caller, PacedLink, PacedSession

RATES: Final = (8000, 16000)  # of G.711 and G.722; Opus would be 48000, in datagrams that a network must cut in pieces
FIRST_S: Final = 2.0
"""From the command to its first datagram it is a frame or two; "+OK" says no more than that it was queued, also where
it comes to nothing."""


def is_private(host: str) -> bool:
    """Whether an address is of this machine or of a private network: FreeSWITCH plays what anybody sends it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.version == 4 and not address.is_unspecified and (address.is_loopback or address.is_private)


class UnicastSession(PacedSession, asyncio.DatagramProtocol):
    """A UDP port for one channel, from `open` to `close`: of two calls that shared one, the second would be silent."""

    kind: LinkKind = "unicast"

    def __init__(self, rate: int, peer_host: str, *, on_lost: Callable[[], None] = lambda: None) -> None:
        if rate not in RATES:
            raise BadInput(f"sound at {rate} Hz can't come by unicast: 8000 and 16000 can")
        super().__init__(rate, on_lost=on_lost)
        self._peer_host = peer_host
        self._peer: tuple[str, int] | None = None
        self._full = False  # the kernel takes no more
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(
        cls, host: str, rate: int, peer_host: str, *, on_lost: Callable[[], None] = lambda: None
    ) -> "UnicastSession":
        """Raises BadInput for addresses that anybody could reach and for a rate that can't come, LinkBroken where
        there is no port."""
        for address in (host, peer_host):
            if not is_private(address):
                raise BadInput(f"unicast goes over loopback or a private IPv4 network only, not over {address}")
        session = cls(rate, peer_host, on_lost=on_lost)
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: session, local_addr=(host, 0))
        except OSError as exc:
            raise LinkBroken(f"no UDP port on {host}: {exc.strerror}") from exc
        return session

    @property
    def port(self) -> int:
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def request(self) -> dict[str, str]:
        """The header lines of `unicast`. FreeSWITCH takes a free port of its own, told by its first datagram."""
        assert self._transport is not None
        return {
            "local-ip": self._peer_host,
            "local-port": "0",
            "remote-ip": self._transport.get_extra_info("sockname")[0],
            "remote-port": str(self.port),
            "transport": "udp",
        }

    def rest(self) -> None:
        """It comes again from whatever port FreeSWITCH likes."""
        super().rest()
        self._peer = None

    def close(self, how: LinkEnded) -> None:
        """Let go of the port; FreeSWITCH does not notice."""
        super().close(how)
        if self._transport is not None:
            self._transport.close()

    # --- for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # what an endpoint for datagrams gives

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._closed and self._admits((addr[0], addr[1])):
            self.received(data)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def error_received(self, exc: Exception) -> None:
        """FreeSWITCH has closed its port; that is noticed by its silence."""

    # --- private

    def _write(self, frame: bytes) -> bool:
        if self._peer is None or self._transport is None or self._full:
            return False
        self._transport.sendto(frame, self._peer)
        return True

    def _admits(self, addr: tuple[str, int]) -> bool:
        """From the first datagram on, only who sent it."""
        if self._peer is None and addr[0] == self._peer_host:
            self._peer = addr
        if self._peer != addr:
            self.strangers += 1
            return False
        return True


class UnicastSound:
    """`paced.Sound` by unicast: asked for once in each park, never twice, or FreeSWITCH leaks a socket and a thread;
    and never before the channel has media, or FreeSWITCH 1.10 and 1.11 crash as a whole."""

    def __init__(self, esl: Esl, host: str, peer_host: str) -> None:
        self.on_lost: Callable[[], None] = lambda: None
        self._esl = esl
        self._host, self._peer_host = host, peer_host
        self._session: UnicastSession | None = None
        self._brought = 0  # in which park

    async def bring(self, caller: Caller) -> None:
        if not caller.rate:
            raise BadInput("the channel has no media yet: unicast would crash FreeSWITCH")
        if self._brought >= caller.parks:
            raise BadInput("unicast has been asked for in this park already, or the channel is not parked")
        self._brought = caller.parks
        session = await self._opened(caller.rate)
        session.expect()
        said = await self._esl.message(caller.uuid, "unicast", session.request())
        if not said.startswith("+OK"):
            raise LinkBroken(f"FreeSWITCH does not send the sound: {said[:80]}")
        try:
            async with asyncio.timeout(FIRST_S):
                await session.heard.wait()
        except TimeoutError as exc:
            raise LinkBroken("FreeSWITCH sends no sound, though it was asked to") from exc

    def rest(self) -> None:
        if self._session is not None:
            self._session.rest()

    def link(self, rate: int) -> PacedLink:
        assert self._session is not None, "the sound has not been brought"
        return self._session.link()

    def play_ringing(self) -> None:
        if self._session is not None:
            self._session.play_ringing()

    def play_nothing(self) -> None:
        if self._session is not None:
            self._session.play_nothing()

    def begin(self) -> None:
        """It has begun with `bring`."""

    def close(self, how: LinkEnded) -> None:
        if self._session is not None:
            self._session.close(how)

    def check(self) -> None:
        if self._session is not None:
            self._session.lost()

    async def _opened(self, rate: int) -> UnicastSession:
        if self._session is None:
            self._session = await UnicastSession.open(self._host, rate, self._peer_host, on_lost=lambda: self.on_lost())
        elif self._session.rate != rate:
            raise LinkBroken("the caller's codec has another rate than before")
        return self._session
