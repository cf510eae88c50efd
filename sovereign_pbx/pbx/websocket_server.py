"""A WebSocket listener for calls' sound: who may connect, and a protocol without awaits for each connection.

The framing is the package `websockets` without its sockets (`ServerProtocol`): strict, and 4 µs for a frame of 640
bytes in and 1 µs for one out (measured). A web server's connection has a task of its own, and can't send within the
clock's tick.
"""

import asyncio
import base64
import hmac
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

import structlog

from sovereign_pbx.core.errors import ConfigError, LinkBroken, LinkClosed, LinkEnded, LinkFinished
from sovereign_pbx.pbx.asterisk.peers import Peers, notice_death

if TYPE_CHECKING:
    from websockets.frames import Frame
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

log = structlog.get_logger(__name__)

_BACKLOG: Final = 256
_MAX_PARAMETERS: Final = 32
_MAX_HEAD_BYTES: Final = 32768
_END: Final = b"\r\n\r\n"
_MAX_FRAGMENTS: Final = 64  # their sizes are bounded as a whole, but they may be empty
_NORMAL, _POLICY = 1000, 1008  # RFC 6455 §7.4.1

# After our close frame a peer answers and leaves within a few milliseconds; one that does not is cut off.
LINGER_S: Final = 1.0


class Session(Protocol):
    """What a connection is for, once its handshake is through. Called on the loop; must not block."""

    def text(self, text: str) -> None: ...

    def binary(self, data: bytes) -> None: ...

    def ended(self, how: LinkEnded) -> None:
        """The last thing it is told, whoever ended it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody who connects asked for."""

    path: str
    parameters: Mapping[str, str] = field(repr=False)  # tokens are secrets while they are expected


class WebSocketServer:
    """Listens for WebSockets with one of `subprotocols` at `path`, of `username` with `password` where they are given.

    `greet` makes the session of a connection, or says in a word why there is none (then HTTP 403). What is not
    `Connection.settled` within `handshake_timeout_s` is closed. `key`: the section of the configuration, for errors.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        key: str,
        path: str,
        subprotocols: Sequence[str],
        greet: Callable[["Connection", Asked], Session | str],
        username: str = "",
        password: str = "",
        handshake_timeout_s: float = 2.0,
        max_connections: int = 512,
        max_message: int = 65536,
        permit: Iterable[str] = (),
        permit_key: str = "",
    ) -> None:
        self.greet = greet
        self.path = path
        self.handshake_timeout_s = handshake_timeout_s
        self.counts: Counter[str] = Counter()
        self._host, self._port, self._key = host, port, key
        self._subprotocols = tuple(subprotocols)
        self._credentials = base64.b64encode(f"{username}:{password}".encode()) if username or password else b""
        self._max_connections, self._max_message = max_connections, max_message
        self._peers = Peers(permit, permit_key or f"{key}.permit")
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._make: Callable[[], ServerProtocol] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the real port where 0 was asked for."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def statistics(self) -> dict[str, int]:
        """connections, and how many were refused (by reason) since the start."""
        return {"connections": len(self._connections), **self.counts}

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address can't be had."""
        loop = asyncio.get_running_loop()
        self._make = await asyncio.to_thread(_protocols, self._subprotocols, self._max_message)
        try:
            self._server = await loop.create_server(lambda: Connection(self), self._host, self._port, backlog=_BACKLOG)
        except OSError as exc:
            raise ConfigError(
                f"can't listen for WebSockets on {self._host}:{self._port}: {exc.strerror}",
                key=self._key,
                remedy="Choose a free port and an address of this machine.",
            ) from exc

    async def close(self) -> None:
        """Stop listening; every connection is closed in order, and cut off where that is not answered."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.close()
        await self._wait_until_empty()
        for connection in tuple(self._connections):
            connection.abort()
        await self._wait_until_empty()  # an aborted transport reports its loss on the loop's next turn
        self._server = None

    async def _wait_until_empty(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                await self._empty.wait()
        except TimeoutError:
            pass  # the caller cuts off whoever is left

    # --- for the connections

    def protocol(self) -> "ServerProtocol":
        assert self._make is not None
        return self._make()

    def admit(self, connection: "Connection", peername: object) -> bool:
        if not self._peers.admits(peername):
            reason = "not_permitted"
        elif len(self._connections) >= self._max_connections:
            reason = "full"
        else:
            self._connections.add(connection)
            self._empty.clear()
            return True
        self.refused(reason, peername)
        return False

    def authorized(self, header: str) -> bool:
        """Whether the Authorization header is the one that is asked for, if one is (RFC 7617)."""
        if not self._credentials:
            return True
        scheme, _, given = header.partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._credentials)
        return right and scheme.lower() == "basic"

    def refused(self, reason: str, peername: object) -> None:
        self.counts[f"refused_{reason}"] += 1
        log.warning("websocket_refused", reason=reason, peer=peername, section=self._key)

    def left(self, connection: "Connection") -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()


class Connection(asyncio.Protocol):
    """One WebSocket: a stranger until its handshake is through, a session's messages afterwards."""

    def __init__(self, server: WebSocketServer) -> None:
        self._server = server
        self._protocol = server.protocol()
        self._session: Session | None = None
        self._peer: object = None
        self._timer: asyncio.TimerHandle | None = None
        self._head = bytearray()  # of the request, until it is answered
        self._fragments: list[bytes] = []
        self._fragments_are_text = False
        self._over = False  # refused, or the session has been told of its end
        self._lost = False  # there is no transport any more

    # --- for the session

    @property
    def buffered(self) -> int:
        """Bytes written that the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    def send_binary(self, data: bytes) -> None:
        """One message in one write; nothing once the connection is closing."""
        if self._is_open():
            self._protocol.send_binary(data)
            self._write()

    def send_text(self, text: str) -> None:
        if self._is_open():
            self._protocol.send_text(text.encode())
            self._write()

    def settled(self) -> None:
        """It is who it should be: there is no deadline any more."""
        self._disarm()

    def close(self) -> None:
        """End it in order: what was sent arrives, the peer answers our close frame and leaves."""
        if self._over:
            return
        if self._session is None:
            self._refuse("closing")
            return
        self._leave(_NORMAL)
        self._end(LinkClosed("closed by the daemon"))

    def refuse(self, reason: str) -> None:
        """It is not who it should be; the session hears nothing more."""
        self._over = True
        self._leave(_POLICY)
        self._server.refused(reason, self._peer)

    def abort(self) -> None:
        """Cut it off."""
        self._transport.abort()

    # --- for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self._transport = transport
        self._peer = transport.get_extra_info("peername")
        if not self._server.admit(self, self._peer):
            self._over = True
            transport.abort()
            return
        notice_death(transport.get_extra_info("socket"))
        self._arm(self._server.handshake_timeout_s, self._too_late)

    def data_received(self, data: bytes) -> None:
        if self._over and self._session is None:
            return
        if self._session is not None:
            self._feed(data)
            return
        head, rest = self._split(data)
        self._feed(head)
        if rest and self._session is not None:
            self._feed(rest)
        elif len(self._head) > _MAX_HEAD_BYTES and not self._over:
            self._refuse("no_websocket")

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of it belongs to the request, and what comes after: the protocol would read frames of somebody whom it
        has not accepted yet, and then could not answer him any more."""
        before = len(self._head)
        self._head += data
        end = self._head.find(_END, max(0, before - len(_END) + 1))
        cut = end + len(_END) - before if end >= 0 else len(data)
        return data[:cut], data[cut:]

    def _feed(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            self._event(event)
        self._write()
        if self._protocol.handshake_exc is not None and not self._over:
            self._refuse("no_websocket")
        elif (wrong := self._protocol.parser_exc) is not None:
            self._arm(LINGER_S, self._transport.abort)
            broken = LinkBroken(f"WebSocket: {wrong}")
            broken.__cause__ = wrong
            self._end(broken)

    def eof_received(self) -> bool:
        self._end(LinkFinished("the peer ended the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._server.left(self)
        self._disarm()
        if exc is None or isinstance(exc, ConnectionError):
            self._end(LinkFinished("the peer ended the connection"))
        else:
            broken = LinkBroken(f"the connection died: {exc}")
            broken.__cause__ = exc
            self._end(broken)

    # --- private

    def _event(self, event: Any) -> None:
        if self._session is not None:
            if not self._over:
                self._frame(event)
        elif not self._over and hasattr(event, "headers"):  # the request comes first, and once
            self._handshake(event)

    def _handshake(self, request: "Request") -> None:
        answer = self._protocol.accept(request)
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._protocol.send_response(answer)
            self._refuse("no_websocket")
            return
        session = self._session_of(request)
        if isinstance(session, str):
            status = HTTPStatus.UNAUTHORIZED if session == "unauthorized" else HTTPStatus.FORBIDDEN
            self._protocol.send_response(self._protocol.reject(status, f"{status.phrase}\n"))
            self._refuse(session)
            return
        self._session = session
        self._head.clear()
        self._protocol.send_response(answer)

    def _session_of(self, request: "Request") -> Session | str:
        """Never raises: a stranger's request is the first that is read of him."""
        if not self._server.authorized(request.headers.get("Authorization", "")):
            return "unauthorized"
        try:
            url = urlsplit(request.path)
            parameters = dict(parse_qsl(url.query, max_num_fields=_MAX_PARAMETERS))
        except ValueError:
            return "wrong_address"
        if url.path != self._server.path:
            return "wrong_address"
        return self._server.greet(self, Asked(url.path, parameters))

    def _frame(self, frame: "Frame") -> None:
        """Whole messages go on; pings are answered below, and the sizes of fragments are added up there."""
        name = frame.opcode.name
        if name == "CLOSE":
            self._end(LinkFinished("the peer closed the connection"))
            self._arm(LINGER_S, self._transport.abort)
        elif name in ("TEXT", "BINARY") and frame.fin:
            self._message(bytes(frame.data), is_text=name == "TEXT")
        elif name in ("TEXT", "BINARY", "CONT"):
            self._fragment(frame, name)

    def _fragment(self, frame: "Frame", name: str) -> None:
        if name != "CONT":
            self._fragments_are_text = name == "TEXT"
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            whole, self._fragments = b"".join(self._fragments), []
            self._message(whole, is_text=self._fragments_are_text)
        elif len(self._fragments) >= _MAX_FRAGMENTS:
            self._end(LinkBroken(f"WebSocket: a message in more than {_MAX_FRAGMENTS} pieces"))
            self._transport.abort()

    def _message(self, data: bytes, *, is_text: bool) -> None:
        """Whatever a session does of it costs this connection alone."""
        assert self._session is not None
        try:
            if is_text:
                self._session.text(data.decode("utf-8", "replace"))
            else:
                self._session.binary(data)
        except Exception:
            log.exception("websocket_session_failed")
            self._end(LinkBroken("the call could not be taken over"))
            self._transport.abort()

    def _is_open(self) -> bool:
        return not self._over and self._protocol.state.name == "OPEN"

    def _write(self) -> None:
        """Everything that the protocol wants sent in one write; an empty piece of it is the end."""
        pieces = self._protocol.data_to_send()
        if not pieces or self._transport.is_closing():
            return
        if whole := b"".join(pieces):
            self._transport.write(whole)
        if pieces[-1] == b"":
            try:
                self._transport.write_eof()
            except OSError:
                pass  # reset by the peer a moment ago; the loop has yet to tell us

    def _leave(self, code: int) -> None:
        if self._protocol.state.name == "OPEN":
            self._protocol.send_close(code)
            self._write()
        self._arm(LINGER_S, self._transport.abort)

    def _refuse(self, reason: str) -> None:
        """Before the handshake is through: what was answered is sent, and the connection ends."""
        self._over = True
        self._write()
        self._server.refused(reason, self._peer)
        self._transport.close()
        self._arm(LINGER_S, self._transport.abort)

    def _too_late(self) -> None:
        if self._session is None:
            self._refuse("handshake_timeout")
        else:
            self.refuse("handshake_timeout")

    def _end(self, how: LinkEnded) -> None:
        if self._over:
            return
        self._over = True
        if self._session is not None:
            self._session.ended(how)

    def _arm(self, after_s: float, then: Callable[[], None]) -> None:
        self._disarm()
        if not self._lost:
            self._timer = asyncio.get_running_loop().call_later(after_s, then)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _protocols(subprotocols: Sequence[str], max_message: int) -> "Callable[[], ServerProtocol]":
    """Importing takes 20 ms, and only who listens needs it."""
    from websockets.server import ServerProtocol
    from websockets.typing import Subprotocol

    wanted = [Subprotocol(name) for name in subprotocols]
    logger = logging.getLogger("websockets.server.sound")
    logger.setLevel(logging.WARNING)  # its debug lines quote addresses and headers: tokens and passwords
    return lambda: ServerProtocol(subprotocols=wanted, max_size=max_message, logger=logger)
