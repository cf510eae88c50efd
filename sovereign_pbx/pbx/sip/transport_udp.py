"""SIP over UDP: one socket for everybody."""

import asyncio
import socket
from typing import Any, Final, Protocol, cast

from sovereign_pbx.pbx.sip.transport import WRITE_LIMIT_BYTES, Address, Kind, Receiver, is_wildcard, own_address_towards
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request, Response, parse

# 500 callers at once with 1.5 kB each, while the loop is busy elsewhere for a moment
_RECEIVE_BUFFER_BYTES: Final = 1 << 20
_ROUTES_KEPT: Final = 1_024


class _Datagrams(Protocol):
    """What asyncio's and uvloop's transports both have; typeshed leaves the last one out."""

    def sendto(self, data: bytes, addr: Address) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool: ...
    def get_extra_info(self, name: str) -> Any: ...
    def get_write_buffer_size(self) -> int: ...


class UdpTransport(asyncio.DatagramProtocol):
    """Listens on `host`:`port`. `advertise_host` is what peers are told instead, where given."""

    def __init__(self, host: str, port: int, receiver: Receiver, *, advertise_host: str = "") -> None:
        self._host, self._port = host, port
        self._advertise_host = advertise_host
        self._receiver = receiver
        self._transport: _Datagrams | None = None
        self._closed = asyncio.Event()
        self._own: dict[str, str] = {}  # towards whom

    @property
    def address(self) -> Address:
        """Where it listens: the real port where 0 was asked for."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    async def start(self) -> None:
        """Raises OSError."""
        # Bound first: uvloop leaks an endpoint that it can't bind, and does not say why it could not
        made = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.bind((self._host, self._port))
        except OSError:
            made.close()
            raise
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=made)

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()
            self._transport = None

    def flow(self, peer: Address) -> "UdpFlow":
        return UdpFlow(self, peer)

    def local(self, peer_host: str) -> Address:
        """Where this peer reaches us."""
        host, port = self.address
        if self._advertise_host:
            return self._advertise_host, port
        if not is_wildcard(host):
            return host, port
        if peer_host not in self._own:
            if len(self._own) >= _ROUTES_KEPT:
                self._own.clear()
            self._own[peer_host] = own_address_towards(peer_host)
        return self._own[peer_host], port

    def write(self, data: bytes, peer: Address) -> None:
        if self._transport is None or self._transport.is_closing():
            self._receiver.count("dropped_closed")
            return
        if self._transport.get_write_buffer_size() > WRITE_LIMIT_BYTES:
            self._receiver.count("dropped_clogged")
            return
        try:
            self._transport.sendto(data, peer)
        except (OSError, ValueError):  # ValueError: uvloop's, for an address of the other family
            self._receiver.count("dropped_unsendable")

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(_Datagrams, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if not self._receiver.admits("udp", addr) or not data.strip(b"\r\n\0"):  # empty ones keep a NAT's door open
            return
        flow = UdpFlow(self, (str(addr[0]), addr[1]))
        try:
            message = parse(data)
        except Malformed as exc:
            self._receiver.malformed(flow, exc)
        else:
            self._receiver.arrived(flow, message)

    def error_received(self, exc: Exception) -> None:
        """Somebody's port is closed: that transaction's own timer ends it, for the kernel does not say whose."""
        self._receiver.count("udp_errors")

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()


class UdpFlow:
    """To one address by the one socket."""

    __slots__ = ("_transport", "peer")
    kind: Kind = "udp"
    reliable = False

    def __init__(self, transport: UdpTransport, peer: Address) -> None:
        self._transport = transport
        self.peer = peer

    @property
    def local(self) -> Address:
        return self._transport.local(self.peer[0])

    def send(self, message: Request | Response) -> None:
        self.write(message.encode())

    def write(self, data: bytes) -> None:
        self._transport.write(data, self.peer)

    def towards(self, port: int) -> "UdpFlow":
        """The same peer at another port."""
        return self if port == self.peer[1] else UdpFlow(self._transport, (self.peer[0], port))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UdpFlow) and (self._transport, self.peer) == (other._transport, other.peer)

    def __hash__(self) -> int:
        return hash((id(self._transport), self.peer))

    def __repr__(self) -> str:
        return f"UdpFlow({self.peer[0]}:{self.peer[1]})"
