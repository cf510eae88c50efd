"""One application takes the place of another behind the same listener."""

import asyncio

import aiohttp
from aiohttp import web

from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.server import Listener, make_app
from tests.api.probe import ScriptedProbe


def application(version: int, gate: asyncio.Event | None = None) -> web.Application:
    async def tell(asked: Asked) -> dict[str, int]:
        if gate is not None:
            await gate.wait()
        return {"version": version}

    operation = Operation(method="GET", path="/version", name="v", summary="v", tag="v", handler=tell, scope=None)
    return make_app(ScriptedProbe(), Metrics(), [operation])


def test_a_request_under_way_is_answered_by_the_former_and_the_next_by_the_latter() -> None:
    async def run() -> None:
        gate = asyncio.Event()
        listener = Listener(application(1, gate))
        port = await listener.start("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}/api/v1/version"
        async with aiohttp.ClientSession() as session:
            first = asyncio.create_task(asked(session, url))
            await asyncio.sleep(0.05)  # it is being handled
            former, latter = listener.runner, await listener.made_ready(application(2))
            listener.replace(latter, None)
            cleaning = asyncio.create_task(former.cleanup())
            assert await asked(session, url) == (2, None)
            gate.set()
            assert await first == (1, "close")  # so that nothing more is sent on a connection that ends
            await cleaning
            assert await asked(session, url) == (2, None)
        await listener.close()

    asyncio.run(run())


def test_what_was_put_back_keeps_its_connections() -> None:
    async def run() -> None:
        listener = Listener(application(1))
        port = await listener.start("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}/api/v1/version"
        async with aiohttp.ClientSession() as session:
            former, latter = listener.runner, await listener.made_ready(application(2))
            listener.replace(latter, None)
            listener.replace(former, None)
            await latter.cleanup()
            assert await asked(session, url) == (1, None)
        await listener.close()

    asyncio.run(run())


async def asked(session: aiohttp.ClientSession, url: str) -> tuple[int, str | None]:
    async with session.get(url) as response:
        return (await response.json())["version"], response.headers.get("Connection")
