"""The sound of Asterisk's calls over chan_websocket: Asterisk connects, and names the call."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from sovereign_pbx.core.audio import PHONE_RATE, frame_bytes
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.websocket_link import WebSocketLink
from sovereign_pbx.pbx.carrier import OnExpired
from sovereign_pbx.pbx.websocket_server import Asked, Connection, Session, WebSocketServer
from sovereign_pbx.wire import chan_websocket as wire
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

PATH: Final = "/media"
SUBPROTOCOL: Final = "media"
PARAMETER: Final = "token"

# The dialplan sets it on the caller's channel with one underscore, so that the channel of the WebSocket inherits it.
VARIABLE: Final = "SOVEREIGN_MEDIA"

# 200 ms at 16 kHz beyond what the kernel took: a peer that far behind hears the past.
WRITE_LIMIT_BYTES: Final = 10 * frame_bytes(2 * PHONE_RATE)


@dataclass(frozen=True, slots=True)
class _Expected:
    rate: int
    timer: asyncio.TimerHandle


class WebSocketCarrier:
    """Takes each expected token once, within its time (`Carrier`).

    Asterisk has one configuration for all calls of a connection and writes each call's parameters into it just before
    it connects (`ast_websocket_client_add_uri_params`, 22.10): two calls at the same moment may both name the second
    one's token. What can't get mixed up is the variable of the channel itself, which MEDIA_START tells in JSON: it has
    the last word, and the address only gets a connection heard. An Asterisk before 20.18 and 22.8 tells no variables.
    """

    on_connect: Callable[[str, MediaLink], None]
    on_expired: OnExpired
    on_ended: Callable[[str, MediaLink, LinkEnded], None]

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connection: str,
        username: str = "",
        password: str = "",
        handshake_timeout_s: float = 2.0,
        stalled_s: float = 10.0,
        max_connections: int = 512,
        write_limit_bytes: int = WRITE_LIMIT_BYTES,
        permit: Iterable[str] = (),
    ) -> None:
        self.on_connect = lambda token, link: link.close()
        self.on_expired = lambda token: None
        self.on_ended = lambda token, link, how: None
        self.write_limit_bytes = write_limit_bytes
        self.stalled_s = stalled_s
        self._connection = connection
        self._expected: dict[str, _Expected] = {}
        self._links: dict[str, WebSocketLink] = {}
        self.server = WebSocketServer(
            host,
            port,
            key="asterisk.websocket",
            path=PATH,
            subprotocols=[SUBPROTOCOL],
            greet=self._greet,
            username=username,
            password=password,
            handshake_timeout_s=handshake_timeout_s,
            max_connections=max_connections,
            max_message=wire.MAX_MESSAGE,
            permit=permit,
            permit_key="asterisk.permit",
        )

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the real port where 0 was asked for."""
        return self.server.address

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address can't be had."""
        await self.server.start()

    async def close(self) -> None:
        """Stop listening; every call goes back to its dialplan."""
        for token in tuple(self._expected):
            self.forget(token)
        await self.server.close()

    def expect(self, token: str, within_s: float, *, rate: int = PHONE_RATE) -> None:
        key = str(UUID(token))
        self.forget(key)
        timer = asyncio.get_running_loop().call_later(within_s, self._expire, key)
        self._expected[key] = _Expected(rate, timer)

    def knows(self, token: str) -> bool:
        return token in self._expected or token in self._links

    def forget(self, token: str) -> None:
        expected = self._expected.pop(token, None)
        if expected is not None:
            expected.timer.cancel()

    def dial_string(self, token: str, rate: int) -> str:
        """Where an Asterisk does not know `f()`, it passes over it, and plain text comes."""
        return f"WebSocket/{self._connection}/c({wire.FORMAT_OF_RATE[rate]})f(json)v({PARAMETER}={token})"

    def statistics(self) -> Mapping[str, int]:
        """connections, expected, and how many were accepted, refused (by reason), mixed up or ended (by how)."""
        return {**self.server.statistics(), "expected": len(self._expected)}

    def _expire(self, token: str) -> None:
        del self._expected[token]
        self.server.counts["expired"] += 1
        log.warning("websocket_never_came", expected_id=token)
        self.on_expired(token)

    # --- for the sessions

    def _greet(self, connection: Connection, asked: Asked) -> Session | str:
        token = asked.parameters.get(PARAMETER, "")
        return _Call(self, connection, token) if self.knows(token) else "unknown_id"

    def claim(self, token: str, rate: int) -> str:
        """Why this is no call that is expected; "" for one that was, and is expected no longer."""
        expected = self._expected.get(token)
        if expected is None:
            return "unknown_id"
        if expected.rate != rate:
            return "another_rate"
        self.forget(token)
        self.server.counts["accepted"] += 1
        return ""

    def connected(self, token: str, link: WebSocketLink) -> None:
        self._links[token] = link
        self.on_connect(token, link)

    def left(self, token: str, link: WebSocketLink, how: LinkEnded) -> None:
        if self._links.get(token) is link:
            del self._links[token]
        self.server.counts[type(how).__name__] += 1
        self.on_ended(token, link, how)


class _Call:
    """One connection: it has named a call in its address, and becomes its link with MEDIA_START."""

    def __init__(self, carrier: WebSocketCarrier, connection: Connection, token: str) -> None:
        self._carrier, self._connection, self._token = carrier, connection, token
        self._link: WebSocketLink | None = None

    def text(self, text: str) -> None:
        if self._link is not None:
            self._link.text(text)
            return
        try:
            event = wire.parse(text)
            start = wire.media_start(event)
        except Malformed as exc:
            log.warning("websocket_unusable", why=str(exc))
            self._connection.refuse("unusable")
            return
        self._begin(event, start)

    def binary(self, data: bytes) -> None:
        if self._link is not None:
            self._link.binary(data)
        else:
            self._connection.refuse("unusable")

    def ended(self, how: LinkEnded) -> None:
        if self._link is not None:
            self._link.lost(how)

    def _begin(self, event: wire.Event, start: wire.MediaStart) -> None:
        token = event.variables.get(VARIABLE, "") or self._token
        if token != self._token:
            self._carrier.server.counts["mixed_up"] += 1
        if wrong := self._carrier.claim(token, start.rate):
            self._connection.refuse(wrong)
            return
        self._connection.settled()
        self._link = WebSocketLink(
            self._connection,
            start,
            is_json=event.is_json,
            write_limit_bytes=self._carrier.write_limit_bytes,
            stalled_s=self._carrier.stalled_s,
            on_ended=lambda link, how: self._carrier.left(token, link, how),
        )
        self._carrier.connected(token, self._link)
