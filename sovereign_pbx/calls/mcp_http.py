"""The MCP library's HTTP requests, made by our own client: its guards hold for MCP servers too.

Names are looked up in threads of their own and checked as those of webhooks are, nothing is decompressed, no cookie is
kept, redirects are left to the library (which stays within the server's origin), and what a server may send is bounded.
Imported together with the library, and used on its loop only.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import httpx2
from yarl import URL

_LINE_COST = 100  # a line is an event of its own in a stream, and costs more than its characters
_STREAM = 4  # as much as so many answers, for they all come over one stream; then what flows in again in its time
_REFILL_PER_S = 64_000.0
_CONNECT_S = 5.0
_BETWEEN_STREAMS_S = 0.5  # the library opens one anew when the server says so, at once if it says that too
_OURS = {b"host", b"content-length", b"accept-encoding", b"connection", b"transfer-encoding"}


class Budget:
    """What a response may bring: `most` bytes in all; over a `stream` that stays open more, and more in time."""

    def __init__(self, most: int, *, stream: bool) -> None:
        self._most = float(most * _STREAM if stream else most)
        self._left = self._most
        self._refilled = stream
        self._at = time.monotonic()

    def take(self, chunk: bytes) -> None:
        """Raises httpx2.ReadError when it is too much."""
        now = time.monotonic()
        if self._refilled:
            self._left = min(self._most, self._left + (now - self._at) * _REFILL_PER_S)
        self._at = now
        self._left -= len(chunk) + _LINE_COST * chunk.count(b"\n")
        if self._left < 0:
            raise httpx2.ReadError(f"the server sends more than {self._most:.0f} bytes")


class Body(httpx2.AsyncByteStream):
    """A response's bytes, as they come."""

    def __init__(
        self, response: aiohttp.ClientResponse, budget: Budget, broken: Callable[[str], None], *, endless: bool
    ) -> None:
        self._response = response
        self._budget = budget
        self._broken = broken
        self._endless = endless

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                self._budget.take(chunk)
                yield chunk
            if self._endless:
                self._broken("the server closed the connection")
        except httpx2.ReadError as exc:
            self._broken(str(exc))
            raise
        except (aiohttp.ClientError, OSError) as exc:
            self._broken("the connection was dropped")
            raise httpx2.ReadError("the connection was dropped") from exc

    async def aclose(self) -> None:
        self._response.close()


class Transport(httpx2.AsyncBaseTransport):
    """Sends by `session`, which stays open. Raises what httpx2's own transport raises: ConnectError, ReadError.

    `broken` is told, and why, when a stream (GET) is over or a POST came to nothing within `accept_s`: over SSE that is
    the end of a connection, of which the library itself says nothing. `refused` is told with what status a POST was.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        max_bytes: int,
        *,
        refused: Callable[[int], None],
        broken: Callable[[str], None] = lambda why: None,
        accept_s: float | None = None,
    ) -> None:
        self._session = session
        self._max_bytes = max_bytes
        self._refused = refused
        self._broken = broken
        self._accept_s = accept_s
        self._next_stream = 0.0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        stream = request.method == "GET"
        if stream:
            await self._space()
        try:
            async with asyncio.timeout(None if stream else self._accept_s):
                response = await self._sent(request)
        except (httpx2.TransportError, TimeoutError) as exc:
            self._broken(str(exc) or f"no answer within {self._accept_s:g} s")
            raise
        if response.status >= 300 and not stream:
            self._refused(response.status)
        body = Body(response, Budget(self._max_bytes, stream=stream), self._broken, endless=stream)
        return httpx2.Response(response.status, headers=list(response.raw_headers), stream=body, request=request)

    async def _sent(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        sent = await request.aread()
        headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers.raw if _is_theirs(name)]
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                data=sent or None,
                headers=[*headers, ("Accept-Encoding", "identity")],
                allow_redirects=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            )
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise httpx2.ConnectError(_words(exc)) from exc
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            response.close()
            raise httpx2.ReadError("the answer is compressed, which was not asked for")
        return response

    async def _space(self) -> None:
        now = time.monotonic()
        self._next_stream = max(now, self._next_stream) + _BETWEEN_STREAMS_S
        await asyncio.sleep(self._next_stream - _BETWEEN_STREAMS_S - now)


def _is_theirs(name: bytes) -> bool:
    return name.lower() not in _OURS


def _words(exc: Exception) -> str:
    """Without addresses and paths, which may hold a token."""
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "the host name is not known"
    if isinstance(exc, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "TLS failed"
    if isinstance(exc, TimeoutError):
        return "no connection in time"
    number = getattr(exc, "errno", None)
    reason = os.strerror(number) if isinstance(number, int) else type(exc).__name__
    return f"no connection: {reason}"
