"""Ports for the sound: lent in pairs, given back, and an end to the trying."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.sip.rtp_ports import Address, RtpPorts, RtpSocket
from sovereign_pbx.testing.port_block import PortBlock, reserve_ports
from tests.waiting import until


@pytest.fixture
def block() -> Iterator[PortBlock]:
    reserved = reserve_ports()
    yield reserved
    reserved.release()


async def closed(*sockets: RtpSocket) -> None:
    for one in sockets:
        one.close()
    for one in sockets:
        await one.closed()


def test_a_call_has_an_even_port_and_the_next_and_nobody_else_has(block: PortBlock) -> None:
    async def run() -> None:
        first, _ = block.rest
        ports = RtpPorts("127.0.0.1", first, first + 5)
        sockets = [await ports.open() for _ in range(3)]
        assert sorted(one.port for one in sockets) == [first, first + 2, first + 4]
        with pytest.raises(Refused, match=f"between {first} and {first + 5}") as refused:
            await ports.open()
        assert refused.value.code == "too_many_calls"
        await closed(sockets[0])
        again = await ports.open()
        assert again.port == sockets[0].port and len(ports) == 3
        await closed(again, *sockets[1:])
        assert len(ports) == 0

    asyncio.run(run())


def test_a_port_that_somebody_else_has_is_passed_over(block: PortBlock) -> None:
    async def run() -> None:
        first, _ = block.rest
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", first + 1))
            ports = RtpPorts("127.0.0.1", first, first + 3)
            one = await ports.open()
            assert one.port == first + 2
            with pytest.raises(Refused):
                await ports.open()
            await closed(one)

    asyncio.run(run())


def test_an_odd_first_port_is_left_out(block: PortBlock) -> None:
    async def run() -> None:
        first, _ = block.rest
        one = await RtpPorts("127.0.0.1", first + 1, first + 3).open()
        assert one.port == first + 2
        await closed(one)

    asyncio.run(run())


def test_a_range_without_a_pair_gives_none() -> None:
    async def run() -> None:
        with pytest.raises(Refused):
            await RtpPorts("127.0.0.1", 30001, 30001).open()

    asyncio.run(run())


def test_datagrams_go_both_ways_on_both_ports(block: PortBlock) -> None:
    async def run() -> None:
        first, _ = block.rest
        ports = RtpPorts("127.0.0.1", first, first + 3)
        one, other = await ports.open(), await ports.open()
        heard: list[tuple[str, bytes, Address]] = []
        other.listen(
            lambda data, sender: heard.append(("rtp", data, sender)),
            lambda data, sender: heard.append(("rtcp", data, sender)),
        )
        one.send(b"sound", ("127.0.0.1", other.port))
        one.send_rtcp(b"report", ("127.0.0.1", other.port + 1))
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [
            ("rtcp", b"report", ("127.0.0.1", one.port + 1)),
            ("rtp", b"sound", ("127.0.0.1", one.port)),
        ]
        one.close()
        one.send(b"too late", ("127.0.0.1", other.port))
        one.close()
        await closed(one, other)

    asyncio.run(run())


def test_an_address_that_the_kernel_will_not_have_is_counted(block: PortBlock) -> None:
    async def run() -> None:
        first, _ = block.rest
        one = await RtpPorts("127.0.0.1", first, first + 1).open()
        one.send(b"sound", ("2001:db8::1", 4000))
        await until(lambda: one.statistics()["errors"])
        await closed(one)

    asyncio.run(run())
