"""`sovereign-pbx check` on real files, ports and folders."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.config_port_owner import Owner, owner_of

SOUND = """
[daemon]
state_dir = "state"
[http]
enabled = false
[asterisk]
ami = { secret = "${env:PATH}" }
[providers.own]
base_url = "http://127.0.0.1:1/v1"
[assistants.reception]
first_message = "Hello"
stt_config = { provider = "deepgram" }
llm_config = { provider = "own", model = "m", messages = [{ role = "system", content = "Be kind." }] }
tts_config = { provider = "hibari" }
[providers.deepgram]
base_url = "ws://127.0.0.1:1"
api_key = "dg-own-key"
[[numbers]]
number = "*"
assistant = "reception"
"""


def checked(folder: Path, text: str, *options: str) -> Result:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o640)
    return CliRunner().invoke(cli, ["check", "-c", str(path), *options])


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this very process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_sound_file_is_well(tmp_path: Path) -> None:
    result = checked(tmp_path, SOUND)
    assert (result.exit_code, result.output) == (0, f"{tmp_path}/config.toml: no errors, no warnings\n")


def test_an_error_is_shown_with_its_place_and_remedy(tmp_path: Path) -> None:
    result = checked(tmp_path, SOUND + "assistnt = 1\n")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f'{tmp_path}/config.toml:21:1: error: numbers[0].assistnt: unknown key "assistnt"',
        '    did you mean "assistant"?',
        f"{tmp_path}/config.toml: 1 error, no warnings",
    ]


def test_warnings_count_only_when_asked(tmp_path: Path) -> None:
    text = SOUND + '[webhook]\nurl = "https://example.com/"\n'
    assert checked(tmp_path, text).exit_code == 0
    assert checked(tmp_path, text, "--strict").exit_code == 1


def test_findings_come_as_json(tmp_path: Path) -> None:
    report = json.loads(checked(tmp_path, SOUND + "assistnt = 1\n", "--json").output)
    assert (report["errors"], report["warnings"]) == (1, 0)
    finding = report["findings"][0]
    assert (finding["line"], finding["key"], finding["severity"]) == (21, "numbers[0].assistnt", "error")


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["check", "-c", str(tmp_path / "nope.toml")])
    assert result.exit_code == 1 and "does not exist" in result.output


@pytest.mark.parametrize(
    ("kind", "section", "told"),
    [
        ("STREAM", "[http]\n", "5:1: error: http.port: port"),
        (
            "DGRAM",
            '[http]\nenabled = false\n[sip]\nenabled = true\nhost = "127.0.0.1"\ntransports = ["udp"]\n',
            "10:1: error: sip.port: UDP port",
        ),
    ],
)
def test_a_port_that_is_taken_names_the_process(tmp_path: Path, kind: str, section: str, told: str) -> None:
    code = (
        "import socket, sys\n"
        f"with socket.socket(type=socket.SOCK_{kind}) as server:\n"
        "    server.bind(('127.0.0.1', 0))\n"
        "    server.type == socket.SOCK_STREAM and server.listen()\n"
        "    print(server.getsockname()[1], flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        text = SOUND.replace("[http]\nenabled = false", f"{section}port = {port}")
        result = checked(tmp_path, text)
        assert result.exit_code == 1
        assert f"config.toml:{told} {port} is taken by process {other.pid} (python" in result.output
        assert checked(tmp_path, text, "--no-ports").exit_code == 0
        other.communicate()


def test_the_owner_of_a_port_is_found_in_proc(taken: int) -> None:
    owner = owner_of(taken)
    assert owner is not None and owner.pid == os.getpid()
    assert owner_of(1) is None
    assert owner_of(taken, Path("/nonexistent")) is None


def test_our_own_daemon_on_its_ports_is_no_finding() -> None:
    assert Owner(1, "/usr/bin/python3 /usr/bin/sovereign-pbx run").is_ours
    assert str(Owner(7, "/usr/sbin/asterisk -f")) == "process 7 (asterisk)"
    assert not Owner(7, "/usr/sbin/asterisk -f").is_ours


def test_an_address_of_another_machine_can_not_be_listened_on(tmp_path: Path) -> None:
    result = checked(tmp_path, SOUND.replace("[http]\nenabled = false", '[http]\nhost = "192.0.2.1"'))
    assert "192.0.2.1 is no address of this machine" in result.output
    assert result.exit_code == 1


def test_a_state_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    result = checked(tmp_path, SOUND)
    assert result.exit_code == 1 and "is not a folder" in result.output


def test_no_secret_is_ever_printed(tmp_path: Path) -> None:
    text = SOUND + '[webhook]\nurl = "https://e.com/"\nsecret = "hunter2hunter2"\ndialect = 3\n'
    assert "hunter2" not in checked(tmp_path, text).output


@pytest.mark.parametrize(
    ("replaced", "by", "place", "words"),
    [
        ('provider = "deepgram" }', 'provider = "depgram" }', "12:16", "did you mean 'deepgram'"),
        ('stt_config = { provider = "deepgram" }', 'stt_config = { model = "x" }', "12:1", "provider is missing"),
        ('provider = "own"', 'provider = "nobody"', "13:16", "there is no provider 'nobody'"),
        ('provider = "hibari" }', 'provider = "elevenlabs" }', "14:1", "api_key is missing"),
    ],
)
def test_a_provider_nobody_knows_is_found(tmp_path: Path, replaced: str, by: str, place: str, words: str) -> None:
    result = checked(tmp_path, SOUND.replace(replaced, by))
    assert result.exit_code == 1
    assert f"config.toml:{place}: error" in result.output and words in result.output, result.output


def test_a_provider_whose_package_is_not_installed_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def validate(stage: str, block: object, providers: object) -> None:
        if stage == "tts":
            raise ModuleNotFoundError("No module named 'hibari'", name="hibari")

    monkeypatch.setattr("sovereign_pbx.speech.catalogue.validate", validate)
    result = checked(tmp_path, SOUND)
    assert result.exit_code == 1
    assert '14:16: error: assistants.reception.tts_config.provider: "hibari" needs the package hibari' in result.output


def test_the_example_of_the_project_passes() -> None:
    example = Path(__file__).parents[2] / "config.example.toml"
    result = CliRunner().invoke(cli, ["check", "--no-ports", "-c", str(example)])
    assert result.exit_code == 0, result.output
    assert "no errors" in result.output
