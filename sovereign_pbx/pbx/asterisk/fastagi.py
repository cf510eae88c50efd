"""The FastAGI listener: a handler for each path, and no way for a peer to hold it up."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog

from sovereign_pbx.core.errors import BadInput, ConfigError, LinkEnded, LinkFinished
from sovereign_pbx.pbx.asterisk.agi_session import AgiSession
from sovereign_pbx.pbx.asterisk.peers import Peers

log = structlog.get_logger(__name__)

Handler = Callable[[AgiSession], Awaitable[None]]

_BACKLOG: Final = 256
# uvloop takes one connection off a listening socket in a turn of the loop (libuv 1.45 and later; asyncio's own loop as
# many as wait). When turns are long, which is when callers have to be turned away, 40 of them waited 41 turns; with
# eight handles on the one socket they wait 6.
_MORE_HANDLES: Final = 7


class FastAgiServer:
    """Listens for `AGI(agi://host:port/path,…)`.

    `handlers` maps paths without slashes. A handler ends by returning; its connection is closed behind it, which
    Asterisk takes for success. What a handler raises is logged, and closes the connection too: the dialplan then finds
    its variables unset and goes to the fallback.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handlers: Mapping[str, Handler],
        *,
        header_timeout_s: float = 5.0,
        command_timeout_s: float = 2.0,
        max_connections: int = 256,
        permit: Iterable[str] = (),
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._host, self._port = host, port
        self._handlers = handlers
        self._header_timeout_s = header_timeout_s
        self._command_timeout_s = command_timeout_s
        self._max_connections = max_connections
        self._peers = Peers(permit, "asterisk.agi.permit")
        self._server: asyncio.Server | None = None
        self._more: list[asyncio.Server] = []  # on the same socket
        self._tasks: dict[AgiSession, asyncio.Task[None]] = {}

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the real port where 0 was asked for."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def statistics(self) -> dict[str, int]:
        """connections, and how many were served (by path) or refused (by reason) since the start."""
        return {"connections": len(self._tasks), **self.counts}

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address can't be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: AgiSession(self._accept), self._host, self._port, backlog=_BACKLOG
            )
            self._more = [
                await self._another(listening) for listening in self._server.sockets for _ in range(_MORE_HANDLES)
            ]
        except OSError as exc:
            raise ConfigError(
                f"FastAGI can't listen on {self._host}:{self._port}: {exc.strerror}",
                key="asterisk.agi",
                remedy="Choose a free port and an address of this machine.",
            ) from exc

    async def _another(self, listening: socket.socket) -> asyncio.Server:
        """A further handle of a listening socket."""
        loop = asyncio.get_running_loop()
        copy = socket.socket(fileno=os.dup(listening.fileno()))
        return await loop.create_server(lambda: AgiSession(self._accept), sock=copy, backlog=_BACKLOG)

    async def close(self) -> None:
        """Stop listening and end every connection; their dialplans go to the fallback."""
        if self._server is None:
            return
        for server in (self._server, *self._more):
            server.close()
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None

    def _accept(self, session: AgiSession) -> bool:
        reason = ""
        if not self._peers.admits(session.peer):
            reason = "not_permitted"
        elif len(self._tasks) >= self._max_connections:
            reason = "full"
        if reason:
            self._refused(reason, session)
            return False
        session.command_timeout_s = self._command_timeout_s
        self._tasks[session] = asyncio.get_running_loop().create_task(self._serve(session))
        return True

    async def _serve(self, session: AgiSession) -> None:
        try:
            await self._dispatch(session)
        except LinkFinished as exc:
            self.counts["hung_up"] += 1
            log.info("agi_ended_by_caller", why=str(exc))
        except (LinkEnded, BadInput) as exc:
            self.counts[f"failed_{type(exc).__name__}"] += 1
            log.warning("agi_failed", peer=session.peer, why=str(exc))
        except Exception:
            self.counts["failed"] += 1
            log.exception("agi_handler_failed", peer=session.peer)
        finally:
            session.close()
            del self._tasks[session]

    async def _dispatch(self, session: AgiSession) -> None:
        request = await session.read_request(self._header_timeout_s)
        path = request.variables.get("network_script", "").partition("?")[0].strip("/")
        handler = self._handlers.get(path)
        if handler is None:
            self._refused("unknown_path", session)
            return
        self.counts[f"served_{path}"] += 1
        await handler(session)

    def _refused(self, reason: str, session: AgiSession) -> None:
        self.counts[f"refused_{reason}"] += 1
        log.warning("agi_refused", reason=reason, peer=session.peer)
