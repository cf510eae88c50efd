"""`sovereign-pbx call` against an API as strict as the daemon's."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.commands import call as command
from sovereign_pbx.commands.call import KEY_VARIABLE

KEY = "fl_live_test"
ID = "0b2f6c1e-0000-4000-8000-000000000001"
TALK = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Hi."}]
RINGING = {"id": ID, "status": "connecting", "started_at": None, "summary": None}
TALKING = {**RINGING, "status": "in-progress", "started_at": "2026-11-20T07:32:00.000Z"}
ENDED = {**TALKING, "status": "ended", "end_reason": "user_hangup", "duration_seconds": 12, "messages": TALK}
UNANSWERED = {
    **RINGING,
    "status": "failed",
    "end_reason": "busy",
    "duration_seconds": 0,
    "summary": "The line was busy.",
}


class FakeApi:
    """`POST /calls/outbound` and `GET /calls/{id}` to the letter of the contract (§5.3, §6); anything else is 404."""

    def __init__(self) -> None:
        self.ordered: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = [RINGING]
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.before: Callable[[], Awaitable[None]] | None = None
        self.port = 0

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/api/v1/calls/outbound", self.outbound)
        application.router.add_get(f"/api/v1/calls/{ID}", self.show)
        return application

    async def outbound(self, request: web.Request) -> web.Response:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        assert request.content_type == "application/json"
        body = await request.json()
        assert set(body) <= {"destination", "assistant_id", "number_id", "first_message"}
        assert body["destination"] and body["assistant_id"]
        self.ordered.append(body)
        if self.before is not None:
            await self.before()
        if self.refusal is not None:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        return web.json_response({"success": True, "call_id": ID, "status": "dialing"})

    async def show(self, request: web.Request) -> web.Response:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if "limited" in state:
            return web.json_response({"error": "Too Many Requests"}, status=429, headers={"Retry-After": "0"})
        return web.json_response(state)

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {KEY}":
            return None
        return web.json_response({"error": "Unauthorized", "message": "Invalid or missing API key"}, status=401)


@contextlib.contextmanager
def running(api: FakeApi) -> Iterator[FakeApi]:
    """The API on a thread of its own: the command has a loop of its own as well."""
    loop, up = asyncio.new_event_loop(), threading.Event()
    runner = web.AppRunner(api.application())

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        api.port = server.sockets[0].getsockname()[1]

    def serve() -> None:
        loop.run_until_complete(start())
        loop.call_soon(up.set)  # said any sooner, a stop might be taken for the start's, and this would run for ever
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "POLL_S", 0.01)
    monkeypatch.setattr(command, "SUMMARY_S", 0.05)
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with running(FakeApi()) as made:
        yield made


def configured(folder: Path, port: int, more: str = "") -> str:
    path = folder / "config.toml"
    path.write_text(f"[http]\nport = {port}\n{more}")
    path.chmod(0o600)
    return str(path)


def call(folder: Path, port: int, *options: str, more: str = "") -> Result:
    arguments = ["call", "-c", configured(folder, port, more), "+31612345678", "--assistant", "reception", *options]
    return CliRunner().invoke(cli, arguments)


def test_the_daemon_is_told_whom_to_call_and_the_call_is_named(api: FakeApi, tmp_path: Path) -> None:
    result = call(tmp_path, api.port, "--number", "+31850835037", "--first-message", "Good morning.")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"dialling +31612345678, call {ID}\n"
    assert api.ordered == [
        {
            "destination": "+31612345678",
            "assistant_id": "reception",
            "number_id": "+31850835037",
            "first_message": "Good morning.",
        }
    ]


def test_followed_it_tells_the_answer_the_talk_and_the_end(api: FakeApi, tmp_path: Path) -> None:
    api.states = [RINGING, {"limited": True}, TALKING, TALKING, ENDED, {**ENDED, "summary": "A greeting."}]
    result = call(tmp_path, api.port, "--follow")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:] == [
        "answered",
        "ended: user_hangup, 12 s",
        "  assistant: Hello.",
        "  user: Hi.",
        "A greeting.",
    ]


def test_a_summary_that_never_comes_is_not_waited_for_for_ever(api: FakeApi, tmp_path: Path) -> None:
    api.states = [ENDED]
    assert call(tmp_path, api.port, "-f").exit_code == 0


def test_a_call_that_nobody_answers_is_a_finding(api: FakeApi, tmp_path: Path) -> None:
    api.states = [RINGING, UNANSWERED]
    result = call(tmp_path, api.port, "--follow")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:] == ["not answered: busy, 0 s", "The line was busy."]


def test_what_comes_from_the_network_does_not_drive_the_terminal(api: FakeApi, tmp_path: Path) -> None:
    api.states = [{**UNANSWERED, "summary": "\x1b]0;gone\x07"}]
    assert "\x1b" not in call(tmp_path, api.port, "--follow").stdout


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, {"error": "Forbidden", "code": "destination_not_allowed", "message": "see [dialling]"}, "[dialling]"),
        (404, {"error": "Not Found", "message": "There is no assistant 'reception'."}, "no assistant"),
        (400, {"error": "Bad Request", "details": ["destination: must be a number"]}, "must be a number"),
        (503, {"error": "Service Unavailable", "message": "AMI is not connected"}, "AMI is not connected"),
        (200, {"success": True, "call_id": "../keys"}, "status 200"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_daemons_words(
    api: FakeApi, tmp_path: Path, status: int, body: dict[str, Any], words: str
) -> None:
    api.refusal = (status, body)
    result = call(tmp_path, api.port, "--follow")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert "scope calls" not in result.stderr


def test_a_wrong_key_is_told_with_what_makes_a_right_one(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "wrong-key")
    result = call(tmp_path, api.port)
    assert result.exit_code == 2
    assert "Invalid or missing API key" in result.stderr and "scope calls" in result.stderr
    assert "wrong-key" not in result.output


def test_the_key_may_be_in_a_file(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert call(tmp_path, api.port, "--key-file", str(file)).exit_code == 0


@pytest.mark.parametrize("written", [None, b"", b"\xff\xfe", b"a\nb"])
def test_without_a_usable_key_nothing_is_asked(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bytes | None
) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    file = tmp_path / "key"
    if written is not None:
        file.write_bytes(written)
    result = call(tmp_path, api.port, *(["--key-file", str(file)] if written is not None else []))
    assert (result.exit_code, api.ordered) == (2, [])
    assert "key" in result.stderr


def test_a_daemon_that_does_not_run_is_told_as_such(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = call(tmp_path, taken.getsockname()[1])
    assert result.exit_code == 2
    assert "does not run" in result.stderr


def test_an_answer_that_is_lost_is_no_reason_to_dial_again(api: FakeApi, tmp_path: Path) -> None:
    async def vanish() -> None:
        raise web.HTTPInternalServerError(text="not JSON")

    api.before = vanish
    result = call(tmp_path, api.port)
    assert (result.exit_code, len(api.ordered)) == (2, 1)
    assert "before trying again look at" in result.stderr


def test_an_api_that_is_off_is_told_as_such(tmp_path: Path) -> None:
    result = call(tmp_path, 8090, more="enabled = false\n")
    assert result.exit_code == 2
    assert "enabled = true" in result.stderr
