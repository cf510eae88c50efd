"""UDP ports for the sound: an even one for RTP, the next for RTCP (RFC 3550 §11), lent for as long as a call lasts."""

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Any, Final, cast

import structlog

from sovereign_pbx.core.errors import Refused

log = structlog.get_logger(__name__)

Address = tuple[str, int]
Receiver = Callable[[bytes, Address], None]

MAX_TRIES: Final = 64  # pairs that somebody else holds, before we give up
MAX_UNSENT_BYTES: Final = 65_536  # a kernel that takes no more is not waited for


def _nobody(data: bytes, sender: Address) -> None:
    """Nothing listens yet, or any more."""


class _Port(asyncio.DatagramProtocol):
    """One UDP port."""

    def __init__(self) -> None:
        self.receiver: Receiver = _nobody
        self.unsent = self.errors = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting_bytes: Callable[[], int] = int
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's are no subclasses
        # Those of asyncio and of uvloop have it, as every transport that writes; only the stubs do not.
        self._waiting_bytes = transport.get_write_buffer_size  # type: ignore[attr-defined]  # see above

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._closed.done():
            self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.receiver(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """Mostly: nobody listens there (ICMP). The media time-out tells whether that matters."""
        self.errors += 1

    def send(self, data: bytes, to: Address) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._waiting_bytes() > MAX_UNSENT_BYTES:
            self.unsent += 1
            return
        try:
            transport.sendto(data, to)
        except (OSError, ValueError):  # an address that the kernel won't have
            self.errors += 1

    def close(self) -> None:
        self.receiver = _nobody
        if self._transport is not None:
            self._transport.close()

    async def closed(self) -> None:
        await self._closed


class RtpSocket:
    """A pair of ports; `port` is the even one. Give it back with `close`."""

    def __init__(self, port: int, rtp: _Port, rtcp: _Port, given_back: Callable[[int], None]) -> None:
        self.port = port
        self._rtp, self._rtcp = rtp, rtcp
        self._given_back: Callable[[int], None] | None = given_back

    def listen(self, rtp: Receiver, rtcp: Receiver) -> None:
        """Who is told of each datagram."""
        self._rtp.receiver, self._rtcp.receiver = rtp, rtcp

    def send(self, data: bytes, to: Address) -> None:
        """Never waits: what the kernel doesn't take is dropped and counted."""
        self._rtp.send(data, to)

    def send_rtcp(self, data: bytes, to: Address) -> None:
        self._rtcp.send(data, to)

    def close(self) -> None:
        """Idempotent."""
        self._rtp.close()
        self._rtcp.close()
        if self._given_back is not None:
            self._given_back(self.port)
            self._given_back = None

    async def closed(self) -> None:
        """Wait until both ports are let go of, after `close`."""
        await self._rtp.closed()
        await self._rtcp.closed()

    def statistics(self) -> dict[str, int]:
        """unsent: the kernel took no more. errors: nobody listened there, or it could not be sent."""
        return {"unsent": self._rtp.unsent, "errors": self._rtp.errors}


class RtpPorts:
    """The ports from `first` to `last` on `host`, two a call."""

    def __init__(self, host: str, first: int, last: int) -> None:
        self._host = host
        first += first % 2
        self._pairs = max(0, (last - first + 1) // 2)
        self._first = first
        # By chance, so that a restart doesn't take the ports that the calls of before are still sending to; and onward,
        # so that a port rests before the next call.
        self._next = random.randrange(self._pairs) if self._pairs else 0
        self._lent: set[int] = set()

    def __len__(self) -> int:
        """How many pairs are lent."""
        return len(self._lent)

    async def open(self) -> RtpSocket:
        """Two ports of one call. Raises Refused (`too_many_calls`) when none are to be had."""
        # A port whose making is cancelled stays bound for good, and keeps uvloop from closing: it is made in any case
        opening = asyncio.ensure_future(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            if opening.exception() is None:
                opening.result().close()
            raise

    async def _open(self) -> RtpSocket:
        tries = 0
        for _ in range(self._pairs):
            port = self._first + 2 * self._next
            self._next = (self._next + 1) % self._pairs
            if port in self._lent:
                continue
            tries += 1
            if tries > MAX_TRIES:
                break
            bound = await self._bound(port)
            if bound is not None:
                return bound
        last = self._first + 2 * self._pairs - 1
        log.error("no_rtp_port_free", first=self._first, last=last, lent=len(self._lent))
        raise Refused("too_many_calls", f"no UDP port for the sound is free between {self._first} and {last}")

    async def _bound(self, port: int) -> RtpSocket | None:
        """The pair; None where somebody else has one of it. Bound first: uvloop leaks endpoints that it can't bind."""
        sockets = _pair(self._host, port)
        if sockets is None:
            return None
        self._lent.add(port)
        loop = asyncio.get_running_loop()
        _, rtp = await loop.create_datagram_endpoint(_Port, sock=sockets[0])
        _, rtcp = await loop.create_datagram_endpoint(_Port, sock=sockets[1])
        return RtpSocket(port, rtp, rtcp, self._lent.discard)


def _pair(host: str, port: int) -> tuple[socket.socket, socket.socket] | None:
    rtp = _bind(host, port)
    rtcp = _bind(host, port + 1) if rtp is not None else None
    if rtp is None or rtcp is None:
        if rtp is not None:
            rtp.close()
        return None
    return rtp, rtcp


def _bind(host: str, port: int) -> socket.socket | None:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.bind((host, port))
    except OSError:
        made.close()
        return None
    return made
