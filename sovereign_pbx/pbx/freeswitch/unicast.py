"""The sound of one parked call over FreeSWITCH's `unicast`: bare samples in UDP datagrams, one of 20 ms each way.

Measured on 1.10.12 and 1.11.2. FreeSWITCH sends a datagram every 20 ms from its first to its last, whether the caller
speaks or not, and plays what it is sent a frame at a time from a queue that only its kernel bounds: what is sent faster
than it plays delays every later word, for good. So a frame may go out for each that came in, and few more: its own
clock paces us. An empty datagram would make it deaf to us for the rest of the call, and one of another size leaves its
telephone packets in disorder. Nothing tells of an end: silence for more than 200 ms is one.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkClosed, LinkEnded
from sovereign_pbx.media.intake import Intake
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality
from sovereign_pbx.pbx.sip.ringback import quiet, ringing

log = structlog.get_logger(__name__)

RATES: Final = (8000, 16000)  # of G.711 and G.722; Opus would be 48000, in datagrams that a network must cut in pieces
LOST_S: Final = 0.2
_LOST_FRAMES: Final = 11  # of ours in a row without one of its: a loop that stood still is not taken for a loss
_AHEAD: Final = 3  # frames that may be under way to be played


def is_private(host: str) -> bool:
    """Whether an address is of this machine or of a private network: FreeSWITCH plays what anybody sends it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.version == 4 and not address.is_unspecified and (address.is_loopback or address.is_private)


class UnicastSession(asyncio.DatagramProtocol):
    """A UDP port for one channel, from `open` to `close`. While no link is there the caller hears what was said last
    with `play_ringing` or `play_nothing`.

    `on_lost` is called when FreeSWITCH has stopped sending; it goes on where it sends again, `expect`ed or not.
    """

    def __init__(self, rate: int, peer_host: str, *, on_lost: Callable[[], None] = lambda: None) -> None:
        if rate not in RATES:
            raise BadInput(f"sound at {rate} Hz can't come by unicast: 8000 and 16000 can")
        self.rate = rate
        self.on_lost = on_lost
        self.heard = asyncio.Event()  # a datagram has come since `expect`
        self.last_heard = 0.0
        self.strangers = self.odd = self.skipped = self.sent = self.received = 0
        self._frame_bytes = frame_bytes(rate)
        self._peer_host = peer_host
        self._peer: tuple[str, int] | None = None
        self._credit = 0
        self._missing = 0
        self._watching = False
        self._full = False  # the kernel takes no more
        self._link: UnicastLink | None = None
        self._filler: Iterator[bytes] = quiet(rate)
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = False

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
        """The header lines of `unicast`. FreeSWITCH takes a free port of its own, told by its first datagram: of two
        calls that shared one, the second would be silent."""
        assert self._transport is not None
        return {
            "local-ip": self._peer_host,
            "local-port": "0",
            "remote-ip": self._transport.get_extra_info("sockname")[0],
            "remote-port": str(self.port),
            "transport": "udp",
        }

    def expect(self) -> None:
        """FreeSWITCH has been asked to send, from whatever port it likes; from now on its silence is noticed."""
        self._peer = None
        self._credit = self._missing = 0
        self.heard.clear()
        self._watching = False

    def rest(self) -> None:
        """The caller is elsewhere: that nothing comes is right."""
        self._watching = False
        self._peer = None
        self.heard.clear()

    def link(self) -> "UnicastLink":
        """The sound as frames, until the link is closed; one at a time."""
        assert self._link is None or self._link.ended is not None, "there is a link already"
        self._link = UnicastLink(self)
        return self._link

    def play_ringing(self) -> None:
        self._filler = ringing(self.rate)

    def play_nothing(self) -> None:
        self._filler = quiet(self.rate)

    def close(self, how: LinkEnded) -> None:
        """Let go of the port; a link that is open ends so. FreeSWITCH does not notice. Idempotent."""
        self._closed = True
        link = self._link
        if link is not None:
            link.end(how)
        if self._transport is not None:
            self._transport.close()

    def lost(self) -> bool:
        """Whether nothing has come for more than 200 ms though it should. Tells `on_lost` of each time once."""
        if not self._watching or time.monotonic() - self.last_heard <= LOST_S:
            return False
        self.rest()
        self.on_lost()
        return True

    # --- for the link

    def send(self, frame: bytes) -> bool:
        """One frame, or none: where FreeSWITCH has not played enough, where nobody is there, where it has the wrong
        size. Whether it went out."""
        self._missing += 1
        if self._missing >= _LOST_FRAMES:
            self.lost()
        transport = self._transport
        if self._peer is None or transport is None or self._closed:
            return False
        if self._credit <= 0 or self._full or len(frame) != self._frame_bytes:
            self.skipped += 1
            return False
        self._credit -= 1
        self.sent += 1
        transport.sendto(frame, self._peer)
        return True

    # --- for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # what an endpoint for datagrams gives

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._closed or not self._admits(addr):
            return
        if len(data) != self._frame_bytes:
            self.odd += 1
            if not data or len(data) % 2:
                return
        self.received += 1
        self.last_heard = time.monotonic()
        self._missing = 0
        self._watching = True
        self._credit = min(self._credit + 1, _AHEAD)
        self.heard.set()
        link = self._link
        if link is not None and link.ended is None:
            link.intake.add(data)
        else:
            self.send(next(self._filler))

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def error_received(self, exc: Exception) -> None:
        """FreeSWITCH has closed its port; that is noticed by its silence."""

    def _admits(self, addr: tuple[str, int]) -> bool:
        """From the first datagram on, only who sent it."""
        if self._peer is None and addr[0] == self._peer_host:
            self._peer = (addr[0], addr[1])
        if self._peer != (addr[0], addr[1]):
            self.strangers += 1
            return False
        return True


class UnicastLink:
    """Frames of one conversation (`MediaLink`). Digits come over the event socket."""

    kind: LinkKind = "unicast"

    def __init__(self, session: UnicastSession) -> None:
        self.rate = session.rate
        self.listener: LinkListener | None = None
        self.on_ended: Callable[[LinkEnded], None] = lambda how: None
        self.admit_digit: Callable[[str], bool] = lambda digit: True
        self.intake = Intake(session.rate)
        self._session = session
        self._out = self._skipped = 0
        self._ended: LinkEnded | None = None

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    def statistics(self) -> dict[str, int]:
        """Adds frames_skipped: not sent because FreeSWITCH had enough to play, or nobody was there; datagrams_odd:
        of another size than a frame; strangers: datagrams of somebody else."""
        return {
            "frames_in": self.intake.frames,
            "frames_out": self._out,
            "frames_dropped": self.intake.dropped,
            "frames_skipped": self._skipped,
            "datagrams_odd": self._session.odd,
            "strangers": self._session.strangers,
        }

    def take(self) -> bytes | None:
        return self.intake.take()

    def put(self, frame: bytes) -> None:
        if self._ended is not None:
            return
        if self._session.send(frame):
            self._out += 1
        else:
            self._skipped += 1

    def flush(self) -> None:
        """FreeSWITCH has no more than a frame or two, and no order to forget them."""

    def quality(self) -> LinkQuality | None:
        return None

    def close(self) -> None:
        self.end(LinkClosed("closed by the daemon"))

    def end(self, how: LinkEnded) -> None:
        if self._ended is not None:
            return
        self._ended = how
        if self.listener is not None:
            self.listener.ended(how)
        self.on_ended(how)
