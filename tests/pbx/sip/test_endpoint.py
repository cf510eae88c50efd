"""The endpoint over loopback: who gets an answer, and which."""

import asyncio

import pytest
import structlog.testing

from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.sip import Headers, Request, Response, Via, response_to
from tests.pbx.sip.endpoint_rig import Peer, Rig, answer_ok, connected, cut_off, ours, run
from tests.pbx.sip.wires import HERE, wire
from tests.waiting import until

SDP = ("Content-Type", "application/sdp")


def test_a_call_is_offered_answered_and_acknowledged() -> None:
    async def test(one: Rig) -> None:
        answer = await one.peer.ask(wire(via=f"SIP/2.0/UDP {HERE}:{one.peer.port};branch=z9hG4bK1"))
        assert answer.status == 200
        assert one.calls[0].flow.peer == (HERE, one.peer.port)
        one.peer.send(wire("ACK", branch="z9hG4bK2", to_tag=one.calls[0].tag))
        await asyncio.wait_for(one.calls[0].acknowledged.wait(), 15)
        assert one.calls[0].ack is not None

    run(test, on_request=answer_ok)


def test_a_repeated_invite_is_one_call() -> None:
    async def test(one: Rig) -> None:
        for _ in range(3):
            one.peer.send(wire())
        await one.peer.nothing()
        assert len(one.calls) == 1

    run(test)


def test_an_answer_goes_where_the_request_came_from_whatever_its_via_says() -> None:
    async def test(one: Rig) -> None:
        answer = await one.peer.ask(wire("OPTIONS", via="SIP/2.0/UDP 192.0.2.77:9;rport;branch=z9hG4bK1"))
        via = Via.parse(answer.headers.get("Via"))
        assert via.params["received"] == HERE and via.params["rport"] == str(one.peer.port)
        assert via.host == "192.0.2.77"

    run(test)


def test_without_rport_the_answer_goes_to_the_port_in_the_via_and_never_to_its_host() -> None:
    async def test(one: Rig) -> None:
        other = await Peer(one.endpoint.address("udp")).open()
        one.peer.send(wire("OPTIONS", via=f"SIP/2.0/UDP 192.0.2.77:{other.port};branch=z9hG4bK1"))
        await until(lambda: other.came)
        assert one.peer.came == []
        other.close()

    run(test)


def test_options_tells_what_is_understood() -> None:
    async def test(one: Rig) -> None:
        answer = await one.peer.ask(wire("OPTIONS"))
        assert answer.status == 200
        assert "invite" in answer.headers.tokens("Allow") and answer.headers.get("Accept") == "application/sdp"
        assert answer.headers.tokens("Supported") == ["timer"]
        assert len(one.calls) == 0 and one.endpoint.statistics()["transactions"] == 0

    run(test)


@pytest.mark.parametrize(
    ("data", "status", "header"),
    [
        (wire("REGISTER"), 405, "Allow"),
        (wire("MAKECOFFEE"), 501, "Allow"),
        (wire(headers=[("Require", "timer, 100rel, nothing")]), 420, "Unsupported"),
        (wire(body=b"x", headers=[("Content-Type", "text/plain")]), 415, "Accept"),
        (wire(body=b"x"), 415, "Accept"),
        (wire(body=b"x", headers=[SDP, ("Content-Encoding", "gzip")]), 415, "Accept-Encoding"),
        (wire(headers=[("Accept", "text/html")]), 406, ""),
        (wire(headers=[("Max-Forwards", "0")]), 483, ""),
        (wire(uri="http://example.com"), 416, ""),
        (wire("BYE"), 481, ""),
        (wire("CANCEL"), 481, ""),
        (wire(body=b"v" * 20_000, headers=[SDP]), 513, ""),
        (wire().replace(b" SIP/2.0\r\n", b" SIP/3.0\r\n", 1), 505, ""),
        (wire().replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"), 400, ""),
    ],
)
def test_what_can_not_be_is_refused_before_anybody_hears_of_it(data: bytes, status: int, header: str) -> None:
    async def test(one: Rig) -> None:
        answer = await one.peer.ask(data)
        assert answer.status == status
        assert not header or answer.headers.get(header)
        assert status != 420 or answer.headers.get("Unsupported") == "100rel, nothing"
        assert one.calls == [] and one.endpoint.statistics()["transactions"] == 0
        assert one.peer.bytes_in <= one.peer.bytes_out + 300

    run(test)


@pytest.mark.parametrize(
    "data",
    [
        wire(body=b"v=0", headers=[SDP]),
        wire(headers=[("Require", "timer"), ("Accept", "application/sdp;level=1, text/html")]),
        wire("OPTIONS", to_tag="x"),
        wire("BYE", to_tag="x"),
        wire("NOTIFY"),
        wire(to_tag="x", headers=[("Max-Forwards", "0")]),
        wire(headers=[("Content-Encoding", "identity")]),
        wire(uri="tel:+4930123"),
    ],
)
def test_what_can_be_is_handed_on(data: bytes) -> None:
    async def test(one: Rig) -> None:
        one.peer.send(data)
        await until(lambda: one.calls)

    run(test)


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        wire("ACK", to_tag="x"),
        wire("ACK").replace(b"CSeq: 1 ACK", b"CSeq: 1 BYE"),
        response_to(
            Request("BYE", "sip:a@h", Headers([("Via", "SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bKx")])), 200
        ).encode(),
        wire().replace(b"Via", b"Vxx"),
    ],
)
def test_rubbish_answers_and_acks_get_no_answer(data: bytes) -> None:
    async def test(one: Rig) -> None:
        one.peer.send(data)
        await one.peer.nothing()
        assert one.calls == []

    run(test)


def test_who_is_not_permitted_gets_no_answer_and_is_counted() -> None:
    async def test(one: Rig) -> None:
        one.peer.send(wire())
        await until(lambda: one.endpoint.counts["refused_not_permitted"])
        reader, writer = await connected(one)
        assert await cut_off(reader)
        writer.close()
        assert one.calls == [] and one.peer.came == []

    run(test, permit=["192.0.2.0/24"])


def test_cheap_answers_are_limited_for_each_address() -> None:
    async def test(one: Rig) -> None:
        for number in range(800):
            one.peer.send(wire("MAKECOFFEE", branch=f"z9hG4bK{number}"))
            await asyncio.sleep(0)  # the loop reads one at a turn, and the kernel keeps only so many
        await until(lambda: sum(one.endpoint.counts.values()) >= 800)
        assert one.endpoint.counts["dropped_too_many"] > 0
        assert one.endpoint.counts["answered_501"] >= 200

    run(test)


def test_a_cancel_is_answered_and_the_invite_refused() -> None:
    cancelled: list[str] = []

    def ring(transaction: ServerTransaction) -> None:
        transaction.on_cancel = lambda: cancelled.append("yes")
        transaction.reply(180)

    async def test(one: Rig) -> None:
        await one.peer.ask(wire())
        one.peer.send(wire("CANCEL"))
        await until(lambda: len(one.peer.came) >= 3)
        answers = [message for message in one.peer.came if isinstance(message, Response)]
        assert [(answer.status, answer.headers.get("CSeq")) for answer in answers] == [
            (180, "1 INVITE"),
            (200, "1 CANCEL"),
            (487, "1 INVITE"),
        ]
        assert len({answer.headers.get("To") for answer in answers}) == 1
        assert cancelled == ["yes"]
        one.peer.send(wire("ACK", to_tag=one.calls[0].tag))
        await asyncio.wait_for(one.calls[0].acknowledged.wait(), 15)

    run(test, on_request=ring)


def test_the_same_call_by_two_ways_is_a_loop() -> None:
    async def test(one: Rig) -> None:
        one.peer.send(wire())
        answer = await one.peer.ask(wire(branch="z9hG4bKother"))
        assert answer.status == 482 and len(one.calls) == 1

    run(test)


def test_over_the_limit_a_call_is_told_to_come_later() -> None:
    async def test(one: Rig) -> None:
        for number in range(200):
            one.peer.send(wire(branch=f"z9hG4bK{number}", call_id=str(number)))
        await until(lambda: any(isinstance(m, Response) and m.status == 503 for m in one.peer.came))
        assert one.endpoint.statistics()["transactions"] == 8 + 64
        refused = next(m for m in one.peer.came if isinstance(m, Response) and m.status == 503)
        assert refused.headers.get("Retry-After") == "10"
        assert one.endpoint.request(ours("OPTIONS"), one.peer.uri).answer is not None  # not sent: 503 at once

    run(test, max_calls=1)


def test_a_fault_in_a_call_is_a_500_and_the_socket_stays() -> None:
    async def test(one: Rig) -> None:
        assert (await one.peer.ask(wire())).status == 500
        assert (await one.peer.ask(wire("OPTIONS", branch="z9hG4bK2", call_id="2"))).status == 200

    run(test, on_request=lambda transaction: [][0])


def test_rubbish_without_end_is_counted_but_not_logged_without_end() -> None:
    async def test(one: Rig) -> None:
        with structlog.testing.capture_logs() as lines:
            for _ in range(100):
                one.peer.send(b"rubbish")
            await until(lambda: one.endpoint.counts["malformed"] == 100)
        told = [line for line in lines if line["event"] == "sip_malformed"]
        assert 1 <= len(told) < 20
        assert "rubbish" not in str(told)

    run(test)
