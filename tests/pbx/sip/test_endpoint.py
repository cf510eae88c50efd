"""The endpoint over loopback sockets: who gets an answer, and which."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers, Request, Response, Uri, Via, parse, response_to
from tests.pbx.sip.wires import HERE, wire
from tests.waiting import until

SDP = ("Content-Type", "application/sdp")


def answer_ok(transaction: ServerTransaction) -> None:
    transaction.reply(200)


class Peer(asyncio.DatagramProtocol):
    """Somebody with a UDP socket."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self.came: list[Request | Response] = []
        self.bytes_in = self.bytes_out = 0

    async def open(self) -> "Peer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HERE, 0))
        return self

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def uri(self) -> Uri:
        return Uri("sip", "far", HERE, self.port)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.bytes_in += len(data)
        try:
            self.came.append(parse(data))
        except Malformed:  # an answer repeats what was wrong with its request
            self.came.append(Response(int(data[8:11]), "", Headers()))

    def send(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self._transport.sendto(data, self._to)

    def answer(self, request: Request, status: int, tag: str = "far") -> None:
        self.send(response_to(request, status, tag=tag, headers=[("Contact", f"<{self.uri}>")]).encode())

    async def ask(self, data: bytes) -> Response:
        before = len(self.came)
        self.send(data)
        await until(lambda: len(self.came) > before)
        answer = self.came[-1]
        assert isinstance(answer, Response)
        return answer

    async def request(self, method: str) -> Request:
        """The last request of that method, once it has come."""
        await until(lambda: any(isinstance(one, Request) and one.method == method for one in self.came))
        return [one for one in self.came if isinstance(one, Request) and one.method == method][-1]

    async def nothing(self) -> None:
        """What was sent before has been dealt with, and got no answer."""
        before = len(self.came)
        answer = await self.ask(wire("OPTIONS", branch="z9hG4bKprobe", call_id="probe"))
        assert answer.status == 200 and len(self.came) == before + 1

    def close(self) -> None:
        self._transport.close()


class Rig:
    def __init__(self, endpoint: Endpoint, calls: list[ServerTransaction], peer: Peer) -> None:
        self.endpoint, self.calls, self.peer = endpoint, calls, peer

    @property
    def tcp(self) -> tuple[str, int]:
        return self.endpoint.address("tcp")


@asynccontextmanager
async def rig(
    on_request: Callable[[ServerTransaction], None] = lambda transaction: None, **how: Any
) -> AsyncIterator[Rig]:
    calls: list[ServerTransaction] = []

    def taken(transaction: ServerTransaction) -> None:
        calls.append(transaction)
        on_request(transaction)

    endpoint = Endpoint(HERE, 0, ("udp", "tcp"), on_request=taken, **how)
    await endpoint.start()
    peer = await Peer(endpoint.address("udp")).open()
    try:
        yield Rig(endpoint, calls, peer)
    finally:
        peer.close()
        await endpoint.stop()


def run(test: Callable[[Rig], Coroutine[Any, Any, None]], **how: Any) -> None:
    async def inside() -> None:
        async with rig(**how) as one:
            await test(one)

    asyncio.run(inside())


def ours(method: str = "INVITE") -> Request:
    """A request of ours, as the owner of a dialog hands it over."""
    headers = [("From", "<sip:us@127.0.0.1>;tag=us"), ("To", "<sip:far@127.0.0.1>"), ("Call-ID", "ours")]
    return Request(method, "sip:far@127.0.0.1", Headers([*headers, ("CSeq", f"1 {method}")]))


# --- what came


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
        for number in range(400):
            one.peer.send(wire("MAKECOFFEE", branch=f"z9hG4bK{number}"))
            if number % 50 == 0:
                await asyncio.sleep(0)
        await until(lambda: sum(one.endpoint.counts.values()) >= 400)
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


# --- TCP


async def connected(one: Rig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.wait_for(asyncio.open_connection(*one.tcp), 15)


async def cut_off(reader: asyncio.StreamReader) -> bool:
    """The other side ended the connection without a word."""
    try:
        return await asyncio.wait_for(reader.read(), 15) == b""
    except ConnectionResetError:
        return True


async def heard(reader: asyncio.StreamReader) -> Response:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
    answer = parse(head)
    assert isinstance(answer, Response)
    return answer


def tcp_wire(method: str = "OPTIONS", **how: Any) -> bytes:
    return wire(method, via=f"SIP/2.0/TCP {HERE}:5060;branch=z9hG4bK{how.pop('n', 1)}", **how)


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
        reader, writer = await connected(one)
        writer.write(tcp_wire())
        await heard(reader)
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


# --- requests of ours


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
    "to", ["sip:far@127.0.0.1:1;transport=tcp", "sip:far@no.such.host.invalid", "sips:far@127.0.0.1"]
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


def test_an_address_that_is_taken_is_a_config_error() -> None:
    async def inside() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((HERE, 0))
            endpoint = Endpoint(HERE, taken.getsockname()[1], ("udp", "tcp"), on_request=lambda transaction: None)
            with pytest.raises(ConfigError, match="can't listen"):
                await endpoint.start()
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
