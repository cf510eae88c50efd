"""The HTTP listener and its application: metrics, and the operations of the API."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CONTENT_TYPE_LATEST

from sovereign_pbx.api.errors import ApiError
from sovereign_pbx.api.gate import ALLOWANCE, Gate
from sovereign_pbx.api.health import HealthProbe
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.operation import ROOT, Operation
from sovereign_pbx.api.routes import add_operations, error_of, error_response
from sovereign_pbx.core.errors import ConfigError, SovereignError

log = structlog.get_logger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Serving:
    """`retired`: another application is in place; connections end with the answers that are under way."""

    retired: bool = False


SERVING = web.AppKey("serving", Serving)


def make_app(
    probe: HealthProbe,
    metrics: Metrics,
    operations: Sequence[Operation] = (),
    gate: Gate | None = None,
    *,
    max_body: int = 1_000_000,
) -> web.Application:
    """The application: `operations` behind `gate`, `/metrics`; anything else is a JSON error (contract §18)."""

    async def get_metrics(request: web.Request) -> web.Response:
        async with asyncio.timeout(5):
            text = await asyncio.to_thread(metrics.render, await probe.vitals())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=[_errors_as_json, *([_stranger(gate)] if gate else [])], client_max_size=max_body)
    app[SERVING] = Serving()
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/metrics", get_metrics)
    add_operations(app, operations, gate)
    return app


class Listener:
    """Serves an application until closed.

    `idle_s` bounds how long a connection may take over its handshake or a request's head, and how long it may rest
    between; `max_connections` how many there may be (policy: one more is closed at once).
    """

    def __init__(
        self,
        app: web.Application,
        *,
        idle_s: float = 10.0,
        max_connections: int = 256,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._idle_s = idle_s
        self.runner = self._runner_of(app)
        self._max_connections = max_connections
        self.tls = tls
        if tls is not None:
            # OpenSSL asks for every handshake, whether or not the client names a server.
            tls.sni_callback = self._show_certificate
        self._server: asyncio.Server | None = None
        self.refused = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; the port (of use when 0 was asked for). ConfigError if the address can't be had."""
        await self.runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connection, host, port, ssl=self.tls, ssl_handshake_timeout=self._idle_s if self.tls else None
            )
        except OSError as exc:
            await self.runner.cleanup()
            reason = exc.strerror or str(exc)
            raise ConfigError(
                f"can't listen on {host} port {port}: {reason}", key="http.port", remedy="choose another in [http]"
            ) from exc
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def made_ready(self, app: web.Application) -> web.AppRunner:
        """An application that `replace` can put in place; `cleanup` it if that is not done."""
        runner = self._runner_of(app)
        await runner.setup()
        return runner

    def replace(self, runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
        """Serve this with this certificate, from the next connection on. Connections of the `runner` before go on until
        its `cleanup`, which lets requests under way finish. Whether there is TLS at all can't be changed."""
        if (retired := self.runner.app.get(SERVING)) is not None:
            retired.retired = True
        if (serving := runner.app.get(SERVING)) is not None:
            serving.retired = False
        self.runner = runner
        if self.tls is not None and tls is not None:
            self.tls = tls

    async def close(self) -> None:
        """Stop listening, let requests under way finish for a moment, and let go of every connection."""
        if self._server is not None:
            self._server.close()
        await self.runner.cleanup()

    def _runner_of(self, app: web.Application) -> web.AppRunner:
        # The access log would be one line a scrape; what went wrong is logged where it is answered.
        return web.AppRunner(app, access_log=None, keepalive_timeout=self._idle_s, lingering_time=1.0, max_headers=64)

    def _show_certificate(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> None:
        if self.tls is not None and self.tls is not context:
            connection.context = self.tls

    def _connection(self) -> asyncio.Protocol:
        server = self.runner.server
        assert server is not None, "set up before it listens"
        if len(server.connections) >= self._max_connections:
            self.refused += 1
            return _TurnedAway()
        return server()


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _stranger(gate: Gate) -> Middleware:
    """What is no operation is behind the gate as well: it is counted, and tells nobody without a key what there is."""

    @web.middleware
    async def admit(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None and request.path.startswith(f"{ROOT}/"):
            try:
                await gate.admit(request, "read")
            except ApiError as exc:
                return error_response(exc)
        return await handler(request)

    return admit


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        kept = {name: exc.headers[name] for name in ("Allow",) if name in exc.headers}
        return error_of(HTTPStatus(exc.status), kept)
    except TimeoutError:
        return error_of(HTTPStatus.SERVICE_UNAVAILABLE)
    except SovereignError as exc:  # a disk that refuses, say: it may pass
        log.error("request_refused", method=request.method, path=request.path[:200], error=str(exc))
        return error_of(HTTPStatus.SERVICE_UNAVAILABLE)
    except Exception:  # the details are for the log, not for whoever asked
        log.exception("request_failed", method=request.method, path=request.path[:200])
        return error_of(HTTPStatus.INTERNAL_SERVER_ERROR)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in request.get(ALLOWANCE, {}).items():
        response.headers.setdefault(name, value)  # those of a narrower limit stay
    if (serving := request.app.get(SERVING)) is not None and serving.retired:
        response.force_close()
        response.headers["Connection"] = "close"  # else its client might send the next request while we close
    response.headers["Server"] = "Sovereign-PBX"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
