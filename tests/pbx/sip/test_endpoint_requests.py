"""Requests of ours, and where the endpoint says it is."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.wire.sip import Request, Uri, Via
from tests.pbx.sip.endpoint_rig import Peer, Rig, answer_ok, connected, ours, rig, run
from tests.pbx.sip.wires import HERE, wire
from tests.waiting import until


def test_a_request_of_ours_is_answered() -> None:
    async def test(one: Rig) -> None:
        transaction = one.endpoint.request(ours(), one.peer.uri)
        invite = await one.peer.request("INVITE")
        via = Via.parse(invite.headers.get("Via"))
        assert (via.host, via.port, via.params["rport"]) == (*one.endpoint.address("udp"), "")
        one.peer.answer(invite, 180)
        one.peer.answer(invite, 486)
        assert (await transaction.final()).status == 486
        await one.peer.request("ACK")

    run(test)


def test_an_ack_of_ours_is_sent_again_when_the_answer_comes_again() -> None:
    async def test(one: Rig) -> None:
        transaction = one.endpoint.request(ours(), one.peer.uri)
        invite = await one.peer.request("INVITE")
        one.peer.answer(invite, 200)
        final = await transaction.final()
        ack = ours("ACK")
        ack.headers.set("To", final.headers.get("To"))
        one.endpoint.send_ack(ack, one.peer.uri)
        first = await one.peer.request("ACK")
        one.peer.answer(invite, 200)
        await until(lambda: sum(isinstance(m, Request) and m.method == "ACK" for m in one.peer.came) == 2)
        again = await one.peer.request("ACK")
        assert again.headers == first.headers

    run(test)


def test_a_second_telephone_that_answers_gets_ack_and_bye() -> None:
    async def test(one: Rig) -> None:
        transaction = one.endpoint.request(ours(), one.peer.uri)
        invite = await one.peer.request("INVITE")
        one.peer.answer(invite, 200)
        await transaction.final()
        one.peer.answer(invite, 200, tag="second")
        bye = await one.peer.request("BYE")
        assert bye.headers.get("To").endswith("tag=second") and bye.headers.get("CSeq") == "2 BYE"
        assert (await one.peer.request("ACK")).headers.get("To").endswith("tag=second")
        one.peer.answer(bye, 200)

    run(test)


def test_cancel_leaves_once_it_rings() -> None:
    async def test(one: Rig) -> None:
        transaction = one.endpoint.request(ours(), one.peer.uri)
        invite = await one.peer.request("INVITE")
        transaction.cancel()
        one.peer.answer(invite, 180)
        cancel = await one.peer.request("CANCEL")
        assert cancel.headers.get("Via") == invite.headers.get("Via")
        one.peer.answer(cancel, 200)
        one.peer.answer(invite, 487)
        assert (await transaction.final()).status == 487

    run(test)


def test_an_answer_to_nobody_is_dropped() -> None:
    async def test(one: Rig) -> None:
        transaction = one.endpoint.request(ours("OPTIONS"), one.peer.uri)
        request = await one.peer.request("OPTIONS")
        request.headers.replace_first("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKforeign")
        one.peer.answer(request, 200)
        await until(lambda: one.endpoint.counts["stray_responses"])
        assert transaction.answer is None

    run(test)


def test_over_tcp_a_connection_is_made_and_used_again() -> None:
    async def test(one: Rig) -> None:
        async with rig(on_request=answer_ok) as far:
            to = Uri("sip", "far", "localhost", far.tcp[1], {"transport": "tcp"})
            answers = [await one.endpoint.request(ours("NOTIFY"), to).final() for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200]
            assert one.endpoint.statistics()["connections"] == 1
            assert far.calls[0].flow is far.calls[1].flow
            # and back by the same connection
            back = far.endpoint.request(ours("NOTIFY"), far.calls[0].flow)
            await until(lambda: one.calls)
            one.calls[0].reply(200)
            assert (await back.final()).status == 200

    run(test)


@pytest.mark.parametrize(
    "to", ["sip:far@127.0.0.1:1;transport=tcp", "sip:far@no.such.host.invalid", "sips:far@127.0.0.1", "sip:far@[::1]:9"]
)
def test_without_a_way_the_answer_is_503(to: str) -> None:
    async def test(one: Rig) -> None:
        assert (await one.endpoint.request(ours("OPTIONS"), Uri.parse(to)).final()).status == 503

    run(test)


def test_a_lost_connection_ends_what_waits_for_an_answer_on_it() -> None:
    async def test(one: Rig) -> None:
        async with rig() as far:
            to = Uri("sip", "far", HERE, far.tcp[1], {"transport": "tcp"})
            transaction = one.endpoint.request(ours(), to)
            await until(lambda: far.calls)
            await far.endpoint.stop()
            assert (await transaction.final()).status == 503

    run(test)


def test_what_can_not_be_sent_is_an_error_at_once() -> None:
    async def test(one: Rig) -> None:
        bad = ours()
        bad.uri = "sip:a b@h"
        with pytest.raises(ValueError, match="spaces"):
            one.endpoint.request(bad, one.peer.uri)
        assert one.endpoint.statistics()["transactions"] == 0

    run(test)


# --- where we are


def test_a_contact_is_where_the_peer_reaches_us() -> None:
    async def test(one: Rig) -> None:
        port = one.endpoint.address("udp")[1]
        assert one.endpoint.contact("udp", "8 00>") == f"<sip:8%2000%3E@{HERE}:{port}>"
        assert one.endpoint.contact("tcp", "800").endswith(";transport=tcp>")
        await one.peer.ask(wire("OPTIONS"))

    run(test)


def test_what_is_advertised_stands_in_contacts_and_vias() -> None:
    async def test(one: Rig) -> None:
        assert one.endpoint.contact("udp", "a").startswith("<sip:a@pbx.example.com:")
        one.endpoint.request(ours("OPTIONS"), one.peer.uri)
        assert "pbx.example.com" in (await one.peer.request("OPTIONS")).headers.get("Via")

    run(test, advertise_host="pbx.example.com")


def test_on_all_addresses_the_one_towards_the_peer_is_named() -> None:
    async def inside() -> None:
        endpoint = Endpoint("0.0.0.0", 0, ("udp",), on_request=lambda transaction: None)
        await endpoint.start()
        peer = await Peer((HERE, endpoint.address("udp")[1])).open()
        transaction = endpoint.request(ours("OPTIONS"), peer.uri)
        assert Via.parse((await peer.request("OPTIONS")).headers.get("Via")).host == HERE
        assert transaction.flow is not None and endpoint.contact(transaction.flow, "a").startswith(f"<sip:a@{HERE}:")
        peer.close()
        await endpoint.stop()

    asyncio.run(inside())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_an_address_that_is_taken_is_a_config_error(
    kind: socket.SocketKind, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def inside() -> None:
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind((HERE, 0))
            endpoint = Endpoint(HERE, taken.getsockname()[1], ("udp", "tcp"), on_request=lambda transaction: None)
            with pytest.raises(ConfigError, match=r"can't listen on [0-9.:]+: Address already in use"):
                await endpoint.start()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(inside())


def test_what_can_never_listen_is_a_config_error() -> None:
    async def inside() -> None:
        with pytest.raises(ConfigError, match="certificate"):
            await Endpoint(HERE, 0, ("tls",), on_request=lambda transaction: None).start()
        with pytest.raises(ConfigError, match="no network"):
            Endpoint(HERE, 0, ("udp",), on_request=lambda transaction: None, permit=["x"])

    asyncio.run(inside())


def test_nothing_is_left_when_it_has_stopped() -> None:
    async def inside() -> None:
        async with rig() as one:
            one.peer.send(wire())
            await until(lambda: one.calls)
            _, writer = await connected(one)
            waiting = one.endpoint.request(ours(), one.peer.uri)
            slow = one.endpoint.request(ours("OPTIONS"), Uri.parse("sip:far@localhost:9;transport=tcp"))
        assert {waiting.answer and waiting.answer.status, slow.answer and slow.answer.status} == {503}
        assert one.endpoint.statistics()["transactions"] == one.endpoint.statistics()["connections"] == 0
        writer.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(inside())
