"""What the scripted servers share: starting, stopping, faults at connect, and a socket with an outbox."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from sovereign_pbx.testing.providers.faults import Fault, Faults

STALL_S = 3600.0
OUTBOX_LIMIT = 4096  # full: the client reads nothing; it is dropped


class ScriptedServer:
    """A scripted vendor on a loopback port of its own."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.open_requests = 0  # being served right now: 0 after everybody has let go
        self._runner: web.AppRunner | None = None
        self._port = 0

    def routes(self) -> list[web.RouteDef]:
        """The vendor's endpoints."""
        raise NotImplementedError

    def received(self) -> dict[str, Any]:
        """Counters of what came in, as JSON."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 picks a free one."""
        self._runner, self._port = await serve(self.routes(), port)

    async def stop(self) -> None:
        """Drop every connection and stop listening. `start(port)` may follow, as after an outage."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        return self._port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def guarded(
        self, handler: Callable[[web.Request, Fault | None], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The handler behind the faults that happen before it, counted while it runs."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self.open_requests += 1
            try:
                fault = self.faults.take()
                if fault is not None and fault.at == "connect":
                    return await fail_at_connect(request, fault)
                return await handler(request, fault)
            finally:
                self.open_requests -= 1

        return handle


async def serve(routes: list[web.RouteDef], port: int) -> tuple[web.AppRunner, int]:
    """Serve `routes` on 127.0.0.1; returns the runner and the port."""
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.add_routes(routes)
    # handler_cancellation: a client that goes away cancels its handler, as the vendors stop generating.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024, reuse_address=True)
    await site.start()
    bound: int = runner.addresses[0][1]
    return runner, bound


async def fail_at_connect(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Refuse, deny, stall or drop instead of answering."""
    if fault.kind == "stall":
        await asyncio.sleep(STALL_S)
    if fault.kind in ("refuse", "deny"):
        return web.json_response(
            {"error": {"message": f"scripted {fault.kind}", "type": "scripted"}}, status=fault.http_status
        )
    cut(request)
    return web.Response()


def cut(request: web.Request) -> None:
    """Reset the client's connection."""
    if request.transport is not None:
        request.transport.abort()


class Talk:
    """One websocket: what the vendor has to say goes through `say`, in order, from timers as well."""

    def __init__(self, request: web.Request, fault: Fault | None, faults: Faults) -> None:
        self.request = request
        self._faults = faults
        self.ws = web.WebSocketResponse(compress=False, heartbeat=None, timeout=0.5)
        self.fault = fault
        self.close_code: int | None = None
        self._outbox: asyncio.Queue[str | tuple[int, str]] = asyncio.Queue(OUTBOX_LIMIT)
        self._said = 0
        self._silent = False

    def say(self, message: dict[str, Any]) -> None:
        """Queue a message; the fault of this connection may eat it."""
        if not self._silent:
            self._put(json.dumps(message))

    def hang_up(self, code: int, reason: str) -> None:
        """Close from the vendor's side, behind what is queued."""
        self._put((code, reason))

    async def run(self, hear: Callable[[Any], None]) -> None:
        """Serve until either side closes. `hear` gets str or bytes."""
        await self.ws.prepare(self.request)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write())
                try:
                    async for message in self.ws:
                        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                            hear(message.data)
                finally:
                    writer.cancel()
        except* (ConnectionError, asyncio.QueueFull):
            cut(self.request)
        self.close_code = self.ws.close_code

    def _put(self, item: str | tuple[int, str]) -> None:
        try:
            self._outbox.put_nowait(item)
        except asyncio.QueueFull:
            cut(self.request)

    async def _write(self) -> None:
        while True:
            item = await self._outbox.get()
            if isinstance(item, tuple):
                code, reason = item
                await self.ws.close(code=code, message=reason.encode())
                return
            self.fault = self.fault or self._faults.take_now()
            if self.fault is not None and self._said >= (1 if self.fault.at == "middle" else 0):
                await self._misbehave(self.fault)
                return
            self._said += 1
            await self.ws.send_str(item)

    async def _misbehave(self, fault: Fault) -> None:
        """Stall (go on reading, say nothing), drop, or talk nonsense."""
        self._silent = True
        if fault.kind == "garbage":
            await self.ws.send_str('{"type": "Results", "channel": [')
        elif fault.kind == "drop":
            cut(self.request)
