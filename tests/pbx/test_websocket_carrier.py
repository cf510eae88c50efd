"""The WebSocket listener on real sockets: which calls get in, and what becomes of everybody else."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from hypothesis import strategies as st
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from sovereign_pbx.core.errors import ConfigError, LinkBroken, LinkClosed, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.websocket import VARIABLE, WebSocketCarrier
from sovereign_pbx.pbx.websocket_server import Connection
from tests.waiting import until

FRAME = b"\x02" * 320


class Rig:
    """A listener, what it told, and Asterisks to connect to it."""

    def __init__(self, carrier: WebSocketCarrier) -> None:
        self.carrier = carrier
        self.links: dict[str, MediaLink] = {}
        self.ends: list[tuple[str, LinkEnded]] = []
        self.expired: list[str] = []
        self.peers: list[ClientConnection] = []
        carrier.on_connect = self.links.__setitem__
        carrier.on_ended = lambda token, link, how: self.ends.append((token, how))
        carrier.on_expired = self.expired.append

    async def dial(
        self, token: str, *, path: str = "/media", protocol: str = "media", credentials: str = ""
    ) -> ClientConnection:
        host, port = self.carrier.address
        headers = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()} if credentials else {}
        peer = await connect(
            f"ws://{host}:{port}{path}?token={token}",
            subprotocols=[Subprotocol(protocol)],
            additional_headers=headers,
            compression=None,
            ping_interval=None,
        )
        self.peers.append(peer)
        return peer

    def expect(self, rate: int = 8000, within_s: float = 5.0) -> str:
        token = str(uuid4())
        self.carrier.expect(token, within_s, rate=rate)
        return token

    async def call(self) -> tuple[str, ClientConnection]:
        token = self.expect()
        peer = await self.dial(token)
        await peer.send(media_start())
        await until(lambda: token in self.links)
        return token, peer

    def refused(self, reason: str) -> int:
        return self.carrier.statistics().get(f"refused_{reason}", 0)


def media_start(rate: int = 8000, **variables: str) -> str:
    name, size = ("slin", 320) if rate == 8000 else ("slin16", 640)
    start = {"event": "MEDIA_START", "connection_id": "sovereign", "channel": "WebSocket/sovereign/0x1"}
    return json.dumps({**start, "format": name, "optimal_frame_size": size, "channel_variables": variables})


async def code_of(peer: ClientConnection) -> int:
    """The code that the server closes with."""
    with pytest.raises(ConnectionClosed) as caught:
        async with asyncio.timeout(15):
            while True:
                await peer.recv()
    return caught.value.rcvd.code if caught.value.rcvd is not None else 1006


@asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[Rig]:
    carrier = WebSocketCarrier("127.0.0.1", 0, connection="sovereign", **options)
    await carrier.start()
    rig = Rig(carrier)
    try:
        yield rig
    finally:
        await asyncio.gather(*(peer.close() for peer in rig.peers))
        await carrier.close()
        assert carrier.statistics()["connections"] == 0
        assert carrier.statistics()["expected"] == 0


def run(scenario: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    async def body() -> None:
        async with listening(**options) as rig:
            await scenario(rig)

    asyncio.run(body())


def test_an_expected_call_gets_its_link_once_its_media_starts() -> None:
    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        link = rig.links[token]
        link.put(FRAME)
        assert await peer.recv() == FRAME
        await peer.send(FRAME)
        await until(lambda: link.statistics()["frames_in"] == 1)
        assert link.take() == FRAME
        assert (link.kind, link.rate) == ("websocket", 8000)
        assert rig.carrier.knows(token)

    run(scenario)


def test_an_unknown_token_is_turned_away_before_the_upgrade() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await rig.dial(str(uuid4()))
        assert caught.value.response.status_code == 403
        assert rig.refused("unknown_id") == 1

    run(scenario)


def test_a_replayed_token_is_refused_and_costs_the_call_nothing() -> None:
    async def scenario(rig: Rig) -> None:
        token, _ = await rig.call()
        second = await rig.dial(token)
        await second.send(media_start())
        assert await code_of(second) == 1008
        assert rig.links[token].ended is None
        assert rig.refused("unknown_id") == 1

    run(scenario)


def test_the_channels_own_variable_has_the_last_word() -> None:
    """Asterisk may give two calls of one moment the address of the second."""

    async def scenario(rig: Rig) -> None:
        first, second = rig.expect(), rig.expect()
        one, other = await rig.dial(second), await rig.dial(second)
        await other.send(media_start(8000, **{VARIABLE: second}))
        await one.send(media_start(8000, **{VARIABLE: first}))
        await until(lambda: {first, second} == set(rig.links))
        await one.send(FRAME)
        await until(lambda: rig.links[first].statistics()["frames_in"] == 1)
        assert rig.links[second].statistics()["frames_in"] == 0
        assert rig.carrier.statistics()["mixed_up"] == 1

    run(scenario)


def test_an_expired_token_is_refused_and_reported() -> None:
    async def scenario(rig: Rig) -> None:
        token = rig.expect(within_s=0.02)
        await until(lambda: rig.expired == [token])
        with pytest.raises(InvalidStatus):
            await rig.dial(token)

    run(scenario)


def test_a_forgotten_token_is_refused_and_not_reported() -> None:
    async def scenario(rig: Rig) -> None:
        token = rig.expect(within_s=0.05)
        rig.carrier.forget(token)
        with pytest.raises(InvalidStatus):
            await rig.dial(token)
        await asyncio.sleep(0.1)
        assert rig.expired == []

    run(scenario)


def test_another_rate_than_expected_is_refused() -> None:
    async def scenario(rig: Rig) -> None:
        token = rig.expect(rate=16000)
        peer = await rig.dial(token)
        await peer.send(media_start(8000))
        assert await code_of(peer) == 1008
        assert rig.refused("another_rate") == 1

    run(scenario)


@pytest.mark.parametrize("first", ["STATUS queue_length:1", "{", FRAME, media_start().replace("slin", "ulaw")])
def test_who_begins_with_anything_but_media_start_is_refused(first: str | bytes) -> None:
    async def scenario(rig: Rig) -> None:
        peer = await rig.dial(rig.expect())
        await peer.send(first)
        assert await code_of(peer) == 1008
        assert rig.refused("unusable") == 1

    run(scenario)


def test_who_never_begins_is_closed_after_the_handshake_timeout() -> None:
    async def scenario(rig: Rig) -> None:
        silent = await rig.dial(rig.expect())
        _, writer = await asyncio.open_connection(*rig.carrier.address)
        assert await code_of(silent) == 1008
        await until(lambda: rig.refused("handshake_timeout") == 2)
        writer.close()

    run(scenario, handshake_timeout_s=0.1)


@pytest.mark.parametrize(("path", "protocol"), [("/other", "media"), ("/media", "sip")])
def test_another_path_or_subprotocol_is_refused(path: str, protocol: str) -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(InvalidStatus):
            await rig.dial(rig.expect(), path=path, protocol=protocol)

    run(scenario)


def test_the_password_is_asked_for_where_there_is_one() -> None:
    async def scenario(rig: Rig) -> None:
        for wrong in ("", "asterisk:wrong", "other:secret"):
            with pytest.raises(InvalidStatus) as caught:
                await rig.dial(rig.expect(), credentials=wrong)
            assert caught.value.response.status_code == 401
        await rig.dial(rig.expect(), credentials="asterisk:secret")

    run(scenario, username="asterisk", password="secret")


RUBBISH = [
    b"\x01\x00\x10" + bytes(16),
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /media HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /media?" + b"a=b&" * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n" * 5000,
    b"A" * 20000,
    bytes(range(256)) * 8,
]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_is_refused_and_answered_shortly(rubbish: bytes) -> None:
    async def scenario(rig: Rig) -> None:
        reader, writer = await asyncio.open_connection(*rig.carrier.address)
        writer.write(rubbish)
        writer.write_eof()
        async with asyncio.timeout(15):
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
        assert len(answer) < 1000
        writer.close()
        await until(lambda: rig.carrier.statistics()["connections"] == 0)
        await rig.call()

    run(scenario, handshake_timeout_s=1.0)


def test_a_frame_that_breaks_the_protocol_breaks_its_link_alone() -> None:
    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        other, _ = await rig.call()
        peer.transport.write(b"\x82\x05hello")  # a client's frames are masked
        await until(lambda: len(rig.ends) == 1)
        assert rig.ends[0][0] == token
        assert isinstance(rig.ends[0][1], LinkBroken)
        assert rig.links[other].ended is None

    run(scenario)


def test_a_message_over_the_limit_breaks_its_link() -> None:
    async def scenario(rig: Rig) -> None:
        _, peer = await rig.call()
        await peer.send(bytes(70000))
        await until(lambda: len(rig.ends) == 1)
        assert isinstance(rig.ends[0][1], LinkBroken)

    run(scenario)


def test_a_message_in_pieces_is_put_together_and_one_in_too_many_is_not() -> None:
    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        await peer.send([FRAME[:100], FRAME[100:200], FRAME[200:]])
        await until(lambda: rig.links[token].take() == FRAME)
        peer.transport.write(b"\x02\x80abcd" + b"\x00\x80abcd" * 100)
        await until(lambda: len(rig.ends) == 1)
        assert isinstance(rig.ends[0][1], LinkBroken)

    run(scenario)


def test_pings_are_answered() -> None:
    async def scenario(rig: Rig) -> None:
        _, peer = await rig.call()
        async with asyncio.timeout(15):
            await (await peer.ping())

    run(scenario)


def test_a_caller_who_hangs_up_finishes_the_link() -> None:
    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        await peer.close()
        await until(lambda: len(rig.ends) == 1)
        assert type(rig.ends[0][1]) is LinkFinished
        assert not rig.carrier.knows(token)

    run(scenario)


def test_a_reset_finishes_the_link_too() -> None:
    async def scenario(rig: Rig) -> None:
        _, peer = await rig.call()
        sock = peer.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.transport.abort()
        await until(lambda: len(rig.ends) == 1)
        assert type(rig.ends[0][1]) is LinkFinished

    run(scenario)


def test_closing_says_so_in_order() -> None:
    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        rig.links[token].put(FRAME)
        rig.links[token].close()
        assert await peer.recv() == FRAME
        assert await code_of(peer) == 1000
        assert [type(how) for _, how in rig.ends] == [LinkClosed]

    run(scenario)


def test_a_peer_that_does_not_leave_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.websocket_server.LINGER_S", 0.05)

    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        peer.transport.pause_reading()  # it never sees our close frame
        rig.links[token].close()
        await until(lambda: rig.carrier.statistics()["connections"] == 0)
        peer.transport.abort()

    run(scenario)


def test_a_peer_that_stops_reading_is_dropped_without_waiting() -> None:
    async def scenario(rig: Rig) -> None:
        token, peer = await rig.call()
        peer.transport.pause_reading()
        link = rig.links[token]
        async with asyncio.timeout(30):
            while link.ended is None:
                await peer.send("STATUS queue_length:0")
                for _ in range(50):
                    link.put(FRAME)
                await asyncio.sleep(0)
        assert type(link.ended) is LinkFull
        assert rig.carrier.statistics()["LinkFull"] == 1
        peer.transport.abort()

    run(scenario)


def test_a_callback_that_fails_costs_only_its_own_call() -> None:
    async def scenario(rig: Rig) -> None:
        def fail(token: str, link: MediaLink) -> None:
            raise RuntimeError("no room")

        rig.carrier.on_connect, kept = fail, rig.carrier.on_connect
        peer = await rig.dial(rig.expect())
        await peer.send(media_start())
        assert await code_of(peer) == 1006
        rig.carrier.on_connect = kept
        await rig.call()

    with capture_logs() as logs:
        run(scenario)
    assert "websocket_session_failed" in [entry["event"] for entry in logs]


def test_connections_over_the_cap_and_from_elsewhere_are_closed() -> None:
    async def crowded(rig: Rig) -> None:
        await rig.call()
        with pytest.raises((InvalidMessage, ConnectionError)):
            await rig.dial(rig.expect())
        assert rig.refused("full") == 1

    async def elsewhere(rig: Rig) -> None:
        with pytest.raises((InvalidMessage, ConnectionError)):
            await rig.dial(rig.expect())
        assert rig.refused("not_permitted") == 1

    run(crowded, max_connections=1)
    run(elsewhere, permit=["10.0.0.0/8"])


def test_a_port_in_use_is_a_configuration_error() -> None:
    async def scenario(rig: Rig) -> None:
        host, port = rig.carrier.address
        with pytest.raises(ConfigError, match="can't listen") as caught:
            await WebSocketCarrier(host, port, connection="x").start()
        assert caught.value.key == "asterisk.websocket"

    run(scenario)


def test_the_dial_string_asks_for_signed_linear_json_and_names_the_token() -> None:
    async def scenario(rig: Rig) -> None:
        assert rig.carrier.dial_string("t", 8000) == "WebSocket/sovereign/c(slin)f(json)v(token=t)"
        assert rig.carrier.dial_string("t", 16000) == "WebSocket/sovereign/c(slin16)f(json)v(token=t)"

    run(scenario)


class Pipe(asyncio.Transport):
    """A connection's other end in memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "socket": socket.socket()})
        self.sent = bytearray()
        self.over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def write_eof(self) -> None:
        self.over = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.over

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True


REQUEST = (
    b"GET /media?token=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: media\r\n\r\n"
)


def masked(opcode: int, payload: bytes) -> bytes:
    """One frame of a client, whose mask changes nothing."""
    return bytes([0x80 | opcode, 0xFE]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.builds(masked, st.integers(0, 15), st.binary(max_size=700)),
        st.sampled_from(
            [REQUEST, masked(1, media_start().encode()), masked(2, FRAME), masked(8, b""), masked(9, b"x")]
        ),
    ),
    max_size=8,
)


@hypothesis.settings(max_examples=300)
@hypothesis.given(PIECES, st.integers(1, 400))
@hypothesis.example([REQUEST, b"\x80"], 400)
@hypothesis.example([REQUEST, masked(1, media_start().encode()), masked(2, FRAME), masked(8, b"\x03\xe8")], 77)
def test_no_bytes_do_any_harm_and_nothing_is_answered_at_length(pieces: list[bytes], step: int) -> None:
    async def body() -> None:
        async with listening() as rig:
            token = rig.expect()
            connection, pipe = Connection(rig.carrier.server), Pipe()
            connection.connection_made(pipe)
            data = b"".join(piece % token.encode() if piece is REQUEST else piece for piece in pieces)
            for at in range(0, len(data), step):
                if not pipe.over:
                    connection.data_received(data[at : at + step])
            assert len(pipe.sent) <= 1000 + len(data)
            connection.connection_lost(None)
            pipe.get_extra_info("socket").close()

    asyncio.run(body())
