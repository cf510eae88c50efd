"""The MCP servers whose tools assistants use (contract §11.1.5, §22): connections shared by all calls, bounded.

The client library parses whatever a server sends, writes tracebacks of it, and takes 0.6 s to import. So it has a loop
in a thread of its own: a server that floods or misleads it costs other callers next to nothing, at most the 5 ms after
which the interpreter changes threads.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from aiohttp import ClientSession

from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.calls.mcp_result import McpFailed, Told
from sovereign_pbx.calls.remote_tool import RemoteTool
from sovereign_pbx.calls.side_loop import SideLoop, SideLoopClosed

if TYPE_CHECKING:
    from sovereign_pbx.calls.mcp_session import Connection

log = structlog.get_logger(__name__)

T = TypeVar("T")

MOST_BYTES: Final = 300_000
"""Of one answer. The library holds the interpreter while it checks a message: 900 kB of tools cost everybody 0.1 s."""

MOST_CONNECTIONS: Final = 32
FIRST_BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 10.0  # so long a server that is back may still count as away

_Key = tuple[Any, ...]


class McpServers:
    """Everybody's MCP servers. Made once; `close` when the last call is over."""

    def __init__(self, open_session: Callable[[], ClientSession], *, max_bytes: int = MOST_BYTES) -> None:
        most = min(max_bytes, MOST_BYTES)
        self._loop: SideLoop[_Connections] = SideLoop("mcp", lambda: _living(open_session, most))

    async def preload(self) -> None:
        """Begin the thread and import the library, before a caller has to wait for it. Raises nothing."""
        try:
            await self._run(_nothing)
        except McpFailed as exc:
            log.error("mcp.not_available", error=str(exc))

    async def tools(self, server: McpServer) -> tuple[RemoteTool, ...]:
        """The server's tools, at most half a minute old. Raises McpFailed."""
        return await self._run(lambda connections: connections.tools(server))

    async def call(self, server: McpServer, tool: str, arguments: dict[str, Any]) -> Told:
        """Run a tool within the server's `timeout_seconds`. Raises McpFailed."""
        try:
            async with asyncio.timeout(server.timeout_seconds):  # connecting anew, where it has to be, included
                return await self._run(lambda connections: connections.call(server, tool, arguments))
        except TimeoutError as exc:
            raise McpFailed(f"no answer within {server.timeout_seconds:g} s") from exc

    async def probe(self, server: McpServer) -> dict[str, Any]:
        """Connect anew and list: `{ok: true, duration_ms, tools}` or `{ok: false, duration_ms, error}` (§22)."""
        began = time.monotonic()
        try:
            tools = await self._run(lambda connections: connections.probe(server))
        except McpFailed as exc:
            return {"ok": False, "duration_ms": _ms_since(began), "error": str(exc)}
        listed = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema} for tool in tools
        ]
        return {"ok": True, "duration_ms": _ms_since(began), "tools": listed}

    async def close(self) -> None:
        """Close every connection, and wait for it."""
        await self._loop.close()

    async def _run(self, work: "Callable[[_Connections], Coroutine[Any, Any, T]]") -> T:
        try:
            return await self._loop.run(work)
        except ImportError as exc:
            remedy = "install sovereign-pbx with the extra mcp"
            raise McpFailed(f"MCP needs the package {exc.name}: {remedy}") from exc
        except SideLoopClosed as exc:
            raise McpFailed("the daemon is stopping") from exc


@dataclass(slots=True)
class _Away:
    """A server that could not be reached, and when it is worth another try."""

    until: float
    backoff_s: float
    why: str


class _Connections:
    """By server. Lives on the library's loop."""

    def __init__(self, make: "Callable[[McpServer], Connection]") -> None:
        self._make = make
        self._open: dict[_Key, Connection] = {}
        self._ending: set[Connection] = set()
        self._away: dict[_Key, _Away] = {}

    async def tools(self, server: McpServer) -> tuple[RemoteTool, ...]:
        return await self._ask(server, lambda connection: connection.listed(), harmless=True)

    async def call(self, server: McpServer, tool: str, arguments: dict[str, Any]) -> Told:
        return await self._ask(server, lambda connection: connection.call(tool, arguments), harmless=False)

    async def _ask(
        self, server: McpServer, asking: "Callable[[Connection], Coroutine[Any, Any, T]]", *, harmless: bool
    ) -> T:
        """Once; anew over another connection where the server has forgotten this one and so has done nothing, or where
        the connection was lost and it does no harm to ask twice."""
        connection = await self._connection(server)
        try:
            return await asking(connection)
        except McpFailed as exc:
            if not exc.gone and not (harmless and connection.closing):
                raise
        log.info("mcp.connection_renewed", server=server.name)
        self._drop(connection)
        return await asking(await self._connection(server))

    async def probe(self, server: McpServer) -> tuple[RemoteTool, ...]:
        connection = self._make(server)
        try:
            return await connection.listed()
        finally:
            await connection.close()

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in (*self._open.values(), *self._ending)))

    async def _connection(self, server: McpServer) -> "Connection":
        key = _key(server)
        connection = self._open.get(key)
        if connection is None or connection.closing:
            self._not_away(key)
            self._make_room()
            connection = self._open[key] = self._make(server)
        try:
            await connection.ready()
        except McpFailed as exc:
            self._note_away(key, connection, exc)
            raise
        self._away.pop(key, None)
        return connection

    def _not_away(self, key: _Key) -> None:
        away = self._away.get(key)
        if away is not None and time.monotonic() < away.until:
            raise McpFailed(away.why)

    def _note_away(self, key: _Key, connection: "Connection", exc: McpFailed) -> None:
        if self._open.get(key) is not connection:
            return  # another caller who waited for the same attempt has noted it
        del self._open[key]
        known = self._away.get(key)
        backoff_s = min(LONGEST_BACKOFF_S, 2 * known.backoff_s) if known else FIRST_BACKOFF_S
        until = time.monotonic() + backoff_s * random.uniform(0.5, 1.0)
        if len(self._away) >= 4 * MOST_CONNECTIONS:
            self._away.clear()
        self._away[key] = _Away(until, backoff_s, str(exc))

    def _make_room(self) -> None:
        for key, connection in list(self._open.items()):
            if connection.closing:
                self._ending.add(self._open.pop(key))
        self._ending = {connection for connection in self._ending if not connection.closed}
        if len(self._open) < MOST_CONNECTIONS:
            return
        idle = [connection for connection in self._open.values() if not connection.busy]
        if not idle:
            raise McpFailed(f"more than {MOST_CONNECTIONS} MCP servers are in use at once")
        min(idle, key=lambda connection: connection.used_at).leave()

    def _drop(self, connection: "Connection") -> None:
        key = _key(connection.server)
        if self._open.get(key) is connection:  # else another caller has replaced it already
            del self._open[key]
            self._ending.add(connection)
        connection.leave()


@asynccontextmanager
async def _living(open_session: Callable[[], ClientSession], max_bytes: int) -> AsyncIterator[_Connections]:
    """Imports the library here, in its own thread. Its log quotes what servers send, so that ours says what matters."""
    from sovereign_pbx.calls.mcp_session import Connection

    for name in ("mcp", "client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    async with open_session() as http:
        connections = _Connections(lambda server: Connection(server, http, max_bytes))
        try:
            yield connections
        finally:
            await connections.close()


def _key(server: McpServer) -> _Key:
    return (server.id, server.url, server.transport, server.timeout_seconds, *sorted(server.headers.items()))


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


async def _nothing(_: _Connections) -> None:
    return
