"""The FastAGI listener: no peer can hang it, fill it, or make it say more than it should."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from sovereign_pbx.core.errors import BadInput, ConfigError, LinkBroken, LinkFinished
from sovereign_pbx.pbx.asterisk.agi_session import AgiSession
from sovereign_pbx.pbx.asterisk.fastagi import FastAgiServer
from tests.pbx.agi_client import AgiClient
from tests.waiting import until


class Rig:
    """A listener with the path `test`, whose handler is what a test puts into `handler`."""

    def __init__(self, **options: Any) -> None:
        self.server = FastAgiServer("127.0.0.1", 0, {"test": self._handle}, **options)
        self.handler: Callable[[AgiSession], Awaitable[None]] = self.set_one
        self.raised: list[Exception] = []
        self.clients: list[AgiClient] = []

    async def _handle(self, session: AgiSession) -> None:
        try:
            await self.handler(session)
        except Exception as exc:
            self.raised.append(exc)
            raise

    async def set_one(self, session: AgiSession) -> None:
        await session.set_variable("X", "1")

    def client(self) -> AgiClient:
        self.clients.append(AgiClient(self.server.address))
        return self.clients[-1]

    async def raw(self, data: bytes) -> bytes:
        """What the server sends, up to its closing the connection."""
        reader, writer = await asyncio.open_connection(*self.server.address)
        writer.write(data)
        try:
            async with asyncio.timeout(5):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[Rig]:
    rig = Rig(**options)
    await rig.server.start()
    try:
        yield rig
    finally:
        for client in rig.clients:
            await client.close()
        await rig.server.close()
        assert rig.server.statistics()["connections"] == 0


def run(scenario: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    async def body() -> None:
        async with listening(**options) as rig:
            await scenario(rig)
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())


def test_a_handler_sets_variables_and_the_connection_is_closed_behind_it() -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.client().ask("test") == {"X": "1"}
        assert rig.server.statistics()["served_test"] == 1

    run(scenario)


def test_a_port_scan_does_not_disturb_the_next_call() -> None:
    async def scenario(rig: Rig) -> None:
        _, writer = await asyncio.open_connection(*rig.server.address)
        writer.close()
        assert await rig.client().ask("test") == {"X": "1"}
        await until(lambda: rig.server.statistics()["connections"] == 0)

    run(scenario)


def test_a_peer_that_sends_no_request_is_closed_after_the_deadline() -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.raw(b"agi_network: yes\n") == b""
        assert rig.server.statistics()["failed_LinkBroken"] == 1

    run(scenario, header_timeout_s=0.1)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"a" * 20_000, b"agi_a: b\n" * 1000, b"\x16\x03\x01\n\n"])
def test_a_peer_that_speaks_something_else_is_closed_at_once(data: bytes) -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.raw(data) == b""
        assert rig.server.statistics()["failed_BadInput"] == 1

    run(scenario, header_timeout_s=60)


def test_connections_over_the_cap_are_closed() -> None:
    async def scenario(rig: Rig) -> None:
        first = rig.client()
        await first.connect()
        await until(lambda: rig.server.statistics()["connections"] == 1)
        assert await rig.raw(b"") == b""
        assert rig.server.statistics()["refused_full"] == 1
        first.request("test")
        assert await first.finish() == {"X": "1"}

    run(scenario, max_connections=1)


def test_a_peer_outside_the_permitted_networks_is_closed() -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.raw(b"") == b""
        assert rig.server.statistics()["refused_not_permitted"] == 1

    run(scenario, permit=["192.0.2.0/24"])


def test_an_unknown_path_is_closed_with_nothing_set() -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.client().ask("elsewhere") == {}
        assert rig.server.statistics()["refused_unknown_path"] == 1

    run(scenario)


@pytest.mark.parametrize("path", ["/test", "test?a=b", "test/"])
def test_a_path_is_known_whatever_surrounds_it(path: str) -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.client().ask(path) == {"X": "1"}

    run(scenario)


def test_a_command_without_a_reply_ends_at_its_deadline() -> None:
    async def scenario(rig: Rig) -> None:
        client = rig.client()
        client.silent = True
        assert await client.ask("test") == {}
        assert isinstance(rig.raised[0], LinkBroken)

    run(scenario, command_timeout_s=0.1)


def test_a_refused_variable_is_an_error() -> None:
    async def scenario(rig: Rig) -> None:
        client = rig.client()
        client.replies = b"520-Invalid command syntax.\nUsage: SET VARIABLE\n520 End of proper usage.\n"
        await client.ask("test")
        assert isinstance(rig.raised[0], BadInput)

    run(scenario)


def test_a_value_with_a_line_break_never_leaves() -> None:
    async def scenario(rig: Rig) -> None:
        async def inject(session: AgiSession) -> None:
            await session.set_variable("X", "1\nEXEC System rm")

        rig.handler = inject
        assert await rig.client().ask("test") == {}
        assert isinstance(rig.raised[0], BadInput)

    run(scenario)


def test_a_reply_to_no_command_is_a_fault_of_the_peer() -> None:
    async def scenario(rig: Rig) -> None:
        async def wait(session: AgiSession) -> None:
            await session.unless_hung_up(asyncio.sleep(30), 10)

        rig.handler = wait
        client = rig.client()
        await client.connect()
        client.request("test")
        client.writer.write(b"200 result=1\n")
        assert await client.finish() == {}
        await until(lambda: bool(rig.raised))
        assert isinstance(rig.raised[0], BadInput)

    run(scenario)


@pytest.mark.parametrize("leave", [AgiClient.hang_up, AgiClient.vanish])
def test_work_is_cancelled_when_the_caller_leaves(leave: Callable[[AgiClient], None]) -> None:
    async def scenario(rig: Rig) -> None:
        began = asyncio.Event()

        async def work(session: AgiSession) -> None:
            async def forever() -> None:
                began.set()
                await asyncio.sleep(30)

            await session.unless_hung_up(forever(), 10)

        rig.handler = work
        client = rig.client()
        await client.connect()
        client.request("test")
        await began.wait()
        leave(client)
        await until(lambda: bool(rig.raised))
        assert isinstance(rig.raised[0], LinkFinished)

    run(scenario)


def test_a_caller_who_left_before_the_work_began_cancels_it_too() -> None:
    async def scenario(rig: Rig) -> None:
        async def work(session: AgiSession) -> None:
            await until(lambda: session.hung_up)
            await session.unless_hung_up(asyncio.sleep(30), 10)

        rig.handler = work
        client = rig.client()
        await client.connect()
        client.request("test")
        client.hang_up()
        await until(lambda: bool(rig.raised))
        assert isinstance(rig.raised[0], LinkFinished)

    run(scenario)


def test_work_over_its_deadline_raises_a_timeout() -> None:
    async def scenario(rig: Rig) -> None:
        async def work(session: AgiSession) -> None:
            with pytest.raises(TimeoutError):
                await session.unless_hung_up(asyncio.sleep(30), 0.02)
            await session.set_variable("X", "late")

        rig.handler = work
        assert await rig.client().ask("test") == {"X": "late"}

    run(scenario)


def test_a_handler_that_fails_is_logged_and_its_connection_closed() -> None:
    async def scenario(rig: Rig) -> None:
        async def fail(session: AgiSession) -> None:
            raise RuntimeError("a fault of ours")

        rig.handler = fail
        assert await rig.client().ask("test") == {}
        assert rig.server.statistics()["failed"] == 1

    with capture_logs() as logs:
        run(scenario)
    assert "agi_handler_failed" in [entry["event"] for entry in logs]


def test_closing_the_listener_ends_what_is_in_progress() -> None:
    async def scenario(rig: Rig) -> None:
        async def forever(session: AgiSession) -> None:
            await asyncio.sleep(30)

        rig.handler = forever
        client = rig.client()
        await client.connect()
        client.request("test")
        await until(lambda: rig.server.statistics().get("served_test") == 1)
        await rig.server.close()
        assert await client.finish() == {}

    run(scenario)


def test_a_port_in_use_is_a_configuration_error() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(ConfigError, match="can't listen"):
            await FastAgiServer(*rig.server.address, {}).start()

    run(scenario)


def test_callers_who_wait_are_taken_many_in_a_turn_of_a_loop_that_is_late() -> None:
    async def scene() -> None:
        server = FastAgiServer("127.0.0.1", 0, {})
        await server.start()
        address = server.address
        waiting = [socket.create_connection(address) for _ in range(40)]
        try:
            for _ in range(12):  # uvloop alone would need forty
                await asyncio.sleep(0)
                time.sleep(0.01)
            assert server.statistics()["connections"] == 40
        finally:
            for connection in waiting:
                connection.close()
            await server.close()
        with pytest.raises(OSError):
            socket.create_connection(address, timeout=0.5)

    uvloop.run(scene())
