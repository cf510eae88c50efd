"""An endpoint on loopback, and somebody with a UDP socket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers, Request, Response, Uri, parse, response_to
from tests.pbx.sip.wires import HERE, wire
from tests.waiting import until


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
