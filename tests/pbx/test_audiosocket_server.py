"""The AudioSocket listener on real sockets: who gets in, and what becomes of everybody else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from sovereign_pbx.core.errors import ConfigError, LinkBroken, LinkClosed, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.wire import audiosocket as wire
from tests.waiting import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Rig:
    """A listener, what it told, and clients to connect to it."""

    def __init__(self, server: AudioSocketServer) -> None:
        self.server = server
        self.links: dict[str, AudioSocketLink] = {}
        self.ends: list[tuple[str, LinkEnded]] = []
        self.expired: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def dial(self, hello: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection(*self.server.address)
        self.writers.append(writer)
        writer.write(hello)
        return reader, writer

    async def call(self, within_s: float = 5.0) -> tuple[str, Streams]:
        call_id = str(uuid4())
        self.server.expect(call_id, within_s)
        streams = await self.dial(hello(call_id))
        await until(lambda: call_id in self.links)
        return call_id, streams


def hello(call_id: str) -> bytes:
    return wire.encode(wire.ID, bytes.fromhex(call_id.replace("-", "")))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the server has ended the connection without a word."""
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionError:
        return True


@asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[Rig]:
    rig: Rig
    server = AudioSocketServer(
        "127.0.0.1",
        0,
        on_connect=lambda call_id, link: rig.links.__setitem__(call_id, link),
        on_expired=lambda call_id: rig.expired.append(call_id),
        on_ended=lambda call_id, link, how: rig.ends.append((call_id, how)),
        **options,
    )
    rig = Rig(server)
    await server.start()
    try:
        yield rig
    finally:
        for writer in rig.writers:
            writer.close()
        await server.close()
        assert server.statistics()["connections"] == 0
        assert server.statistics()["expected"] == 0


def run(scenario: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    async def body() -> None:
        async with listening(**options) as rig:
            await scenario(rig)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())


def test_an_expected_call_gets_its_link_at_once() -> None:
    async def scenario(rig: Rig) -> None:
        call_id, (reader, writer) = await rig.call()
        link = rig.links[call_id]
        link.put(b"\x01" * 320)
        assert await reader.readexactly(323) == wire.encode(wire.SLIN8, b"\x01" * 320)
        writer.write(wire.encode(wire.SLIN8, b"\x02" * 320))
        await until(lambda: link.statistics()["frames_in"] == 1)
        assert link.take() == b"\x02" * 320

    run(scenario)


def test_audio_that_arrives_with_the_uuid_is_not_lost() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = str(uuid4())
        rig.server.expect(call_id, 5)
        greeting = hello(call_id) + wire.encode(wire.SLIN8, b"\x02" * 320)
        _, writer = await rig.dial(greeting[:7])
        await asyncio.sleep(0.02)
        writer.write(greeting[7:])
        await until(lambda: call_id in rig.links)
        assert rig.links[call_id].take() == b"\x02" * 320

    run(scenario)


def test_an_unknown_uuid_is_refused() -> None:
    async def scenario(rig: Rig) -> None:
        reader, _ = await rig.dial(hello(str(uuid4())))
        assert await is_closed(reader)
        assert rig.links == {}
        assert rig.server.statistics()["refused_unknown_id"] == 1

    run(scenario)


def test_a_replayed_uuid_is_refused() -> None:
    async def scenario(rig: Rig) -> None:
        call_id, _ = await rig.call()
        reader, _ = await rig.dial(hello(call_id))
        assert await is_closed(reader)
        assert rig.links[call_id].ended is None
        assert rig.server.statistics()["refused_unknown_id"] == 1

    run(scenario)


def test_an_expired_uuid_is_refused_and_reported() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = str(uuid4())
        rig.server.expect(call_id, 0.02)
        await until(lambda: rig.expired == [call_id])
        reader, _ = await rig.dial(hello(call_id))
        assert await is_closed(reader)

    run(scenario)


def test_a_forgotten_uuid_is_refused_and_not_reported() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = str(uuid4())
        rig.server.expect(call_id, 0.05)
        rig.server.forget(call_id)
        reader, _ = await rig.dial(hello(call_id))
        assert await is_closed(reader)
        await asyncio.sleep(0.1)
        assert rig.expired == []

    run(scenario)


def test_a_peer_that_says_nothing_is_closed_after_the_handshake_timeout() -> None:
    async def scenario(rig: Rig) -> None:
        silent, _ = await rig.dial()
        half, _ = await rig.dial(hello(str(uuid4()))[:10])
        assert await is_closed(silent) and await is_closed(half)
        assert rig.server.statistics()["refused_handshake_timeout"] == 2

    run(scenario, handshake_timeout_s=0.1)


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n", b"\x10\x01\x40" + bytes(320), b"\x01\xff\xff", b"\x00"])
def test_a_peer_that_speaks_something_else_is_closed_at_once(greeting: bytes) -> None:
    async def scenario(rig: Rig) -> None:
        reader, _ = await rig.dial(greeting)
        assert await is_closed(reader)
        assert rig.server.statistics()["refused_not_audiosocket"] == 1

    run(scenario, handshake_timeout_s=60)


def test_a_peer_that_leaves_before_its_uuid_leaves_nothing_behind() -> None:
    async def scenario(rig: Rig) -> None:
        _, writer = await rig.dial(b"\x01")
        await until(lambda: rig.server.statistics()["connections"] == 1)
        writer.close()
        await until(lambda: rig.server.statistics()["connections"] == 0)

    run(scenario)


def test_connections_over_the_cap_are_closed() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call()
        reader, _ = await rig.dial()
        assert await is_closed(reader)
        assert rig.server.statistics()["refused_full"] == 1

    run(scenario, max_connections=1)


def test_a_peer_outside_the_permitted_networks_is_closed() -> None:
    async def scenario(rig: Rig) -> None:
        reader, _ = await rig.dial()
        assert await is_closed(reader)
        assert rig.server.statistics()["refused_not_permitted"] == 1

    run(scenario, permit=["10.0.0.0/8"])


def test_a_wrong_network_names_the_key() -> None:
    async def body() -> None:
        with pytest.raises(ConfigError, match="no network") as caught:
            AudioSocketServer("127.0.0.1", 0, on_connect=lambda call_id, link: None, permit=["10.0.0/8x"])
        assert caught.value.key == "asterisk.audiosocket.permit"

    asyncio.run(body())


def test_a_caller_who_hangs_up_finishes_the_link() -> None:
    async def scenario(rig: Rig) -> None:
        call_id, (_, writer) = await rig.call()
        writer.close()
        await until(lambda: bool(rig.ends))
        assert rig.ends[0][0] == call_id
        assert type(rig.ends[0][1]) is LinkFinished

    run(scenario)


def test_a_reset_finishes_the_link_too() -> None:
    async def scenario(rig: Rig) -> None:
        _, (_, writer) = await rig.call()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.close()
        await until(lambda: bool(rig.ends))
        assert type(rig.ends[0][1]) is LinkFinished

    run(scenario)


def test_closing_sends_the_hang_up_frame_and_reads_on_until_the_peer_leaves() -> None:
    async def scenario(rig: Rig) -> None:
        call_id, (reader, writer) = await rig.call()
        rig.links[call_id].close()
        writer.write(wire.encode(wire.SLIN8, bytes(320)) * 50)
        assert await reader.readexactly(3) == wire.HANGUP_FRAME
        assert await reader.read() == b""  # an orderly end: a reset would raise
        writer.close()
        await until(lambda: rig.server.statistics()["connections"] == 0)
        assert type(rig.ends[0][1]) is LinkClosed

    run(scenario)


def test_closing_a_link_that_was_reset_a_moment_ago_is_no_error() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = str(uuid4())
        rig.server.expect(call_id, 5)
        with socket.create_connection(rig.server.address) as sock:
            sock.sendall(hello(call_id))
            await until(lambda: call_id in rig.links)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        rig.links[call_id].close()  # before the loop can report the reset
        await until(lambda: rig.server.statistics()["connections"] == 0)

    run(scenario)


def test_a_peer_that_does_not_leave_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.asterisk.audiosocket.LINGER_S", 0.05)

    async def scenario(rig: Rig) -> None:
        call_id, _ = await rig.call()
        rig.links[call_id].close()
        await until(lambda: rig.server.statistics()["connections"] == 0)

    run(scenario)


def test_a_link_without_a_word_for_the_idle_limit_is_broken() -> None:
    async def scenario(rig: Rig) -> None:
        call_id, _ = await rig.call()
        await until(lambda: bool(rig.ends))
        assert type(rig.links[call_id].ended) is LinkBroken

    run(scenario, idle_timeout_s=0.1)


def test_a_peer_that_stops_reading_is_dropped_without_waiting() -> None:
    async def scenario(rig: Rig) -> None:
        call_id, (reader, _) = await rig.call()
        link = rig.links[call_id]
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while link.ended is None:
                began = loop.time()
                link.put(bytes(320))
                assert loop.time() - began < 1
                await asyncio.sleep(0)
        assert type(link.ended) is LinkFull
        assert reader.at_eof() is False

    run(scenario)


def test_a_callback_that_fails_costs_only_its_own_call() -> None:
    async def scenario(rig: Rig) -> None:
        def fail(call_id: str, link: AudioSocketLink) -> None:
            raise RuntimeError("no room")

        rig.server.on_connect, kept = fail, rig.server.on_connect
        call_id = str(uuid4())
        rig.server.expect(call_id, 5)
        reader, _ = await rig.dial(hello(call_id))
        assert await is_closed(reader)
        rig.server.on_connect = kept
        await rig.call()

    with capture_logs() as logs:
        run(scenario)
    assert "audiosocket_connect_failed" in [entry["event"] for entry in logs]


def test_a_port_in_use_is_a_configuration_error() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(ConfigError, match="can't listen"):
            await AudioSocketServer(*rig.server.address, on_connect=lambda call_id, link: None).start()

    run(scenario)


def test_nagle_is_off_and_death_is_noticed() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call()
        (connection,) = rig.server._connections
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000

    run(scenario)
