"""SIP over TCP and TLS: connections that came and connections made, each used both ways."""

import asyncio
import ssl
from typing import Final, cast

from sovereign_pbx.core.errors import LinkBroken
from sovereign_pbx.pbx.asterisk.peers import notice_death
from sovereign_pbx.pbx.sip.transport import WRITE_LIMIT_BYTES, Address, Kind, Receiver
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import BadRequest, Request, Response, StreamParser

_BACKLOG: Final = 256
_PONG: Final = b"\r\n"
_MOST_PINGS: Final = 64  # answered of one read


class StreamTransport:
    """Listens on `host`:`port`, and connects to others; what is connected to a peer already is used again.

    A connection is closed by us when nothing has come for `idle_s`, when a message that has begun, or the first one,
    is not whole within `message_s`, and when its peer stops reading.
    """

    def __init__(
        self,
        kind: Kind,
        host: str,
        port: int,
        receiver: Receiver,
        *,
        advertise_host: str = "",
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
        max_connections: int = 512,
        connect_s: float = 5.0,
        message_s: float = 10.0,
        idle_s: float = 900.0,
    ) -> None:
        self.kind = kind
        self.receiver = receiver
        self.message_s, self.idle_s = message_s, idle_s
        self._host, self._port = host, port
        self._advertise_host = advertise_host
        self._server_tls, self._client_tls = server_tls, client_tls
        self._max_connections = max_connections
        self._connect_s = connect_s
        self._connections: set[StreamFlow] = set()
        self._by_peer: dict[Address, StreamFlow] = {}
        self._connecting: dict[Address, asyncio.Lock] = {}
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def address(self) -> Address:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: StreamFlow(self),
            self._host,
            self._port,
            backlog=_BACKLOG,
            ssl=self._server_tls,
            ssl_handshake_timeout=self._connect_s if self._server_tls else None,
        )
        self._sweep()

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for flow in tuple(self._connections):
            flow.abort()
        await self._empty.wait()
        self._server = None

    def local(self, sockname: Address) -> Address:
        """Where a peer reaches us: the port that is listened on, not the connection's own."""
        return self._advertise_host or sockname[0], self.address[1]

    async def flow(self, peer: Address, server_name: str = "") -> "StreamFlow":
        """The connection to an address (IP), made if there is none. `server_name`: whose certificate TLS expects.

        Raises:
            LinkBroken: it can't be had within the time for it.
        """
        lock = self._connecting.setdefault(peer, asyncio.Lock())
        try:
            async with lock:
                known = self._by_peer.get(peer)
                return known if known is not None else await self._connect(peer, server_name)
        finally:
            if not lock.locked():
                self._connecting.pop(peer, None)

    async def _connect(self, peer: Address, server_name: str) -> "StreamFlow":
        if len(self._connections) >= self._max_connections:
            raise LinkBroken(f"there are {self._max_connections} SIP connections already")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, flow = await loop.create_connection(
                    lambda: StreamFlow(self, made_to=peer),
                    *peer,
                    ssl=self._client_tls,
                    server_hostname=(server_name or peer[0]) if self._client_tls else None,
                )
        except (OSError, TimeoutError) as exc:  # an ssl.SSLError is an OSError
            self.receiver.count(f"{self.kind}_connect_failed")
            raise LinkBroken(f"no {self.kind.upper()} connection to {peer[0]}:{peer[1]}: {exc or 'no answer'}") from exc
        return flow

    def joined(self, flow: "StreamFlow", made: bool) -> bool:
        if not made and not self.receiver.admits(self.kind, flow.peer):
            return False
        if len(self._connections) >= self._max_connections:
            self.receiver.count("refused_connections")
            return False
        self._connections.add(flow)
        self._by_peer[flow.peer] = flow
        self._empty.clear()
        return True

    def left(self, flow: "StreamFlow") -> None:
        self._connections.discard(flow)
        if self._by_peer.get(flow.peer) is flow:
            del self._by_peer[flow.peer]
        if not self._connections:
            self._empty.set()
        self.receiver.lost(flow)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for flow in tuple(self._connections):
            flow.judge(loop.time())
        every = max(0.05, min(self.message_s, self.idle_s) / 4)
        self._sweeper = loop.call_later(every, self._sweep)


class StreamFlow(asyncio.Protocol):
    """One connection."""

    reliable = True

    def __init__(self, transport: StreamTransport, made_to: Address | None = None) -> None:
        self.kind = transport.kind
        self.peer: Address = made_to or ("", 0)
        self.local: Address = ("", 0)
        self._owner = transport
        self._made = made_to is not None
        self._parser = StreamParser()
        self._wire: asyncio.Transport | None = None
        self._closing = False
        self._began = self._heard = asyncio.get_running_loop().time()
        self._waits_since: float | None = None if self._made else self._began  # for a message to be whole

    def send(self, message: Request | Response) -> None:
        self.write(message.encode())

    def write(self, data: bytes) -> None:
        if self._wire is None or self._closing or self._wire.is_closing():
            self._owner.receiver.count("dropped_closed")
        elif self._wire.get_write_buffer_size() > WRITE_LIMIT_BYTES:
            self._owner.receiver.count("dropped_clogged")
            self.abort()
        else:
            self._wire.write(data)

    def towards(self, port: int) -> "StreamFlow":
        """Answers go back where the request came from, whatever port stands in its Via (RFC 3261 §18.2.2)."""
        return self

    def abort(self) -> None:
        self._closing = True
        if self._wire is not None:
            self._wire.abort()

    def judge(self, now: float) -> None:
        """Close what has been silent, or half-said, for too long."""
        if self._waits_since is not None and now - self._waits_since > self._owner.message_s:
            self._owner.receiver.count("closed_half_message")
            self.abort()
        elif now - self._heard > self._owner.idle_s:
            self._owner.receiver.count("closed_idle")
            self.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not self._made and peer:
            self.peer = (str(peer[0]), int(peer[1]))
        if not peer or not own or not self._owner.joined(self, self._made):
            self.abort()
            return
        self.local = self._owner.local((str(own[0]), int(own[1])))
        notice_death(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        now = self._heard = asyncio.get_running_loop().time()
        try:
            complete = self._take(data)
        except Malformed as exc:
            self._owner.receiver.malformed(self, exc)
            self.abort()
            return
        complete = self._pong() or complete
        if not self._parser.waiting:
            self._waits_since = None if complete else self._waits_since
        elif complete or self._waits_since is None:
            self._waits_since = now

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._owner.left(self)

    def _take(self, data: bytes) -> bool:
        """Whether a message was completed. Raises Malformed where the stream is out of step."""
        complete = False
        while not self._closing:
            try:
                messages = self._parser.feed(data)
            except BadRequest as exc:
                self._owner.receiver.malformed(self, exc)
                messages, data, complete = [], b"", True
                continue
            if not messages:
                break
            data, complete = b"", True
            for message in messages:
                self._owner.receiver.arrived(self, message)
        return complete

    def _pong(self) -> bool:
        """Whether the peer has asked for a sign of life (RFC 5626 §4.4.1)."""
        pings, self._parser.pings = self._parser.pings, 0
        if pings:
            self.write(_PONG * min(pings, _MOST_PINGS))
        return pings > 0

    def __repr__(self) -> str:
        return f"StreamFlow({self.kind} {self.peer[0]}:{self.peer[1]})"
