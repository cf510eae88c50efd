"""The AudioSocket listener: lets in the calls it was told to expect, and nobody else."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, cast
from uuid import UUID

import structlog

from sovereign_pbx.core.audio import PHONE_RATE, frame_bytes
from sovereign_pbx.core.errors import ConfigError, LinkBroken, LinkEnded
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.pbx.asterisk.peers import Peers, notice_death
from sovereign_pbx.wire import audiosocket as wire

log = structlog.get_logger(__name__)

_HELLO_BYTES: Final = 3 + wire.ID_BYTES
_BACKLOG: Final = 256

# After our hang-up frame Asterisk leaves within a millisecond or two; one that does not is cut off.
LINGER_S: Final = 1.0

# 200 ms at 8 kHz beyond what the kernel took: a peer that far behind hears the past.
WRITE_LIMIT_BYTES: Final = 10 * (3 + frame_bytes(PHONE_RATE))

OnConnect = Callable[[str, AudioSocketLink], None]
OnEnded = Callable[[str, AudioSocketLink, LinkEnded], None]


class AudioSocketServer:
    """Listens for Asterisk's AudioSocket connections.

    A UUID is good for one connection within the seconds given to `expect`; any other is closed at once, counted and
    logged. `on_connect` runs before the next byte is read, so that frames flow from the next tick of the clock on.
    `on_expired` is told of a UUID that nobody brought, `on_ended` of each link's end (after its own listener).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        on_connect: OnConnect,
        on_expired: Callable[[str], None] = lambda call_id: None,
        on_ended: OnEnded = lambda call_id, link, how: None,
        handshake_timeout_s: float = 2.0,
        max_connections: int = 512,
        write_limit_bytes: int = WRITE_LIMIT_BYTES,
        idle_timeout_s: float = 900.0,
        permit: Iterable[str] = (),
    ) -> None:
        self.on_connect = on_connect
        self.on_expired = on_expired
        self.on_ended = on_ended
        self.handshake_timeout_s = handshake_timeout_s
        self.write_limit_bytes = write_limit_bytes
        self.counts: Counter[str] = Counter()
        self._host, self._port = host, port
        self._max_connections = max_connections
        self._idle_timeout_s = idle_timeout_s
        self._peers = Peers(permit, "asterisk.audiosocket.permit")
        self._expected: dict[str, tuple[int, asyncio.TimerHandle]] = {}
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the real port where 0 was asked for."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def statistics(self) -> dict[str, int]:
        """connections, expected, and how many were accepted, refused (by reason) or dropped since the start."""
        return {"connections": len(self._connections), "expected": len(self._expected), **self.counts}

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address can't be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), self._host, self._port, backlog=_BACKLOG)
        except OSError as exc:
            raise ConfigError(
                f"AudioSocket can't listen on {self._host}:{self._port}: {exc.strerror}",
                key="asterisk.audiosocket",
                remedy="Choose a free port and an address of this machine.",
            ) from exc
        self._sweep()

    async def close(self) -> None:
        """Stop listening; every call goes back to its dialplan."""
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for call_id in tuple(self._expected):
            self.forget(call_id)
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

    def expect(self, call_id: str, within_s: float, *, rate: int = PHONE_RATE) -> None:
        """Let the call `call_id` (a UUID) connect once within `within_s` seconds, with audio at `rate` Hz."""
        key = str(UUID(call_id))
        self.forget(key)
        timer = asyncio.get_running_loop().call_later(within_s, self._expire, key)
        self._expected[key] = (rate, timer)

    def dial_string(self, call_id: str, rate: int) -> str:
        """Options of AudioSocket's channel where the application won't do, which has 8 kHz only. The dialplan has the
        address and the id, and makes `AudioSocket/ADDRESS/ID/OPTIONS` of it. Without `c` the caller's codec would
        come raw, as if it were PCM."""
        return "" if rate == PHONE_RATE else f"c(slin{rate // 1000})"

    def knows(self, call_id: str) -> bool:
        """Whether this UUID's audio is expected, or connected still."""
        return call_id in self._expected or any(one.call_id == call_id for one in self._connections)

    def forget(self, call_id: str) -> None:
        """The call will not come after all."""
        expected = self._expected.pop(call_id, None)
        if expected is not None:
            expected[1].cancel()

    def _expire(self, call_id: str) -> None:
        del self._expected[call_id]
        self.counts["expired"] += 1
        log.warning("audiosocket_never_came", expected_id=call_id)
        self.on_expired(call_id)

    # --- for the connections

    def admit(self, connection: "_Connection", peername: object) -> bool:
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

    def refused(self, reason: str, peername: object) -> None:
        self.counts[f"refused_{reason}"] += 1
        log.warning("audiosocket_refused", reason=reason, peer=peername)

    def claim(self, call_id: str) -> int | None:
        """The rate of an expected call, which is expected no longer; None for everybody else."""
        expected = self._expected.pop(call_id, None)
        if expected is None:
            return None
        expected[1].cancel()
        self.counts["accepted"] += 1
        return expected[0]

    def left(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _sweep(self) -> None:
        """A frozen Asterisk is noticed here only. Its kernel goes on acknowledging, and taking what we send: at a frame
        every 20 ms 970 kB, a minute's worth, without a write ever waiting (measured, Linux 6, its defaults). The limit
        is long for the sake of callers on hold, from whom nothing comes either."""
        horizon = time.monotonic() - self._idle_timeout_s
        for connection in tuple(self._connections):
            if connection.link is not None and connection.link.last_heard < horizon:
                self.counts["idle"] += 1
                connection.link.drop(LinkBroken(f"nothing came from the PBX for {self._idle_timeout_s:g} s"))
        every = max(0.05, min(self._idle_timeout_s / 4, 30.0))
        self._sweeper = asyncio.get_running_loop().call_later(every, self._sweep)


class _Connection(asyncio.Protocol):
    """One TCP connection: a stranger until its UUID has come, a link's bytes afterwards."""

    def __init__(self, server: AudioSocketServer) -> None:
        self.link: AudioSocketLink | None = None
        self.call_id = ""
        self._server = server
        self._hello = b""
        self._peer: object = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self._transport = transport
        self._peer = transport.get_extra_info("peername")
        if not self._server.admit(self, self._peer):
            transport.abort()
            return
        notice_death(transport.get_extra_info("socket"))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._server.handshake_timeout_s, self._refuse, "handshake_timeout")

    def data_received(self, data: bytes) -> None:
        if self.link is not None:
            self.link.received(data)
            return
        if self._timer is None:  # refused already
            return
        self._hello += data
        # Judged by its first byte on: a stranger's bytes are not collected
        if not b"\x01\x00\x10".startswith(self._hello[:3]):
            self._refuse("not_audiosocket")
        elif len(self._hello) >= _HELLO_BYTES:
            self._greet(self._hello[3:_HELLO_BYTES], self._hello[_HELLO_BYTES:])

    def eof_received(self) -> bool:
        if self.link is not None:
            self.link.lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.left(self)
        if self.link is not None:
            self.link.lost(exc)
        self._disarm()

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
        else:
            self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()

    def _greet(self, payload: bytes, rest: bytes) -> None:
        call_id = str(wire.call_id(payload))
        rate = self._server.claim(call_id)
        if rate is None:
            self._refuse("unknown_id")
            return
        self._disarm()
        self.call_id = call_id
        self._hello = b""
        self.link = AudioSocketLink(
            self._transport,
            rate,
            write_limit_bytes=self._server.write_limit_bytes,
            on_ended=lambda link, how: self._ended(call_id, link, how),
        )
        try:
            self._server.on_connect(call_id, self.link)
        except Exception:
            # One call's fault in the listener's callback must not end as an unnamed loss of the connection
            log.exception("audiosocket_connect_failed")
            self.link.drop(LinkBroken("the call could not be taken over"))
        if rest:
            self.link.received(rest)

    def _ended(self, call_id: str, link: AudioSocketLink, how: LinkEnded) -> None:
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)
        self._server.counts[type(how).__name__] += 1
        self._server.on_ended(call_id, link, how)

    def _refuse(self, reason: str) -> None:
        self._disarm()
        self._server.refused(reason, self._peer)
        self._transport.abort()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
