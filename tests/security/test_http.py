"""The HTTP listener against smugglers, drips, bombs and guessers; raw sockets, since clients refuse to send these."""

import asyncio
import gzip
import inspect
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sovereign_pbx.api import keys as api_keys
from sovereign_pbx.api import reading
from sovereign_pbx.calls import recording_links
from tests.api.rest import Client, serving_rest

HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SECTIONS = {"assistants": {"reception": {"id": "reception"}}}


async def answers(api: Client, data: bytes, within_s: float = 5.0) -> list[int]:
    """The status of every answer to these bytes, until the connection is closed."""
    port = int(api.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(within_s):
            got = await reader.read()
    except ConnectionError:
        got = b""
    finally:
        writer.transport.abort()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


def run(folder: Path, scene: Callable[[Client], Awaitable[None]]) -> None:
    async def played() -> None:
        async with serving_rest(folder, **SECTIONS) as api:
            await scene(api)
            assert await answers(api, HEALTH) == [200], "it answers others as before"

    asyncio.run(played())


def post(api: Client, *headers: str, body: bytes = b"") -> bytes:
    """A request with the right key, and whatever headers."""
    lines = ["POST /api/v1/assistants HTTP/1.1", "Host: a", f"Authorization: Bearer {api.key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


HIDDEN = b"DELETE /api/v1/assistants/reception HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = {
    "both lengths": (["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "two lengths": (["Content-Length: 0", f"Content-Length: {len(HIDDEN)}"], b""),
    "a signed length": (["Content-Length: +4"], b""),
    "a length in another script": (["Content-Length: \u0664"], b""),
    "chunked twice": (["Transfer-Encoding: chunked, chunked"], b"0\r\n\r\n"),
    "an unknown coding": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
    "a space before the colon": (["Transfer-Encoding : chunked"], b"0\r\n\r\n"),
    "a folded header": (["X: a", " Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "a chunk's length with a sign": (["Transfer-Encoding: chunked"], b"-1\r\n\r\n"),
    "a chunk's length with 0x": (["Transfer-Encoding: chunked"], b"0x0\r\n\r\n"),
    "a NUL in a header": (["X: a\0b"], b""),
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_a_request_hidden_behind_another_is_not_carried_out(tmp_path: Path, how: str) -> None:
    headers, body = SMUGGLED[how]

    async def scene(api: Client) -> None:
        hidden = HIDDEN.replace(b"Host: a\r\n", f"Host: a\r\nAuthorization: Bearer {api.key}\r\n".encode())
        got = await answers(api, post(api, *headers, body=body) + hidden, 15.0)
        assert got[:1] in ([400], []), got
        assert len(got) <= 1, got
        assert (await api.get("/assistants/reception")).status == 200

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("10 000 headers", b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
        ("a header of 10 MB", b"GET /api/v1/health HTTP/1.1\r\nX: " + b"x" * 10_000_000 + b"\r\n\r\n"),
        ("an address of 1 MB", b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no HTTP", bytes(range(256)) * 40 + b"\r\n\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_head_that_is_none_is_refused_and_costs_little(tmp_path: Path, name: str, data: bytes) -> None:
    async def scene(api: Client) -> None:
        began = time.monotonic()
        got = await answers(api, data, 8.0)
        assert got in ([400], []), got
        assert time.monotonic() - began < 5.0

    run(tmp_path, scene)


def test_a_body_that_is_announced_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        assert await answers(api, post(api, "Content-Length: 100000000000", "Connection: close"), 15.0) in (
            [413],
            [400],
        )

    run(tmp_path, scene)


def test_a_compressed_bomb_is_refused(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        bomb = gzip.compress(bytes(50_000_000))
        request = post(api, "Content-Encoding: gzip", f"Content-Length: {len(bomb)}", "Connection: close", body=bomb)
        assert await answers(api, request, 15.0) in ([400], [413])

    run(tmp_path, scene)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"name": ' + b"9" * 400_000 + b"}",
        b'{"name": 1e999999999}',
        b'{"name": "a", "name": {"x": 1}}',
        b'{"name": "\\ud800"}',
        b"\xff\xfe{\x00}\x00",
    ],
    ids=["deep lists", "deep objects", "a huge number", "a huge exponent", "a key twice", "half a character", "UTF-16"],
)
def test_json_that_is_a_bomb_is_a_400(tmp_path: Path, body: bytes) -> None:
    async def scene(api: Client) -> None:
        began = time.monotonic()
        got = await api.send("POST", "/assistants", raw=body)
        assert got.status == 400, got
        assert time.monotonic() - began < 2.0

    run(tmp_path, scene)


def test_a_body_that_drips_keeps_its_place_no_longer_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key that fits; without one nothing is read of it at all."""
    monkeypatch.setattr(reading, "BODY_S", 1.0)

    async def drip(api: Client, request: bytes) -> tuple[float, bytes]:
        """How long it was borne with, and the first line of the answer."""
        port = int(api.address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
        answer = asyncio.ensure_future(reader.readline())
        writer.write(request)
        while not answer.done() and time.monotonic() - began < 15.0:
            writer.write(b" ")
            await asyncio.wait({answer}, timeout=0.2)
        taken = time.monotonic() - began
        answer.cancel()
        writer.transport.abort()
        return taken, answer.result() if not answer.cancelled() else b""

    async def scene(api: Client) -> None:
        stranger = post(api.as_key("wrong"), "Content-Length: 1000")
        known = post(api, "Content-Length: 1000")
        (unread, refused), (borne, timed_out) = await asyncio.gather(drip(api, stranger), drip(api, known))
        assert b" 401 " in refused and unread < 10.0
        assert b" 408 " in timed_out and borne < 10.0

    run(tmp_path, scene)


def test_guessing_keys_ends_at_the_limit_and_those_that_fit_go_on(tmp_path: Path) -> None:
    async def played() -> None:
        async with serving_rest(tmp_path, http={"requests_per_minute": 20}) as api:
            statuses = [(await api.as_key(f"fl_live_{number}").get("/assistants")).status for number in range(40)]
            assert statuses == [401] * 20 + [429] * 20
            assert (await api.get("/assistants")).status == 200

    asyncio.run(played())


@pytest.mark.parametrize("function", [api_keys.KeyRing._known, recording_links.RecordingLinks.check])
def test_what_is_secret_is_compared_in_constant_time(function: Callable[..., object]) -> None:
    """By construction: the one comparison with what a stranger sends is `hmac.compare_digest`."""
    source = inspect.getsource(function)
    assert "hmac.compare_digest(" in source
    assert not re.search(r"(digest|signature|token)\s*(==|!=)|(==|!=)\s*(digest|signature|token)", source)
