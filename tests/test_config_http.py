"""What is said of an API that others can reach, and of what it made beside the administrator's file."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from sovereign_pbx.cli import cli
from sovereign_pbx.config import Config, examine
from sovereign_pbx.store.object_files import folder_of

TLS = Path(__file__).parent / "api" / "tls"


def told(folder: Path, text: str) -> tuple[Config | None, list[str]]:
    """The configuration and every finding, shortened to its message."""
    path = folder / "config.toml"
    path.write_text('[daemon]\nstate_dir = "state"\n' + text)
    path.chmod(0o600)
    examined = examine(path)
    return examined.config, [finding.message for finding in examined.findings]


def keys(folder: Path, *arguments: str) -> str:
    return CliRunner().invoke(cli, ["-c", str(folder / "config.toml"), "keys", *arguments]).output


def of_http(messages: list[str]) -> list[str]:
    return [
        message.removeprefix("http.host: [http] listens beyond this machine")
        for message in messages
        if "[http]" in message
    ]


WITHOUT_TLS = " without TLS: keys can be read on the way"
WITHOUT_KEY = ", and there is no API key to use it with"


def test_an_api_that_others_can_reach_wants_tls_and_a_key(tmp_path: Path) -> None:
    beyond = '[http]\nhost = "0.0.0.0"\n'
    assert of_http(told(tmp_path, "")[1]) == []
    assert of_http(told(tmp_path, beyond)[1]) == [WITHOUT_TLS, WITHOUT_KEY]
    assert of_http(told(tmp_path, beyond + "enabled = false\n")[1]) == []
    keys(tmp_path, "create", "crm")
    assert of_http(told(tmp_path, beyond)[1]) == [WITHOUT_TLS]
    secured = beyond + f'tls_certificate = "{TLS}/certificate.pem"\ntls_key = "{TLS}/key.pem"\n'
    assert of_http(told(tmp_path, secured)[1]) == []
    keys(tmp_path, "revoke", "crm")
    assert of_http(told(tmp_path, secured)[1]) == [WITHOUT_KEY]


def test_check_says_how_many_keys_there_are(tmp_path: Path) -> None:
    told(tmp_path, "")

    def line() -> str:
        output = CliRunner().invoke(cli, ["check", "--no-ports", "-c", str(tmp_path / "config.toml")]).output
        return next(line for line in output.splitlines() if line.startswith("API keys"))

    assert line() == "API keys: none; make one with `sovereign-pbx keys create NAME`"
    for name in ("one", "two", "three"):
        keys(tmp_path, "create", name)
    keys(tmp_path, "revoke", "two")
    assert line() == "API keys: 2 active, 1 revoked"
    (tmp_path / "state" / "keys.toml").write_text("[[keys]\n")
    assert line().startswith("API keys: ") and "can't be understood" in line()


def made(folder: Path, kind: str, object_id: str, text: str) -> None:
    path = folder_of(folder / "state", kind) / f"{object_id}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_of_an_object_that_is_there_twice_the_files_counts_and_both_are_named(tmp_path: Path) -> None:
    made(tmp_path, "assistant", "abc", 'name = "Of the API"\n')
    made(tmp_path, "number", "n1", 'number = "+31 85 083 5037"\nassistant = "abc"\n')
    text = '[assistants.desk]\nid = "abc"\n[[numbers]]\nnumber = "0031850835037"\nassistant = "desk"\n'
    config, messages = told(tmp_path, text)
    assert config is not None
    assert list(config.assistants) == ["desk"] and len(config.numbers) == 1
    twice = [message for message in messages if message.endswith("the file's counts")]
    assert len(twice) == 2 and "config.toml:3" in twice[0] and "(n1)" in twice[1]


@pytest.mark.parametrize("key", ["assistant", "transfer_trunk", "workflow"])
def test_a_number_of_the_api_that_leads_nowhere_is_a_warning(tmp_path: Path, key: str) -> None:
    made(tmp_path, "number", "n1", f'number = "200"\n{key} = "gone"\n')
    config, messages = told(tmp_path, "")
    assert config is not None
    assert any("made through the API (n1), names the" in message and '"gone"' in message for message in messages)


def test_a_damaged_file_of_the_api_keeps_no_daemon_down_that_refers_to_it(tmp_path: Path) -> None:
    made(tmp_path, "assistant", "abc", "name =")
    made(tmp_path, "sip_trunk", "def", "name =")
    number = '[[numbers]]\nnumber = "100"\nassistant = "abc"\ntransfer_trunk = "def"\n'
    config, messages = told(tmp_path, number)
    assert config is not None
    assert len([message for message in messages if "nvalid" in message or "xpected" in message]) == 2, messages
    assert told(tmp_path, number.replace('"abc"', '"gone"'))[0] is None
    assert told(tmp_path, number.replace('"def"', '"gone"'))[0] is None
