"""Webhook receivers for tests: a strict one that refuses what a careful customer's would, and some that misbehave."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import unused_port

SECRET = "s3cret-ü"


@dataclass
class Got:
    """One accepted request."""

    event: str
    webhook_id: str
    timestamp: int
    body: dict[str, Any]
    over: asyncio.Event  # set when the test is over


@dataclass
class Receiver:
    """Verifies every request as contract §8.2 and §8.3 describe; anything wrong is remembered and answered 400.

    `answer` decides what a good request is answered; `got` holds the good ones in order.
    """

    answer: Callable[[Got], Awaitable[web.StreamResponse]]
    secret: str = SECRET
    got: list[Got] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        fault = self._fault(request, raw)
        if fault:
            self.refused.append(fault)
            return web.Response(status=400, text=fault)
        timestamp = int(request.headers["X-Webhook-Timestamp"])
        got = Got(
            request.headers["X-Webhook-Event"], request.headers["X-Webhook-Id"], timestamp, json.loads(raw), self.over
        )
        self.got.append(got)
        return await self.answer(got)

    def _fault(self, request: web.Request, raw: bytes) -> str:
        head = request.headers
        if request.method != "POST" or head.get("Content-Type") != "application/json":
            return "not a JSON POST"
        for name in ("User-Agent", "X-Webhook-Event", "X-Webhook-Timestamp", "X-Webhook-Id"):
            if len(head.getall(name, [])) != 1:
                return f"{name} must be there once"
        if not head["X-Webhook-Timestamp"].isdecimal():
            return "the timestamp must be whole Unix seconds"
        if not self.secret:
            return "a signature without a secret" if "X-Webhook-Signature" in head else ""
        signed = head["X-Webhook-Timestamp"].encode() + b"." + raw
        expected = "sha256=" + hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        return "" if hmac.compare_digest(expected, head.get("X-Webhook-Signature", "")) else "wrong signature"


async def fine(got: Got) -> web.StreamResponse:
    return web.Response(status=204)


def answering(body: bytes, status: int = 200, **headers: str) -> Callable[[Got], Awaitable[web.StreamResponse]]:
    async def answer(got: Got) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def never(got: Got) -> web.StreamResponse:
    await got.over.wait()
    return web.Response()


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    """The receiver on a free loopback port, its address in `url`."""
    app = web.Application(client_max_size=20_000_000)
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=5.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        receiver.over.set()
        await runner.cleanup()


@asynccontextmanager
async def raw_server(*parts: bytes, every_s: float = 0.0, endless: bytes = b"") -> AsyncIterator[str]:
    """A server that reads a request, writes these bytes (then `endless` until the peer goes) and closes; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(every_s)
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(every_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer had enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()


def dead_url() -> str:
    """An address where nobody listens."""
    return f"http://127.0.0.1:{unused_port()}/hook"
