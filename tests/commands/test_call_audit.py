"""`calls audit`: what is shown of the daemon's answer, and what is said where there is none."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.commands.call import KEY_VARIABLE

KEY = "fl_live_test"
CALL = {"call_id": "0b2f6c1e-0000", "channel": "PJSIP/a\x1b[2J-1", "phase": "talking", "under_way": True}
GONE = {"kind": "gone", "call_id": "0b2f6c1e-0000", "channel": "PJSIP/a-1", "why": "it has no channel any more"}
AGREED: dict[str, Any] = {"calls": [CALL], "differences": [], "asked": True, "why": "", "mended": 0}


class Api(BaseHTTPRequestHandler):
    """`GET /api/v1/audit` with its key; anything else is refused."""

    body: ClassVar[dict[str, Any]] = AGREED

    def do_GET(self) -> None:
        welcome = self.path == "/api/v1/audit" and self.headers["Authorization"] == f"Bearer {KEY}"
        body = json.dumps(self.body if welcome else {"error": "Unauthorized", "message": "Invalid key"}).encode()
        self.send_response(200 if welcome else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join(10)
    server.server_close()


def audit(folder: Path, port: int, *arguments: str, key: str = KEY) -> Result:
    file = folder / "config.toml"
    file.write_text(f"[http]\nport = {port}\n")
    file.chmod(0o600)
    return CliRunner(env={KEY_VARIABLE: key}).invoke(cli, ["-c", str(file), "calls", "audit", *arguments])


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({}, 0, "agree"),
        ({"calls": []}, 0, "no calls"),
        ({"differences": [GONE]}, 1, "it has no channel any more"),
        ({"mended": 2}, 0, "mended since the daemon was started: 2"),
        ({"asked": False, "why": "not connected"}, 2, "Asterisk could not be asked: not connected"),
    ],
)
def test_what_the_daemon_says_is_shown_and_is_the_exit_status(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], status: int, said: str
) -> None:
    monkeypatch.setattr(Api, "body", {**AGREED, **changes})
    shown = audit(tmp_path, port)
    assert (shown.exit_code, said in shown.output) == (status, True), shown.output
    assert "\x1b[2J" not in shown.output
    printed = audit(tmp_path, port, "--json")
    assert (printed.exit_code, json.loads(printed.output)) == (status, {**AGREED, **changes})


def test_a_key_that_is_none_and_a_daemon_that_is_not_there_are_said(tmp_path: Path, port: int) -> None:
    refused = audit(tmp_path, port, key="wrong")
    assert (refused.exit_code, "Invalid key" in refused.output) == (2, True)
    none = audit(tmp_path, port, key="")
    assert (none.exit_code, "keys create NAME --scope read" in none.output) == (2, True)
    away = audit(tmp_path, 1)
    assert (away.exit_code, "the daemon does not run" in away.output) == (2, True)
