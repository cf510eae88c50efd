"""Provider websockets against peers that misbehave below the vendor's protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.sockets import Sockets, address, one_line
from sovereign_pbx.testing.providers.server import serve
from tests.speech.running import run_clean
from tests.waiting import until


@pytest.mark.parametrize(
    ("given", "websocket", "http"),
    [
        ("https://api.deepgram.com/", "wss://api.deepgram.com", "https://api.deepgram.com"),
        ("wss://host:8443/sub/", "wss://host:8443/sub", "https://host:8443/sub"),
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:9", "ws://[::1]:9", "http://[::1]:9"),
    ],
)
def test_an_address_serves_both_transports_in_any_of_its_spellings(given: str, websocket: str, http: str) -> None:
    assert address(given, "here", websocket=True) == websocket
    assert address(given, "here", websocket=False) == http


@pytest.mark.parametrize("given", ["", "api.deepgram.com", "ftp://host", "https://", "http:/host"])
def test_what_is_no_address_is_refused_with_a_remedy(given: str) -> None:
    with pytest.raises(ConfigError, match="write it like"):
        address(given, "[providers.deepgram]", websocket=True)


def test_a_peers_words_fit_a_log_line() -> None:
    assert one_line("line\r\nwith \x1b[31mcolour\x00 " + "x" * 500) == ("line with [31mcolour " + "x" * 500)[:200]


def test_a_peer_that_stops_reading_is_noticed_by_the_send_deadline() -> None:
    async def main() -> None:
        async def deaf(request: web.Request) -> web.WebSocketResponse:
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            assert request.transport is not None
            transport = request.transport
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            await asyncio.sleep(30)
            return ws

        async with serving(deaf) as url:
            sockets = Sockets("vendor", "stt", url, {}, send_s=0.2)
            socket = await sockets.connect("/", [])
            with pytest.raises(ProviderError) as caught:
                for _ in range(2000):
                    await socket.send(bytes(16000))
            assert caught.value.kind == "stalled"
            began = asyncio.get_running_loop().time()
            await socket.close('{"type":"CloseStream"}')
            assert asyncio.get_running_loop().time() - began < 1.5
            await sockets.aclose()

    asyncio.run(main())


def test_a_peer_that_is_no_websocket_is_refused_and_one_that_answers_nothing_stalled() -> None:
    async def main() -> None:
        async def plain(_: web.Request) -> web.Response:
            return web.Response(text="hello")

        async with serving(plain) as url:
            sockets = Sockets("vendor", "stt", url, {"Authorization": "Token hidden-key"})
            with pytest.raises(ProviderError) as caught:
                await sockets.connect("/", [])
            assert caught.value.kind == "refused"
            assert "hidden-key" not in str(caught.value)
            await sockets.aclose()

        async def mute(_: web.Request) -> web.Response:
            await asyncio.sleep(30)
            return web.Response()

        async with serving(mute) as url:
            sockets = Sockets("vendor", "stt", url, {}, connect_s=0.2)
            with pytest.raises(ProviderError) as caught:
                await sockets.connect("/", [])
            assert caught.value.kind == "stalled"
            await sockets.aclose()

    run_clean(main())


def test_a_handshake_that_was_turned_down_leaves_no_connection() -> None:
    async def main() -> None:
        peers: list[asyncio.BaseTransport] = []

        async def deny(request: web.Request) -> web.Response:
            assert request.transport is not None
            peers.append(request.transport)
            return web.Response(status=401)

        async with serving(deny) as url:
            sockets = Sockets("vendor", "stt", url, {})
            with pytest.raises(ProviderError):
                await sockets.connect("/", [])
            await until(lambda: peers[0].is_closing(), 2.0)
            await sockets.aclose()

    run_clean(main())


def test_the_close_code_and_reason_of_a_peer_are_told() -> None:
    async def main() -> None:
        async def leaving(request: web.Request) -> web.WebSocketResponse:
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            await ws.close(code=1011, message=b"NET-0001")
            return ws

        async with serving(leaving) as url:
            sockets = Sockets("vendor", "stt", url, {})
            socket = await sockets.connect("/", [])
            with pytest.raises(ProviderError, match="1011 NET-0001"):
                await socket.receive()
            with pytest.raises(ProviderError) as caught:
                await socket.send("late")
            assert caught.value.kind == "dropped"
            await socket.close()
            await sockets.aclose()

    run_clean(main())


@asynccontextmanager
async def serving(handler: web.RequestHandler | object) -> AsyncIterator[str]:
    runner, port = await serve([web.get("/", handler)], 0)  # type: ignore[arg-type] # a handler of any signature
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
