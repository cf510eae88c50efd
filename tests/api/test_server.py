"""The listener answers what it knows, says no in JSON, and lets nobody hold it up."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
import structlog

from sovereign_pbx.api.health import Check
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.resources import health
from sovereign_pbx.api.server import Listener, make_app
from sovereign_pbx.core.errors import ConfigError
from tests.api.probe import ScriptedProbe, serving


def ask(
    probe: ScriptedProbe,
    use: Callable[[aiohttp.ClientSession, str], Awaitable[None]],
    metrics: Metrics | None = None,
) -> None:
    async def run() -> None:
        async with serving(probe, metrics) as port, aiohttp.ClientSession() as session:
            await use(session, f"http://127.0.0.1:{port}")

    asyncio.run(run())


def test_health_is_200_when_ok_and_when_degraded_and_503_when_down() -> None:
    for status, code in (("ok", 200), ("degraded", 200), ("down", 503)):

        async def use(session: aiohttp.ClientSession, url: str, status: str = status, code: int = code) -> None:
            async with session.get(f"{url}/api/v1/health") as response:
                assert response.status == code
                assert response.content_type == "application/json"
                assert (await response.json())["status"] == status

        ask(ScriptedProbe(database=Check(status=status, essential=True)), use)  # type: ignore[arg-type]  # from the table


def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics()
    metrics.call_refused("calls")

    async def use(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            assert 'sovereign_calls_refused_total{why="calls"} 1.0' in await response.text()

    ask(ScriptedProbe(), use, metrics)


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/metrics/", "/../etc/passwd", "/%00", "/api/v1/health%2f"])
def test_anything_else_is_a_json_404(path: str) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url + path) as response:
            assert response.status == 404
            assert set(await response.json()) == {"error", "code", "message"}
            assert (await response.json())["code"] == "not_found"

    ask(ScriptedProbe(), use)


def test_another_method_is_a_json_405_that_names_the_right_ones() -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(f"{url}/metrics", data=b"x" * 100_000) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET,HEAD"
            assert (await response.json())["code"] == "method_not_allowed"

    ask(ScriptedProbe(), use)


def test_a_fault_is_a_json_500_that_tells_nothing_and_a_log_line_that_tells_all() -> None:
    probe = ScriptedProbe()
    probe.failure = RuntimeError("inner detail")

    async def use(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/metrics") as response:
            assert response.status == 500
            assert "inner detail" not in await response.text()

    with structlog.testing.capture_logs() as lines:
        ask(probe, use)
    assert [line["event"] for line in lines] == ["request_failed"]


def test_answers_are_not_cached_and_do_not_name_the_software_behind() -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/nothing") as response:
            assert response.headers["Server"] == "Sovereign-PBX"
            assert response.headers["Cache-Control"] == "no-store"

    ask(ScriptedProbe(), use)


async def closed_after(port: int, data: bytes, *, drip_s: float = 0.0) -> float:
    """Seconds until the server closes a connection that sent `data` (byte by byte, if it drips)."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = loop.time()
    async with asyncio.timeout(5):
        pieces = [data[n : n + 1] for n in range(len(data))] if drip_s else [data]
        ended = asyncio.ensure_future(reader.read())
        for piece in pieces:
            if ended.done():
                break
            writer.write(piece)
            await asyncio.sleep(drip_s)
        await asyncio.wait([ended])
    writer.close()
    return loop.time() - began


def test_a_connection_that_says_nothing_or_drips_is_closed() -> None:
    async def run() -> None:
        async with serving(ScriptedProbe(), idle_s=0.2) as port:
            assert await closed_after(port, b"") < 1.5
            assert await closed_after(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n") < 1.5
            assert await closed_after(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 200, drip_s=0.01) < 1.5

    asyncio.run(run())


def test_a_head_that_is_too_large_is_refused() -> None:
    async def run() -> None:
        async with serving(ScriptedProbe()) as port:
            for junk in (b"X: " + b"x" * 20_000, b"X: y\r\n" * 200):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\n" + junk + b"\r\n\r\n")
                assert b" 400 " in await reader.readline()
                writer.close()

    asyncio.run(run())


def test_one_connection_too_many_is_closed_and_counted_and_the_others_go_on() -> None:
    async def run() -> None:
        app = make_app(ScriptedProbe(), Metrics(), health.operations(ScriptedProbe()))
        listener = Listener(app, max_connections=2)
        port = await listener.start("127.0.0.1", 0)
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await closed_after(port, b"") < 1.0
        assert listener.refused == 1
        reader, writer = kept[0]
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        assert json.loads(body)["status"] == "ok"
        for _, one in kept:
            one.close()
        await listener.close()

    asyncio.run(run())


def test_a_port_that_is_taken_is_a_configuration_error() -> None:
    async def run() -> None:
        async with serving(ScriptedProbe()) as port:
            with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1 port {port}.*\n.*choose another"):
                await Listener(make_app(ScriptedProbe(), Metrics())).start("127.0.0.1", port)

    asyncio.run(run())


def test_closing_leaves_no_task_behind() -> None:
    async def run() -> None:
        async with serving(ScriptedProbe()) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
