"""`sovereign-pbx reload` against a daemon that runs."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sovereign_pbx.api.keys import new_key, read_keys, write_keys
from sovereign_pbx.cli import cli
from sovereign_pbx.testing.port_block import reserve_ports
from tests.api.rest import make_key
from tests.calls.house import House, assistant, house, play
from tests.test_reload import saved

FILES = Path(__file__).resolve().parents[1] / "api" / "tls"


@asynccontextmanager
async def serving(folder: Path, **http: Any) -> AsyncIterator[House]:
    ports = reserve_ports()
    try:
        settings = {"enabled": True, "port": ports.take(socket.SOCK_STREAM), **http}
        async with house(folder, http=settings) as place:
            yield place
    finally:
        ports.release()


async def reload(place: House, *options: str, without: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own, which knows the environment of ours but for `without`."""
    known = {name: value for name, value in os.environ.items() if name not in ("SOVEREIGN_PBX_KEY", without)}
    command = [sys.executable, "-m", "sovereign_pbx", "reload", "-c", str(place.folder / "config.toml"), *options]
    return await asyncio.to_thread(
        subprocess.run, command, env={**known, **environ}, capture_output=True, text=True, timeout=30, check=False
    )


def test_it_prints_what_became_another_and_leaves_no_key_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            agi = place.settings["asterisk"]["agi"]["port"]
            await saved(
                place,
                limits={"max_calls": 50},
                assistants={**place.settings["assistants"], "night": assistant(name="Night")},
                asterisk={**place.settings["asterisk"], "agi": {"port": agi + 5}},
            )
            result = await reload(place)
            assert (result.returncode, result.stdout.splitlines()) == (
                0,
                [
                    "added: assistants.night",
                    "changed: limits.max_calls 100 → 50",
                    f"needs a restart: asterisk.agi.port {agi} → {agi + 5}",
                ],
            )
            assert await asyncio.to_thread(read_keys, place.daemon.config.keys) == ()
            assert place.daemon.desk.admission.limits.max_calls == 50

    play(scene())


def test_a_bad_file_is_shown_as_check_shows_it_and_nothing_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            await saved(place, limits={"max_cals": 1})
            result = await reload(place)
            assert result.returncode == 1
            lines = result.stdout.splitlines()
            assert lines[0].startswith(f"{tmp_path}/config.toml:") and "error: limits.max_cals: unknown key" in lines[0]
            assert lines[-1] == "nothing has changed: the daemon goes on with the configuration it has"
            assert place.daemon.desk.admission.limits.max_calls == 100

    play(scene())


@pytest.mark.parametrize("text", ["[limits\n", '[http]\nport = "x"\n', ""])
def test_a_file_that_does_not_even_say_where_the_daemon_is_is_a_finding(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    if text:
        file.write_text(text)
    result = CliRunner().invoke(cli, ["reload", "-c", str(file)])
    assert result.exit_code == 1
    assert result.stdout.startswith(str(file))


def test_a_secret_that_only_the_daemon_has_does_not_keep_it_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            monkeypatch.setenv("ONLY_THE_DAEMON", "secret-of-the-hook")
            await saved(place, webhook={**place.settings["webhook"], "secret": "${env:ONLY_THE_DAEMON}"})
            result = await reload(place, without="ONLY_THE_DAEMON")
            assert (result.returncode, result.stdout) == (0, "changed: webhook.secret\n")

    play(scene())


def test_with_a_key_of_its_own_no_other_is_made(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            reader = await asyncio.to_thread(make_key, place.daemon.config, ("read",))
            result = await reload(place, SOVEREIGN_PBX_KEY=reader)
            assert result.returncode == 2 and "needs admin" in result.stderr
            admin = await asyncio.to_thread(make_key, place.daemon.config)
            result = await reload(place, SOVEREIGN_PBX_KEY=admin)
            assert (result.returncode, result.stdout) == (0, "nothing differs\n")

    play(scene())


def test_a_passing_key_that_was_left_behind_is_taken_away(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            long_ago = datetime.now(UTC) - timedelta(hours=1)
            _, left = new_key("reload 4711", ("admin",), now=long_ago, expires_at=long_ago + timedelta(minutes=5))
            _, own = new_key("reload tool", ("admin",), now=long_ago, expires_at=long_ago + timedelta(minutes=5))
            await asyncio.to_thread(write_keys, place.daemon.config.keys, [left, own])
            assert (await reload(place)).returncode == 0
            assert [key.name for key in await asyncio.to_thread(read_keys, place.daemon.config.keys)] == ["reload tool"]

    play(scene())


def test_programs_get_the_answer_as_json(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            await saved(place, limits={"max_calls": 50})
            answer = json.loads((await reload(place, "--json")).stdout)
            assert answer["changed"] == [{"key": "limits.max_calls", "before": "100", "after": "50"}]
            assert answer["checksum"] == place.daemon.config.checksum

    play(scene())


def test_a_daemon_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as place:
            await place.stop()
            result = await reload(place)
            assert result.returncode == 2
            assert "the daemon does not run: nobody answers on http://127.0.0.1:" in result.stderr

    play(scene())


def test_a_new_certificate_is_taken_up_by_the_next_connection(tmp_path: Path) -> None:
    """The command must reach a daemon that still shows the certificate before."""
    first, second = (tmp_path / name for name in ("first.pem", "second.pem"))

    async def scene() -> None:
        first.write_bytes((FILES / "certificate.pem").read_bytes() + (FILES / "key.pem").read_bytes())
        second.write_bytes((FILES.parents[1] / "webhooks" / "localhost.pem").read_bytes())
        shown = tmp_path / "shown.pem"
        shown.write_bytes(first.read_bytes())
        async with serving(tmp_path, tls_certificate=str(shown)) as place:
            before = await certificate(place)
            shown.write_bytes(second.read_bytes())
            assert await certificate(place) == before
            result = await reload(place)
            assert (result.returncode, result.stdout) == (0, "nothing differs\n")
            assert await certificate(place) != before

    play(scene())


async def certificate(place: House) -> str:
    port = place.settings["http"]["port"]
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
