"""The endpoint over TCP and TLS."""

import asyncio
import ssl
from pathlib import Path

import pytest

from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.wire.sip import Uri
from tests.pbx.sip.endpoint_rig import Rig, answer_ok, connected, cut_off, heard, ours, run, tcp_wire
from tests.pbx.sip.wires import HERE
from tests.waiting import until


def test_a_connection_carries_many_messages_torn_anywhere_and_pings() -> None:
    async def test(one: Rig) -> None:
        reader, writer = await connected(one)
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), 15) == b"\r\n"
        data = tcp_wire(n=1) + tcp_wire(n=2)
        for at in range(0, len(data), 100):
            writer.write(data[at : at + 100])
            await writer.drain()
        for _ in range(2):
            answer = await heard(reader)
            assert answer.status == 200 and answer.headers.get("Via").startswith("SIP/2.0/TCP")
        writer.close()

    run(test)


def test_a_bad_message_on_a_connection_is_answered_and_the_next_one_too() -> None:
    async def test(one: Rig) -> None:
        reader, writer = await connected(one)
        writer.write(tcp_wire().replace(b"1 OPTIONS", b"1 BYE") + tcp_wire(n=2))
        assert [(await heard(reader)).status for _ in range(2)] == [400, 200]
        writer.close()

    run(test)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 40_000, tcp_wire().replace(b"-Length", b"-L")]
)
def test_a_connection_out_of_step_is_closed_without_an_answer(data: bytes) -> None:
    async def test(one: Rig) -> None:
        reader, writer = await connected(one)
        writer.write(data)
        assert await cut_off(reader)
        writer.close()
        await until(lambda: one.endpoint.statistics()["connections"] == 0)

    run(test)


@pytest.mark.parametrize("data", [b"", tcp_wire()[:50]])
def test_half_a_message_is_not_waited_for_long(data: bytes) -> None:
    async def test(one: Rig) -> None:
        _, writer = await connected(one)
        writer.write(data)
        await until(lambda: one.endpoint.counts["closed_half_message"] == 1)
        writer.close()

    run(test, message_s=0.1)


def test_an_idle_connection_is_closed() -> None:
    async def test(one: Rig) -> None:
        _, writer = await connected(one)
        writer.write(tcp_wire())
        await until(lambda: one.endpoint.counts["closed_idle"] == 1)
        writer.close()

    run(test, idle_s=0.2)


def test_more_connections_than_the_limit_are_turned_away() -> None:
    async def test(one: Rig) -> None:
        first, second = await connected(one), await connected(one)
        first[1].write(tcp_wire())
        await heard(first[0])
        await until(lambda: one.endpoint.counts["refused_connections"] == 1)
        for _, writer in (first, second):
            writer.close()

    run(test, max_calls=1)


def test_over_tls_who_trusts_the_certificate_is_answered_and_a_certificate_is_checked() -> None:
    files = Path(__file__).parents[2] / "api" / "tls"

    async def inside() -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(files / "certificate.pem", files / "key.pem")
        trusting = ssl.create_default_context(cafile=str(files / "certificate.pem"))
        far = Endpoint(HERE, 0, ("tls",), on_request=answer_ok, tls=own, client_tls=trusting)
        careful = Endpoint(HERE, 0, ("tls",), on_request=answer_ok, tls=own)
        for endpoint in (far, careful):
            await endpoint.start()
        assert far.contact("tls", "a").endswith(";transport=tls>")
        to = Uri("sips", "far", "localhost", far.address("tls")[1])
        assert (await far.request(ours("NOTIFY"), to).final()).status == 200
        assert (await careful.request(ours("NOTIFY"), to).final()).status == 503
        for endpoint in (careful, far):
            await endpoint.stop()

    asyncio.run(inside())
