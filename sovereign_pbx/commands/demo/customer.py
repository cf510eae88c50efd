"""The customer's side of the demo: a small web server that chooses the greeting, runs the tool and keeps the report."""

import asyncio
import hashlib
import hmac
import json
import time
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from sovereign_pbx.commands.demo import scene

_REPLAY_S = 300


class Customer:
    """Listens on loopback. Refuses what is not signed with `secret`, as a careful customer does (contract §8.3)."""

    def __init__(self, secret: str) -> None:
        self.url = ""
        self.reported = asyncio.Event()
        self.report: dict[str, Any] = {}
        self.events: list[str] = []
        self.refused = 0
        self._secret = secret.encode()
        self._runner = web.AppRunner(self._app(), access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/sovereign"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/sovereign", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if not self._signed(request, raw):
            self.refused += 1
            return web.Response(status=401)
        message = json.loads(raw)["message"]
        self.events.append(message["type"])
        return web.json_response(self._answer(message))

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "assistant-request":
            return {"assistant": {"first_message": scene.GREETING, "metadata": {"customer": "demo-1"}}}
        if message["type"] == "tool-calls":
            calls = message["tool_call_list"]
            return {"results": [{"tool_call_id": call["id"], "result": scene.TOOL_RESULT} for call in calls]}
        if message["type"] == "end-of-call-report":
            self.report = {"message": message}
            self.reported.set()
        return {}

    def _signed(self, request: web.Request, raw: bytes) -> bool:
        stamp = request.headers.get("X-Webhook-Timestamp", "")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > _REPLAY_S:
            return False
        expected = hmac.new(self._secret, stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"sha256={expected}", request.headers.get("X-Webhook-Signature", ""))
