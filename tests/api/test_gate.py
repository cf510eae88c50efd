"""The gate and HTTP itself: who is let in, how often, and what every refusal looks like."""

import asyncio
import dataclasses
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import msgspec
import pytest
import structlog
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from sovereign_pbx.api.errors import ApiError
from sovereign_pbx.api.gate import Gate
from sovereign_pbx.api.keys import Key, KeyRing, new_key, write_keys
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.server import Listener, make_app
from sovereign_pbx.assistants.shape import Text
from sovereign_pbx.assistants.table import Key as Field
from sovereign_pbx.assistants.table import Table
from sovereign_pbx.core.errors import Refused, SovereignError
from tests.api.probe import ScriptedProbe

BODY = Table(Field("name", Text(1, 20), required=True))
LIMITS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class Told(SovereignError):
    """A disk that refuses."""


async def _handle(asked: Asked) -> Any:
    match asked.ids.get("id"):
        case "broken":
            raise RuntimeError("inner detail")
        case "full":
            raise Told("inner detail")
        case "refused":
            raise Refused("call_not_active", "The call is over.")
    return {"id": asked.ids.get("id"), "body": asked.body}


OPERATIONS = [
    Operation(method="GET", path="/things/{id}", name="get", summary="", tag="", handler=_handle),
    Operation(
        method="POST", path="/things", name="make", summary="", tag="", scope="admin", body=BODY, handler=_handle
    ),
]


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Asker:
    """Asks as one key does."""

    def __init__(self, session: aiohttp.ClientSession, address: str, clock: Clock, path: Path) -> None:
        self.session, self.address, self.clock, self.path = session, address, clock, path
        self.token = ""

    async def __call__(
        self, method: str, path: str, token: str | None = None, raw: bytes | None = None, **headers: str
    ) -> tuple[aiohttp.ClientResponse, Any]:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        shown.setdefault("Authorization", f"Bearer {self.token if token is None else token}")
        url = URL(self.address + path, encoded=True)
        async with self.session.request(method, url, data=raw, headers=shown) as response:
            text = await response.read()
            return response, msgspec.json.decode(text) if text else None


@asynccontextmanager
async def asking(folder: Path, *, per_minute: int = 100, limit_loopback: bool = True) -> AsyncIterator[Asker]:
    clock, path = Clock(), folder / "keys.toml"
    gate = Gate(KeyRing(path, look_s=0.0), per_minute=per_minute, limit_loopback=limit_loopback, now=clock)
    listener = Listener(make_app(ScriptedProbe(), Metrics(), OPERATIONS, gate, max_body=10_000))
    port = await listener.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            asker = Asker(session, f"http://127.0.0.1:{port}", clock, path)
            asker.token = await keep(asker)
            yield asker
    finally:
        await listener.close()


_kept: dict[Path, list[Key]] = {}


async def keep(asker: Asker, *scopes: str, **more: Any) -> str:
    """A key more in the file."""
    now = datetime.fromtimestamp(asker.clock(), UTC)
    keys = _kept.setdefault(asker.path, [])
    token, key = new_key(f"key {len(keys)}", scopes or ("admin",), now=now, **more)
    keys.append(key)
    await asyncio.to_thread(write_keys, asker.path, keys)
    return token


def play(folder: Path, scene: Callable[[Asker], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with asking(folder, **settings) as ask:
            await scene(ask)

    asyncio.run(run())


THING = "/api/v1/things/1"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer fl_live_guess",
        "fl_live_guess",
        "Bearer \xff",
        "Bearer " + "x" * 4000,
    ],
)
def test_who_has_no_key_that_fits_gets_401(tmp_path: Path, authorization: str) -> None:
    async def scene(ask: Asker) -> None:
        response, body = await ask("GET", THING, Authorization=authorization)
        assert (response.status, body["error"], body["code"]) == (401, "Unauthorized", "unauthorized")
        assert body["message"].startswith("Invalid or missing API key")
        assert "guess" not in str(body)

    play(tmp_path, scene)


def test_the_word_bearer_may_be_written_as_one_likes(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        response, _ = await ask("GET", THING, Authorization=f"bEARER  {ask.token} ")
        assert response.status == 200

    play(tmp_path, scene)


def test_an_expired_and_a_revoked_key_are_told_so(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        token = await keep(ask, expires_at=datetime.fromtimestamp(ask.clock() + 60, UTC))
        assert (await ask("GET", THING, token))[0].status == 200
        ask.clock.now += 60
        response, body = await ask("GET", THING, token)
        assert (response.status, body["code"], body["message"]) == (
            *(401, "api_key_expired"),
            "This API key has expired.",
        )

    play(tmp_path, scene)


def test_a_key_that_is_revoked_while_the_daemon_runs_is_refused(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        token, key = new_key("crm", ("admin",), now=datetime.now(UTC))
        await asyncio.to_thread(write_keys, ask.path, [key])
        assert (await ask("GET", THING, token))[0].status == 200
        revoked = dataclasses.replace(key, revoked_at=key.created_at)
        await asyncio.to_thread(write_keys, ask.path, [revoked])
        response, body = await ask("GET", THING, token)
        assert (response.status, body["code"]) == (401, "api_key_revoked")

    play(tmp_path, scene)


def test_a_key_of_too_small_a_scope_gets_403_and_learns_which_it_needs(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        token = await keep(ask, "read", "calls")
        response, body = await ask("POST", "/api/v1/things", token, raw=b'{"name":"x"}')
        assert (response.status, body["error"], body["code"]) == (403, "Forbidden", "forbidden")
        assert "read, calls" in body["message"] and "admin" in body["message"]

    play(tmp_path, scene)


def test_a_key_file_damaged_at_run_time_lets_nobody_in_and_says_so_in_the_log(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        await asyncio.to_thread(ask.path.write_text, "[[keys]\n")
        response, body = await ask("GET", THING)
        assert (response.status, body["code"]) == (503, "keys_unreadable")
        assert str(ask.path) not in str(body)

    with structlog.testing.capture_logs() as lines:
        play(tmp_path, scene)
    assert [line["event"] for line in lines] == ["api.keys_unreadable"]
    assert str(tmp_path) in lines[0]["error"]


@pytest.mark.parametrize(
    ("method", "path", "raw", "status"),
    [
        ("GET", THING, None, 200),
        ("POST", "/api/v1/things", b"{}", 400),
        ("GET", "/api/v1/things/refused", None, 400),
        ("GET", "/api/v1/nothing", None, 404),
        ("PUT", THING, None, 405),
        ("POST", "/api/v1/things", b"x" * 10_001, 413),
        ("GET", "/api/v1/things/broken", None, 500),
        ("GET", "/api/v1/things/full", None, 503),
    ],
)
def test_every_answer_says_what_is_left(tmp_path: Path, method: str, path: str, raw: bytes | None, status: int) -> None:
    async def scene(ask: Asker) -> None:
        response, body = await ask(method, path, raw=raw)
        assert response.status == status, body
        assert [response.headers[name] for name in LIMITS] == ["100", "99", str(int(ask.clock()) + 60)]
        assert "inner detail" not in str(body)
        for token, refused in (("nobody", 401), (await keep(ask, "calls"), 403)):
            response, _ = await ask(
                "POST" if refused == 403 else "GET", "/api/v1/things" if refused == 403 else THING, token
            )
            assert (response.status, response.headers["X-RateLimit-Remaining"]) == (refused, "99")

    with structlog.testing.capture_logs():
        play(tmp_path, scene)


def test_over_the_limit_is_429_before_anything_is_done_and_ends_with_the_minute(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        for _ in range(2):
            assert (await ask("GET", THING))[0].status == 200
        ask.clock.now += 15
        response, body = await ask("GET", "/api/v1/things/broken")
        assert (response.status, body["code"], body["retry_after"]) == (429, "rate_limit_exceeded", 45)
        assert body["message"] == "Too many requests. Please retry after 45 seconds."
        assert (response.headers["Retry-After"], response.headers["X-RateLimit-Remaining"]) == ("45", "0")
        other = await keep(ask)
        assert (await ask("GET", THING, other))[0].status == 200
        ask.clock.now += 45
        assert (await ask("GET", THING))[0].status == 200

    play(tmp_path, scene, per_minute=2)


def test_guessing_is_counted_by_address_and_takes_nothing_from_keys_that_fit(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        statuses = [(await ask("GET", THING, f"fl_live_{n}"))[0].status for n in range(3)]
        assert statuses == [401, 401, 429]
        assert (await ask("GET", "/api/v1/nothing", "fl_live_3"))[0].status == 429
        assert (await ask("GET", THING))[0].status == 200

    play(tmp_path, scene, per_minute=2)


def test_this_machine_can_be_left_uncounted(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        for _ in range(3):
            response, _ = await ask("GET", THING)
            assert response.status == 200 and "X-RateLimit-Limit" not in response.headers
        assert (await ask("GET", THING, "guess"))[0].status == 401

    play(tmp_path, scene, per_minute=1, limit_loopback=False)


def admit(gate: Gate, remote: str) -> int:
    """The status that a guess from there gets."""
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (remote, 1) if name == "peername" else default
    request = make_mocked_request("GET", THING, {"Authorization": "Bearer guess"}, transport=transport)
    with pytest.raises(ApiError) as refused:
        asyncio.run(gate.admit(request, "read"))
    return refused.value.status


def test_a_subscriber_of_ipv6_is_one_guesser(tmp_path: Path) -> None:
    gate = Gate(KeyRing(tmp_path / "keys.toml"), per_minute=1, limit_loopback=False)
    assert [admit(gate, f"2001:db8::{n}") for n in (1, 2)] == [401, 429]
    assert [admit(gate, remote) for remote in ("2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1")] == [401, 401, 429]
    assert admit(gate, "192.0.2.2") == 401
    assert [admit(gate, remote) for remote in ("::1", "::1", "::ffff:127.0.0.1", "::ffff:127.0.0.1")] == [401] * 4


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no body"),
        (b"  ", "no body"),
        (b"{", "not valid JSON"),
        (b"name=x", "not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "not valid JSON"),
        (b'{"name":"\\ud800"}', "valid"),
        (b"[" * 5000, "not valid JSON"),
        (b"[]", "must be a table"),
        (b"null", "must be a table"),
        (b'"name"', "must be a table"),
        (b'{"name":1e999}', "out of range"),
        (b'{"name":"' + b"x" * 21 + b'"}', "name: must be text of 1 to 20 characters"),
        (b'{"Name":"x"}', '"name" is missing'),
    ],
)
def test_a_body_that_is_wrong_is_400_and_says_how(tmp_path: Path, raw: bytes, words: str) -> None:
    async def scene(ask: Asker) -> None:
        response, body = await ask("POST", "/api/v1/things", raw=raw)
        assert response.status == 400 and words in body["message"], body
        assert body["error"] == "Bad Request" and body["code"] in ("invalid_request", "missing_field")

    play(tmp_path, scene)


def test_json_is_taken_for_json_whatever_its_type_is_called(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        for kind in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "a/b"):
            response, body = await ask("POST", "/api/v1/things", raw=b'\xef\xbb\xbf{"name":"x"}', Content_Type=kind)
            assert (response.status, body["body"]) == (200, {"name": "x"})

    play(tmp_path, scene)


def test_a_body_too_large_is_413_also_when_it_was_packed_small(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        bomb = gzip.compress(b" " * 50_000_000)
        for raw, headers in ((b" " * 10_001, {}), (bomb[:9_000], {"Content_Encoding": "gzip"})):
            response, body = await ask("POST", "/api/v1/things", raw=raw, **headers)
            assert (response.status, body["code"]) == (413, "request_entity_too_large"), body

    play(tmp_path, scene)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND"])
def test_a_method_that_is_not_there_is_405_and_names_those_that_are(tmp_path: Path, method: str) -> None:
    async def scene(ask: Asker) -> None:
        response, body = await ask(method, "/api/v1/things")
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert body is None if method == "HEAD" else body["code"] == "method_not_allowed"

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/v1/things/a%20b", "a b"),
        ("/api/v1/things/a%2Fb", "a/b"),
        ("/api/v1/things/%2e%2e", ".."),
        ("/api/v1/things/%00", "\x00"),
        ("/api/v1/things/%E2%82%AC", "€"),
        ("/api/v1/things/" + "x" * 7000, "x" * 7000),
    ],
)
def test_an_id_may_be_anything_that_fits_a_line(tmp_path: Path, path: str, shown: str) -> None:
    async def scene(ask: Asker) -> None:
        response, body = await ask("GET", path)
        assert (response.status, body["id"]) == (200, shown)

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "path", ["/api/v1/things/", "/api/v1/things/1/", "/api/v1//things/1", "/api/v1/things/1/2", "/api/v2/x"]
)
def test_another_path_is_404(tmp_path: Path, path: str) -> None:
    async def scene(ask: Asker) -> None:
        response, body = await ask("GET", path)
        assert (response.status, body["code"]) == (404, "not_found")

    play(tmp_path, scene)


def test_what_is_no_operation_tells_nobody_without_a_key_what_there_is(tmp_path: Path) -> None:
    async def scene(ask: Asker) -> None:
        for method, path in (("GET", "/api/v1/nothing"), ("PUT", "/api/v1/things")):
            assert (await ask(method, path, "guess"))[0].status == 401

    play(tmp_path, scene)
