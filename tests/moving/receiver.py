"""A customer's webhook receiver and tool server: verified by the raw body, read by type (contract §8.2, §8.3)."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.moving.events import SNAKE
from tests.moving.shapes import Check

MAX_AGE_S = 300
USER_AGENT = "HMS-Sovereign/1.0"


def verified(secret: str, headers: Mapping[str, str], raw: bytes, *, now: float) -> bool:
    """As the documentation has it; the library's own verifier takes a signature without the prefix as well."""
    signature, timestamp = headers.get("X-Webhook-Signature", ""), headers.get("X-Webhook-Timestamp", "")
    if not signature or not timestamp.isdecimal() or not secret:
        return False
    if abs(now - int(timestamp)) > MAX_AGE_S:
        return False
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={digest}", signature)


Answer = Callable[[dict[str, Any]], Any]
"""Given the `message`, what is answered as JSON; None is an empty 200."""


def nothing(message: dict[str, Any]) -> Any:
    return None


@dataclass
class CustomersServer:
    """`secret` "" is a receiver that never had one. What it could not take is in `faults`, what it took in `got`."""

    secret: str = "whsec-customers-own"
    reads: Mapping[str, Check] = field(default_factory=lambda: SNAKE)
    answers: dict[str, Answer] = field(default_factory=dict)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    url: str = ""

    def messages(self, event: str) -> list[dict[str, Any]]:
        return [message for name, message in self.got if name == event]

    @property
    def order(self) -> list[str]:
        return [name for name, _ in self.got]

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        event = request.headers.get("X-Webhook-Event", "")
        try:
            message = self._read(event, request, raw)
        except (AssertionError, ValueError) as exc:
            self.faults.append(f"{event}: {exc}")
            return web.Response(status=401)
        self.got.append((event, message))
        answer = self.answers.get(event, nothing)(message)
        return web.Response() if answer is None else web.json_response(answer)

    def _read(self, event: str, request: web.Request, raw: bytes) -> dict[str, Any]:
        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["User-Agent"] == USER_AGENT
        assert event in self.reads, "no such event"
        if self.secret:
            assert verified(self.secret, request.headers, raw, now=time.time()), "the signature is wrong"
        else:
            assert "X-Webhook-Signature" not in request.headers, "a signature without a secret"
            assert request.headers["X-Webhook-Timestamp"].isdecimal()
        body = json.loads(raw)
        self.reads[event](body, event)
        message: dict[str, Any] = body["message"]
        assert message["type"] == event
        return message


@asynccontextmanager
async def serving(server: CustomersServer) -> AsyncIterator[CustomersServer]:
    """On a free port of this machine; leaving it fails if anything came that could not be taken."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
        yield server
    finally:
        await runner.cleanup()
    assert not server.faults, server.faults
