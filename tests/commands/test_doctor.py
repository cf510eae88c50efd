"""`sovereign-pbx doctor` without a PBX: the machine, the daemon, the providers, and what lies outside."""

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from sovereign_pbx import __version__
from sovereign_pbx.assistants.secret import Redactor
from sovereign_pbx.cli import cli
from sovereign_pbx.commands.doctor import daemon, machine, outside
from sovereign_pbx.commands.doctor.call import Course, dialled, judged
from sovereign_pbx.commands.doctor.report import Report
from sovereign_pbx.commands.doctor.result import Look, Result, failed, ok
from sovereign_pbx.commands.doctor.witness import Record
from sovereign_pbx.config_port_owner import Owner
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.testing.providers.server import serve
from tests.calls.house import assistant, play
from tests.commands.clinic import examined, running, written


@asynccontextmanager
async def answering(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A listener that does `answer` with whoever connects; its port."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(writer)
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def silence(writer: asyncio.StreamWriter) -> None:
    return


async def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def settings(folder: Path, stt: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    """A sound configuration; its providers are not there."""
    return {
        "daemon": {"state_dir": str(folder / "state")},
        "http": {"port": free_port()},
        "asterisk": {"agi": {"port": free_port()}, "audiosocket": {"port": free_port()}},
        "assistants": {"reception": assistant(stt_config=stt or {"provider": "deepgram"})},
        "providers": {
            name: {"api_key": "test-key", "base_url": f"http://127.0.0.1:{free_port()}"}
            for name in ("deepgram", "openai", "elevenlabs")
        },
        "numbers": [{"number": "*", "assistant": "reception"}],
        **sections,
    }


# --- as a whole


def test_a_wrong_configuration_ends_it_with_exit_status_2(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[asterisk.agi]\nprot = 1\n")
    result = CliRunner().invoke(cli, ["doctor", "-c", str(path)])
    assert result.exit_code == 2
    assert "config.toml:2: asterisk.agi.prot: unknown key" in result.stdout
    assert '→ did you mean "port"?' in result.stdout
    assert "daemon" not in result.stdout


def test_before_the_first_start_it_says_what_to_do(tmp_path: Path) -> None:
    async def scene() -> None:
        found = await examined(written(tmp_path, settings(tmp_path)))
        assert found.status == 1
        assert (found.of("daemon"), found.of("ports"), found.of("test call")) == ("failed", "ok", "skipped")
        assert "systemctl start sovereign-pbx" in found.says("daemon")
        assert "has no secret" in found.says("asterisk login")

    play(scene())


def test_text_shows_each_remedy_below_its_finding_and_the_sum_at_the_end(tmp_path: Path) -> None:
    path = written(tmp_path, settings(tmp_path))
    result = CliRunner().invoke(cli, ["doctor", "-c", str(path), "--no-call"])
    lines = result.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("failed   daemon "))
    assert lines[at + 1].lstrip().startswith("→ start it: ")
    assert lines[-2] == ""
    assert " failed, " in lines[-1]
    assert result.exit_code == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_ever_printed(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    redactor = Redactor()
    redactor.add('my"secret"key')
    report = Report(as_json, redactor)
    report.add(failed('denied: my"secret"key', 'replace my"secret"key', answers=['my"secret"key']))
    report.end()
    printed = "".join(capsys.readouterr())
    assert "secret" not in printed
    assert "denied: " in printed


def test_a_look_that_hangs_is_given_up() -> None:
    async def forever() -> Result:
        await asyncio.Event().wait()
        return ok("never")

    result = asyncio.run(Look("well", forever, 0.05).take())
    assert (result.status, result.name) == ("failed", "well")
    assert "took longer than 0.05 s" in result.detail


def test_a_look_that_breaks_says_that_it_is_doctors_fault_and_the_others_go_on() -> None:
    async def broken() -> Result:
        raise KeyError("oh")

    result = asyncio.run(Look("x", broken).take())
    assert result.status == "failed"
    assert "KeyError: 'oh'" in result.detail
    assert "fault of doctor" in result.remedy


# --- the machine


def test_a_state_folder_that_is_a_file_is_found(tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "state").touch()
        found = await examined(written(tmp_path, settings(tmp_path)))
        assert found.of("folders") == "failed"
        assert "is not a folder" in found.says("folders")

    play(scene())


@pytest.mark.parametrize(
    ("free", "status"), [(machine.NO_SPACE - 1, "failed"), (machine.LITTLE_SPACE - 1, "warning"), (1 << 40, "ok")]
)
def test_a_full_disk_is_told_before_it_hurts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(free))

    async def scene() -> None:
        found = await examined(written(tmp_path, settings(tmp_path, recording={"enabled": True})))
        assert found.of("folders") == status
        assert "hours of recordings" in found.says("folders")

    play(scene())


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_models_that_an_assistant_can_not_do_without_are_named_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOVEREIGN_PBX_CACHE", str(tmp_path / "empty"))

    async def scene() -> None:
        found = await examined(written(tmp_path, settings(tmp_path, {"provider": "whisper"})))
        assert found.of("models") == "failed"
        assert "sovereign-pbx models fetch silero-vad smart-turn whisper-tiny.en" in found.says("models")

    play(scene())


def test_models_without_which_the_daemon_only_hears_worse_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOVEREIGN_PBX_CACHE", str(tmp_path / "empty"))

    async def scene() -> None:
        found = await examined(written(tmp_path, settings(tmp_path)))
        assert found.of("models") == "warning"

    play(scene())


def test_a_port_that_somebody_else_holds_is_named_before_the_daemon_starts(tmp_path: Path) -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            config = settings(tmp_path)
            config["asterisk"]["agi"]["port"] = taken.getsockname()[1]
            found = await examined(written(tmp_path, config))
            assert found.of("ports") == "failed"
            assert f"port {taken.getsockname()[1]} is taken by" in found.says("ports")

    play(scene())


# --- the daemon


def test_a_running_daemon_is_known_by_its_health_and_owns_its_ports(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path):
            found = await examined(tmp_path / "config.toml")
            assert found.checks["daemon"]["facts"]["version"] == __version__
            assert "pbx degraded" in found.says("daemon")  # it has no manager interface
            assert found.of("ports") == "ok"
            assert "held by the daemon" in found.says("ports")

    play(scene())


def test_a_daemon_older_than_its_file_is_found_by_a_port_where_nobody_listens(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as house:
            house.settings["asterisk"]["agi"]["port"] = free_port()
            found = await examined(await asyncio.to_thread(written, tmp_path, house.settings))
            assert found.of("ports") == "failed"
            assert "asterisk.agi" in found.says("ports")
            assert "restart the daemon" in found.says("ports")

    play(scene())


def test_a_frozen_daemon_is_told_from_one_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "HEALTH_S", 0.3)

    async def scene() -> None:
        async with answering(silence) as port:
            found = await examined(written(tmp_path, settings(tmp_path, http={"port": port})))
            assert "took the connection and said nothing" in found.says("daemon")

    play(scene())


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"status": "ok"}', b'{"checks": 3}'])
def test_a_stranger_on_the_port_is_not_taken_for_the_daemon(tmp_path: Path, body: bytes) -> None:
    async def scene() -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=body)

        runner, port = await serve([web.get("/api/v1/health", answer)], 0)
        try:
            found = await examined(written(tmp_path, settings(tmp_path, http={"port": port})))
            assert found.of("daemon") == "failed"
            assert "is not this daemon" in found.says("daemon")
        finally:
            await runner.cleanup()

    play(scene())


def test_what_is_unwell_in_the_daemon_is_repeated_and_an_old_version_is_told(tmp_path: Path) -> None:
    reports = [
        ({"status": "down", "version": "x", "checks": {"database": {"status": "down", "detail": "locked"}}}, "failed"),
        ({"status": "degraded", "version": "x", "checks": {"outbox": {"status": "degraded"}}}, "warning"),
        ({"status": "ok", "version": "0.0.1", "checks": {}}, "warning"),
        ({"status": "ok", "version": __version__, "checks": {"pbx": {"status": "ok"}}}, "ok"),
    ]

    async def scene() -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(reports[0][0])

        runner, port = await serve([web.get("/api/v1/health", answer)], 0)
        try:
            path = written(tmp_path, settings(tmp_path, http={"port": port}))
            while reports:
                found = await examined(path)
                report, status = reports.pop(0)
                assert found.of("daemon") == status, report
        finally:
            await runner.cleanup()

    play(scene())


@pytest.mark.parametrize(
    ("owner", "status", "words"),
    [
        (Owner(7, "/opt/bin/sovereign-pbx run"), "warning", "[http] is off"),
        (Owner(7, "/usr/sbin/sshd"), "failed", "is held by process 7 (sshd)"),
        (None, "failed", "start it"),
    ],
)
def test_without_http_the_daemon_is_known_by_who_holds_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Owner | None, status: str, words: str
) -> None:
    monkeypatch.setattr(daemon, "owner_of", lambda port: owner)

    async def scene() -> None:
        found = await examined(written(tmp_path, settings(tmp_path, http={"enabled": False})))
        assert (found.of("daemon"), words in found.says("daemon")) == (status, True), found.says("daemon")

    play(scene())


# --- the PBX that is none


@pytest.mark.parametrize(("answer", "words"), [(silence, "does not answer within"), (nonsense, "no manager interface")])
def test_what_is_not_a_manager_interface_is_told_as_such(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
    words: str,
) -> None:
    monkeypatch.setattr("sovereign_pbx.commands.doctor.asterisk.CONNECT_S", 0.3)

    async def scene() -> None:
        async with answering(answer) as port:
            config = settings(tmp_path)
            config["asterisk"]["ami"] = {"port": port, "secret": "s"}
            found = await examined(written(tmp_path, config))
            assert found.of("asterisk login") == "failed"
            assert words in found.says("asterisk login")

    play(scene())


def test_an_asterisk_that_is_not_there_is_told_with_its_address(tmp_path: Path) -> None:
    async def scene() -> None:
        config, port = settings(tmp_path), free_port()
        config["asterisk"]["ami"] = {"port": port, "secret": "s"}
        found = await examined(written(tmp_path, config))
        assert f"nobody answers on 127.0.0.1:{port}" in found.says("asterisk login")
        assert found.of("asterisk rights") == found.of("dialplan") == found.of("test call") == "skipped"

    play(scene())


# --- the providers


def test_each_provider_is_asked_for_a_little_and_its_time_is_told(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as house:
            found = await examined(tmp_path / "config.toml")
            for name, fact in (
                ("stt deepgram nova-3", "open_ms"),
                ("llm openai scripted", "first_ms"),
                ("tts elevenlabs anna", "first_ms"),
            ):
                assert found.of(name) == "ok", found.says(name)
                assert 0 < found.checks[name]["facts"][fact] < 5000
            assert house.openai.requests[-1]["max_completion_tokens"] <= 16

    play(scene())


def test_a_wrong_key_is_permanent_and_a_slow_vendor_may_pass(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as house:
            house.deepgram.faults.arm("deny")
            house.elevenlabs.faults.arm("refuse")
            found = await examined(tmp_path / "config.toml")
            denied, refused = found.checks["stt deepgram nova-3"], found.checks["tts elevenlabs anna"]
            assert (denied["status"], denied["facts"]["permanent"]) == ("failed", True)
            assert "api_key in [providers.deepgram]" in denied["remedy"]
            assert (refused["status"], refused["facts"]["permanent"]) == ("failed", False)
            assert "may pass" in refused["remedy"]
            assert found.status == 1

    play(scene())


def test_a_fallback_that_is_down_is_a_warning_and_hides_behind_nobody(tmp_path: Path) -> None:
    async def scene() -> None:
        spare = {"provider": "spare", "model": "m"}
        with_spare = assistant(llm_config={"provider": "openai", "model": "scripted", "fallbacks": [spare]})
        async with running(tmp_path, {"reception": with_spare}) as house:
            url = f"http://127.0.0.1:{free_port()}/v1"
            house.settings["providers"]["spare"] = {"base_url": url}
            found = await examined(await asyncio.to_thread(written, tmp_path, house.settings))
            assert (found.of("llm openai scripted"), found.of("llm spare m")) == ("ok", "warning")
            assert "a fallback" in found.says("llm spare m")

    play(scene())


def test_the_same_settings_are_asked_once_and_an_inactive_assistant_is_not(tmp_path: Path) -> None:
    async def scene() -> None:
        assistants = {
            "reception": assistant(),
            "sales": assistant(),
            "closed": assistant(is_active=False, tts_config={"provider": "elevenlabs", "voice_id": "other"}),
        }
        async with running(tmp_path, assistants):
            found = await examined(tmp_path / "config.toml")
            asked = [name for name in found.checks if name.split()[0] in ("stt", "llm", "tts")]
            assert asked == ["stt deepgram nova-3", "llm openai scripted", "tts elevenlabs anna"]

    play(scene())


# --- outside


def test_a_webhook_is_reached_without_being_told_anything(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as house:
            found = await examined(tmp_path / "config.toml")
            assert found.of("webhooks") == "ok"
            assert (house.receiver.got, house.receiver.refused) == ([], [])

    play(scene())


def test_a_webhook_that_is_down_or_without_tls_fails(tmp_path: Path) -> None:
    async def scene() -> None:
        async with answering(nonsense) as port:
            config = settings(tmp_path, webhook={"url": f"https://127.0.0.1:{port}/x", "secret": "s"})
            gone = free_port()
            config["assistants"]["reception"]["webhook_url"] = f"http://127.0.0.1:{gone}/y"
            found = await examined(written(tmp_path, config))
            assert found.of("webhooks") == "failed"
            assert f"127.0.0.1:{port}: TLS failed" in found.says("webhooks")
            assert f"127.0.0.1:{gone} can't be reached" in found.says("webhooks")

    play(scene())


@pytest.mark.parametrize(
    ("ahead_s", "status"),
    [({}, "skipped"), ({"a": 1.0}, "ok"), ({"a": 0.0, "b": -6.0}, "warning"), ({"a": 301.0}, "failed")],
)
def test_a_clock_that_is_wrong_matters_when_signatures_would_be_refused(ahead_s: dict[str, float], status: str) -> None:
    assert outside.judged(ahead_s).status == status


def test_the_time_is_read_from_the_date_of_an_answer() -> None:
    async def scene() -> None:
        async def answer(request: web.Request) -> web.Response:
            assert request.method == "HEAD"
            return web.Response(status=404, headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})

        runner, port = await serve([web.head("/", answer)], 0)
        try:
            async with aiohttp.ClientSession() as session:
                ahead_s = await outside.ahead_of(session, f"http://127.0.0.1:{port}/")
                assert ahead_s is not None
                assert abs(ahead_s - (time.time() - 1767225600)) < 2
                assert await outside.ahead_of(session, f"http://127.0.0.1:{free_port()}/") is None
        finally:
            await runner.cleanup()

    play(scene())


# --- the test call's judgement; that the call itself is placed and heard is proved on Asterisk


def course(**changes: Any) -> Course:
    """A call that went well."""
    record = Record("5acb42d2-d301", True, "user_hangup", "What time do you open?", 9.0, "")
    usual: dict[str, Any] = {
        "number": "100",
        "answer_ms": 300.0,
        "greeting_ms": 20.0,
        "reply_ms": 500.0,
        "level_dbfs": -20.0,
        "frames": 400,
        "told": True,
        "record": record,
    }
    return Course(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "ok", "greeting 20 ms later at -20 dBFS; it understood “What time do you open?”; answered after 500 ms"),
        ({"frames": 0, "level_dbfs": None}, "failed", "not one frame of audio came"),
        ({"level_dbfs": None, "greeting_ms": None, "reply_ms": None}, "failed", "nothing was heard"),
        ({"greeting_ms": None}, "warning", "no greeting was heard"),
        ({"told": False}, "warning", "read lacks call"),
        ({"reply_ms": None}, "failed", "look at the language model and the voice"),
        ({"reply_ms": None, "record": Record("5acb", True, "", "", 9.0, "")}, "failed", "look at the recogniser"),
        ({"reply_ms": None, "record": Record("5acb", True, "", "", 0.0, "")}, "failed", "our audio did not arrive"),
        ({"reply_ms": None, "record": None}, "failed", "who may read the daemon's database"),
        ({"record": Record("5acb", False, "", "Hello", 9.0, "")}, "failed", "the daemon still has the call"),
        ({"record": None}, "ok", "answered after 500 ms; nothing is left"),
    ],
)
def test_a_finished_call_is_judged_by_what_was_heard_on_either_side(
    changes: dict[str, Any], status: str, words: str
) -> None:
    result = judged(course(**changes), greeted=True)
    assert result.status == status
    assert words in f"{result.detail} → {result.remedy}"


@pytest.mark.parametrize(("number", "plain"), [("+31 (85) 083-5037", "+31850835037"), ("8000", "8000"), ("a.b", "a.b")])
def test_a_number_is_dialled_without_what_people_write_into_it(number: str, plain: str) -> None:
    assert dialled(number) == plain


@pytest.mark.parametrize("number", ["1@default", "1,2", "1&SIP/2", "${X}", "1\r\nAction: Command", "9" * 65])
def test_a_number_that_would_be_more_than_one_is_not_dialled(number: str) -> None:
    with pytest.raises(ConfigError, match="can't be dialled"):
        dialled(number)
