"""A daemon that says what a test wants it to say."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sovereign_pbx.api.health import Check
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.resources import health
from sovereign_pbx.api.server import Listener, make_app
from sovereign_pbx.api.vitals import Vitals


class ScriptedProbe:
    version = "9.9.9"

    def __init__(self, **checks: Check) -> None:
        self.now: Mapping[str, Check] = checks or {"database": Check(status="ok", latency_ms=1.234, essential=True)}
        self.failure: Exception | None = None
        self.hangs = False
        self.asked = 0
        self.numbers = Vitals()

    async def checks(self) -> Mapping[str, Check]:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.failure is not None:
            raise self.failure
        return self.now

    async def vitals(self) -> Vitals:
        if self.failure is not None:
            raise self.failure
        return self.numbers


@asynccontextmanager
async def serving(
    probe: ScriptedProbe, metrics: Metrics | None = None, *, idle_s: float = 10.0, max_connections: int = 256
) -> AsyncIterator[int]:
    """The API on a free port of loopback."""
    app = make_app(probe, metrics or Metrics(), health.operations(probe), max_body=1000)
    listener = Listener(app, idle_s=idle_s, max_connections=max_connections)
    port = await listener.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await listener.close()
