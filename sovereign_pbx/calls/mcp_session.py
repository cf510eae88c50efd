"""One MCP server's connection (contract §22), through the official client library. Lives on the library's own loop.

The library's cancel scopes belong to the task that entered them, so one task owns the connection from its opening to
its end; requests are made by whoever needs them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx2
import mcp_types
import structlog
from aiohttp import ClientSession
from mcp import MCPError
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.calls.mcp_http import Transport
from sovereign_pbx.calls.mcp_result import McpFailed, Told, told
from sovereign_pbx.calls.remote_tool import RemoteTool, listed
from sovereign_pbx.core.errors import SovereignError

log = structlog.get_logger(__name__)

T = TypeVar("T")

IDLE_S = 120.0  # a server that nobody needs is let go
LISTED_S = 30.0  # so long a list of tools is believed; calls that come in the meantime don't ask again
_CLOSE_S = 3.0
_GONE = 404
_ANY_STATUS = "Server returned an error response"  # the library's words for every status but 404
_NO_MCP = "the server's answer is not what MCP asks for"
_MOST_PAGES = 10
_MOST_TOOLS = 500
_MOST_AT_ONCE = 64


class Connection:
    """An open connection, or one that is being opened; `closing` says that it is for no more requests."""

    def __init__(self, server: McpServer, http: ClientSession, max_bytes: int) -> None:
        self.server = server
        self.busy = 0
        self.used_at = time.monotonic()
        self.tools: tuple[RemoteTool, ...] = ()
        self._listed_at = 0.0
        self._listing = asyncio.Lock()
        self._http = http
        self._max_bytes = max_bytes
        self._why: McpFailed | None = None
        self._status = 0  # of the last request that was not accepted
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._live(), name=f"mcp-{server.id}")

    @property
    def closing(self) -> bool:
        return self._leave.is_set() or self._owner.done()

    @property
    def closed(self) -> bool:
        return self._owner.done()

    def leave(self) -> None:
        """End it in order, soon."""
        self._leave.set()

    async def ready(self) -> None:
        """Wait until it is open and its tools are known. Raises McpFailed."""
        await asyncio.shield(self._ready)

    async def listed(self) -> tuple[RemoteTool, ...]:
        """The tools, as they were half a minute ago at the earliest. Raises McpFailed."""
        await self.ready()
        async with self._listing:
            if time.monotonic() - self._listed_at > LISTED_S:
                await self._during(self._list(self._ready.result()))
        return self.tools

    async def call(self, name: str, arguments: dict[str, Any]) -> Told:
        """Run one tool. Raises McpFailed; nothing is asked twice."""
        await self.ready()
        request = mcp_types.CallToolRequest(params=mcp_types.CallToolRequestParams(name=name, arguments=arguments))
        # Not Client.call_tool: that validates the result against the server's own schema, on this loop and unbounded.
        asking = self._ready.result().session.send_request(request, mcp_types.CallToolResult)
        return told(await self._during(asking))

    async def close(self) -> None:
        """End it, and wait for that."""
        self._leave.set()
        if not self._ready.done():
            self._owner.cancel()
        await asyncio.wait({self._owner}, timeout=2 * _CLOSE_S)

    async def _during(self, asking: Coroutine[Any, Any, T]) -> T:
        """The answer, if it comes in time and before the connection's end."""
        if self.busy >= _MOST_AT_ONCE:
            asking.close()
            raise McpFailed(f"more than {_MOST_AT_ONCE} requests at once")
        self.busy += 1
        request = asyncio.ensure_future(asking)
        try:
            await asyncio.wait(
                {request, self._owner}, timeout=self.server.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if request.done():
                return request.result()
            raise self._lost() if self._owner.done() else McpFailed(self._late())
        except MCPError as exc:
            if exc.code == mcp_types.CONNECTION_CLOSED:  # its owner knows more, in a moment
                self._leave.set()
                await asyncio.wait({self._owner}, timeout=_CLOSE_S)
            raise (self._lost() if self._owner.done() else self._failed(exc)) from exc
        except Exception as exc:
            raise failed(exc) from exc
        finally:
            self.busy -= 1
            self.used_at = time.monotonic()
            if not request.done():
                request.cancel()
                await asyncio.wait({request}, timeout=_CLOSE_S)

    def _lost(self) -> McpFailed:
        return self._why or McpFailed("the connection was lost")

    def _late(self) -> str:
        return f"no answer within {self.server.timeout_seconds:g} s"

    # --- the owner

    async def _live(self) -> None:
        now = asyncio.get_running_loop().time
        try:
            async with (
                asyncio.timeout(self.server.timeout_seconds) as limit,
                connected(self.server, self._http, self._max_bytes, deaf=self._deaf, refused=self._refused) as client,
            ):
                await self._list(client)
                limit.reschedule(None)
                self._status = 0  # older servers refuse the first question of a newer client
                self._ready.set_result(client)
                await self._stay()
                self._leave.set()
                limit.reschedule(now() + _CLOSE_S)  # the server is told, and may be slow to listen
        except TimeoutError:
            self._fail(McpFailed(self._late()))
        except Exception as exc:
            self._fail(self._failed(exc))
        except asyncio.CancelledError:
            self._fail(McpFailed("it was closed"))
            raise
        finally:
            self._leave.set()

    def _deaf(self, why: str) -> None:
        """Nothing comes from the server any more, and the library would only notice at the next request."""
        if not self._leave.is_set():
            self._why = McpFailed(why)
            self._leave.set()

    def _refused(self, status: int) -> None:
        self._status = status

    def _failed(self, exc: Exception) -> McpFailed:
        """With the status that the library keeps to itself: 404 says that the server has forgotten the session."""
        found = failed(exc)
        words = answered(self._status) if found.why == _ANY_STATUS and self._status else found.why
        return McpFailed(words, gone=self._status == _GONE and self._ready.done())

    def _fail(self, why: McpFailed) -> None:
        self._why = self._why or why
        if not self._ready.done():
            self._ready.set_exception(why)
            self._ready.exception()  # looked at: whoever waited may have given up
        elif not self._leave.is_set():
            log.warning("mcp.connection_lost", server=self.server.name, error=str(why))

    async def _stay(self) -> None:
        while not self._leave.is_set():
            left = self.used_at + IDLE_S - time.monotonic()
            if left <= 0 and not self.busy:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(max(left, 1.0)):
                    await self._leave.wait()

    async def _list(self, client: Client) -> None:
        tools: list[RemoteTool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await client.session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            tools += [listed(tool.name, tool.description or "", tool.input_schema) for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None or len(tools) >= _MOST_TOOLS:
                break
        self.tools, self._listed_at = tuple(tools[:_MOST_TOOLS]), time.monotonic()


@asynccontextmanager
async def connected(
    server: McpServer,
    http: ClientSession,
    max_bytes: int,
    *,
    deaf: Callable[[str], None],
    refused: Callable[[int], None],
) -> AsyncIterator[Client]:
    """The library's client, its handshake done. `deaf` is told when the SSE transport is of no more use, `refused` with
    what status a request was: the library keeps that to itself."""
    sse = server.transport == "sse"

    def client(
        headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
    ) -> httpx2.AsyncClient:
        sending = Transport(http, max_bytes, refused=refused)
        if sse:
            sending = Transport(
                http,
                max_bytes,
                refused=lambda status: deaf(answered(status)),
                broken=deaf,
                accept_s=server.timeout_seconds,
            )
        return httpx2.AsyncClient(transport=sending, headers=dict(server.headers), timeout=None, trust_env=False)

    if sse:
        transport: Any = sse_client(server.url, httpx_client_factory=client)
        async with Client(transport, mode="legacy", cache=None) as talking:
            yield talking
        return
    async with client() as made:
        transport = streamable_http_client(server.url, http_client=made, max_sse_event_size=max_bytes)
        async with Client(transport, cache=None) as talking:
            yield talking


def failed(exc: BaseException) -> McpFailed:
    """What went wrong, in one line without addresses. Groups are opened: the library's task groups make them."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    if isinstance(exc, McpFailed):
        return exc
    if isinstance(exc, MCPError) and exc.code == mcp_types.PARSE_ERROR:
        return McpFailed(_NO_MCP)
    if isinstance(exc, MCPError):
        return McpFailed(_line(exc.message) or "the server refused")
    if isinstance(exc, httpx2.HTTPStatusError):
        return McpFailed(f"the server answered {exc.response.status_code}")
    if isinstance(exc, httpx2.TransportError):
        return McpFailed(_line(str(exc)) or "the connection was lost")
    if isinstance(exc, SovereignError):
        return McpFailed(_line(str(exc)))
    if isinstance(exc, TimeoutError):
        return McpFailed("no answer in time")
    if isinstance(exc, ValidationError | ValueError | RuntimeError):
        return McpFailed(_NO_MCP)
    return McpFailed(f"failed: {type(exc).__name__}")


def answered(status: int) -> str:
    return f"the server answered {status}"


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:300]).strip()
