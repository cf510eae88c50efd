"""Provider websockets on aiohttp: every connect, send and close has a deadline, every failure is a ProviderError.

Raw aiohttp instead of the vendors' SDKs on live calls: a peer that accepts TCP and never answers the upgrade holds
deepgram-sdk 7.16 for 10 to 20 s whatever timeout is put around it, aiohttp for exactly the deadline given.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sovereign_pbx.core.errors import ConfigError, ProviderError, ProviderFault, Stage

CLOSE_S = 0.5
# The kernel gives up on a peer that acknowledges nothing, or keeps its window shut, for this long.
UNACKNOWLEDGED_MS = 5000
# Two seconds of 8 kHz PCM: the default of some megabytes would hide a stalled peer for minutes.
SEND_BUFFER_BYTES = 32768
PERMANENT = frozenset({400, 401, 402, 403, 404, 405, 410, 422})


def fault_of_status(status: int) -> ProviderFault:
    """Whether an HTTP status is worth another try with the same key and request."""
    return "denied" if status in PERMANENT else "refused"


def one_line(text: object, limit: int = 200) -> str:
    """A peer's words made fit for a log line."""
    return " ".join("".join(ch if ch.isprintable() else " " for ch in str(text)).split())[:limit]


def address(base_url: str, where: str, *, websocket: bool) -> str:
    """`base_url` without a trailing slash, as ws(s) or http(s) as the transport needs; ConfigError if it is no URL."""
    parts = urlsplit(base_url)
    secure = {"wss": True, "https": True, "ws": False, "http": False}.get(parts.scheme)
    if secure is None or not parts.netloc:
        raise ConfigError(
            f"{where}: base_url is not an http(s) or ws(s) address",
            key="base_url",
            remedy="write it like https://host or ws://127.0.0.1:8080",
        )
    scheme = ("wss" if secure else "ws") if websocket else ("https" if secure else "http")
    return parts._replace(scheme=scheme, query="", fragment="").geturl().rstrip("/")


class Socket:
    """One open provider websocket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, provider: str, stage: Stage, send_s: float) -> None:
        self._ws = ws
        self._provider = provider
        self._stage = stage
        self._send_s = send_s

    @property
    def closed(self) -> bool:
        """True once either side has ended it and that has been noticed."""
        return self._ws.closed

    async def send(self, message: str | bytes) -> None:
        """Send one text or binary message. Raises ProviderError `stalled` or `dropped`."""
        try:
            async with asyncio.timeout(self._send_s):
                await self.hand_over(message)
        except TimeoutError as exc:
            raise self.deaf() from exc

    async def hand_over(self, message: str | bytes) -> None:
        """`send` for fifty frames a second: without a timer of its own, which the caller has to make up for."""
        try:
            if isinstance(message, str):
                await self._ws.send_str(message)
            else:
                await self._ws.send_bytes(message)
        except TimeoutError:
            raise
        except (OSError, aiohttp.ClientError, RuntimeError) as exc:
            raise self.fault("dropped", one_line(exc)) from exc

    async def receive(self) -> str | bytes:
        """The next message. Raises ProviderError `dropped` (with the close code and reason) at the end."""
        message = await self._ws.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise self.fault("dropped", one_line(f"closed by the peer: {message.data} {message.extra or ''}"))
        raise self.fault("dropped", one_line(self._ws.exception() or "connection lost"))

    async def close(self, farewell: str | None = None) -> None:
        """Say goodbye and close, within a second. Never raises."""
        if farewell is not None and not self._ws.closed:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._ws.send_str(farewell)
            except (OSError, aiohttp.ClientError, RuntimeError):  # TimeoutError is an OSError
                pass
        await self._ws.close()

    def deaf(self) -> ProviderError:
        """The error for a peer that lets a message wait too long."""
        return self.fault("stalled", f"the peer has read nothing for {self._send_s:g} s")

    def is_deaf(self, waiting_s: float) -> bool:
        """Whether a message that has waited for so long means that the peer stopped reading."""
        return waiting_s > self._send_s

    def fault(self, kind: ProviderFault, detail: str) -> ProviderError:
        return ProviderError(self._provider, self._stage, kind, detail)


class Sockets:
    """Opens a provider's websockets; owns the client session behind them.

    `headers` carry the key: they are kept out of every error and repr.
    """

    def __init__(
        self,
        provider: str,
        stage: Stage,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_s: float = 2.0,
        send_s: float = 1.0,
    ) -> None:
        self._provider = provider
        self._stage = stage
        self._base_url = address(base_url, f"[providers.{provider}]", websocket=True)
        self._headers = dict(headers)
        self._connect_s = connect_s
        self._send_s = send_s
        self._session: aiohttp.ClientSession | None = None

    async def connect(self, path: str, query: Sequence[tuple[str, str]], *, within_s: float | None = None) -> Socket:
        """Open `path` or raise ProviderError: `denied`, `refused`, or `stalled` after the deadline."""
        deadline_s = self._connect_s if within_s is None else min(within_s, self._connect_s)
        try:
            async with asyncio.timeout(deadline_s):
                ws = await self._client().ws_connect(
                    self._base_url + path,
                    params=list(query),
                    headers=self._headers,
                    compress=0,
                    heartbeat=None,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except TimeoutError as exc:
            raise self._fault("stalled", f"no handshake within {deadline_s:g} s") from exc
        except aiohttp.WSServerHandshakeError as exc:
            why = (exc.headers.get("dg-error") if exc.headers else None) or exc.message
            raise self._fault(fault_of_status(exc.status), one_line(f"HTTP {exc.status}: {why}")) from exc
        except (OSError, aiohttp.ClientError, ValueError) as exc:
            raise self._fault("refused", one_line(exc)) from exc
        return Socket(ws, self._provider, self._stage, self._send_s)

    async def aclose(self) -> None:
        """Close the client session and whatever is still open on it."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # force_close: a connection whose handshake was turned down is of no use to anybody
            connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, force_close=True, socket_factory=_socket)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session

    def _fault(self, kind: ProviderFault, detail: str) -> ProviderError:
        return ProviderError(self._provider, self._stage, kind, detail)


def _socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket that notices a dead or stalled peer by itself."""
    family, kind, proto, *_ = info
    sock = socket.socket(family, kind, proto)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux, RFC 5482
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return sock
