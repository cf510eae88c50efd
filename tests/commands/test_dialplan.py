"""`sovereign-pbx dialplan`: the addresses it prints, and what it says when it can't."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.config_source import VARIABLE
from sovereign_pbx.pbx.asterisk.dialplan import render


def printed(*options: str) -> Result:
    return CliRunner().invoke(cli, ["dialplan", "asterisk", *options])


@pytest.fixture(autouse=True)
def no_configuration_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("sovereign_pbx.config_source.DEFAULT_PATH", tmp_path / "none.toml")


def written(folder: Path, text: str) -> str:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_without_a_configuration_it_is_the_default_and_says_so_on_the_side() -> None:
    result = printed()
    assert result.exit_code == 0
    assert result.stdout == render()
    assert result.stderr == "no configuration file: these are the default addresses\n"


def test_the_addresses_are_those_of_the_configuration(tmp_path: Path) -> None:
    text = "[asterisk.agi]\nport = 4000\n[asterisk.audiosocket]\nhost = '::1'\nport = 9000\n"
    result = printed("-c", written(tmp_path, text))
    assert result.exit_code == 0
    assert result.stdout == render(agi="127.0.0.1:4000", audiosocket="[::1]:9000")
    assert result.stderr == ""


def test_the_advertised_host_stands_for_both_listeners(tmp_path: Path) -> None:
    text = "[asterisk]\nadvertise_host = 'voice.lan'\npermit = ['10.0.0.5']\n[asterisk.agi]\nhost = '0.0.0.0'\n"
    result = printed("-c", written(tmp_path, text))
    assert result.stdout == render(agi="voice.lan:4573", audiosocket="voice.lan:9092")


def test_listeners_on_every_address_need_one_that_asterisk_can_reach(tmp_path: Path) -> None:
    result = printed("-c", written(tmp_path, "[asterisk]\npermit = ['10.0.0.5']\n[asterisk.agi]\nhost = '0.0.0.0'\n"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "0.0.0.0 is no address that Asterisk could connect to" in result.stderr
    assert "advertise_host" in result.stderr


def test_options_win_and_need_no_readable_configuration(tmp_path: Path) -> None:
    options = ["--agi", "pbx:1", "--audiosocket", "pbx:2", "--context", "bot", "--fallback", "ext-queues,600,1"]
    result = printed("-c", written(tmp_path, "nonsense ="), *options, "--dial-timeout", "45")
    assert result.exit_code == 0
    rendered = render(agi="pbx:1", audiosocket="pbx:2", context="bot", fallback="ext-queues,600,1", dial_timeout_s=45)
    assert result.stdout == rendered


def test_one_address_given_leaves_the_other_to_the_configuration(tmp_path: Path) -> None:
    result = printed("-c", written(tmp_path, "[asterisk.agi]\nport = 4000\n"), "--audiosocket", "pbx:2")
    assert result.stdout == render(agi="127.0.0.1:4000", audiosocket="pbx:2")


@pytest.mark.parametrize("named", [True, False])
def test_a_configuration_that_was_named_and_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: bool
) -> None:
    missing = str(tmp_path / "missing.toml")
    if not named:
        monkeypatch.setenv(VARIABLE, missing)
    result = printed(*(["-c", missing] if named else []))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "missing.toml" in result.stderr


def test_what_does_not_belong_into_a_dialplan_is_refused() -> None:
    result = printed("--context", "x]\n[default", "--agi", "a:1", "--audiosocket", "b:2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not belong into a dialplan" in result.stderr


def test_the_help_teaches_to_copy_to_include_and_to_reload() -> None:
    text = printed("--help").output
    assert text.index("> /etc/asterisk/") < text.index("#include") < text.index("dialplan reload")


TRUNKS = """
[trunks.carrier]
name = "My Carrier"
address = "sip.example.com:5062"
transport = "tls"
auth_username = "user"
auth_password = "pass-word-1"
[trunks.plain]
address = "192.0.2.7"
[trunks.own]
endpoint = "of-mine"
[trunks.old]
is_active = false
address = "192.0.2.8"
"""


def trunks(folder: Path, text: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["dialplan", "trunks", "-c", written(folder, text), *options])


def test_trunks_are_printed_for_pjsip_with_passwords_masked(tmp_path: Path) -> None:
    result = trunks(tmp_path, TRUNKS)
    assert result.exit_code == 0
    assert "[My-Carrier]\ntype = endpoint\ncontext = sovereign\ntransport = transport-tls\n" in result.stdout
    assert "contact = sip:sip.example.com:5062\\;transport=tls\n" in result.stdout
    assert "username = user\npassword = ***\n" in result.stdout
    assert "pass-word-1" not in result.output
    assert "[plain]\ntype = identify\nendpoint = plain\nmatch = 192.0.2.7\n" in result.stdout
    assert "; of-mine: an endpoint of your own" in result.stdout
    assert "; old is not active" in result.stdout and "192.0.2.8" not in result.stdout


def test_passwords_are_printed_when_asked_for(tmp_path: Path) -> None:
    assert "password = pass-word-1\n" in trunks(tmp_path, TRUNKS, "--with-secrets").stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[trunks.a]\naddress = "host\\n[x]"\n', "address"),
        ('[trunks.a]\naddress = "host"\nauth_username = "a;b"\n', "auth_username"),
        ('[trunks.a]\naddress = "host"\nauth_username = "a"\nauth_password = "b\\nc-secret"\n', "auth_password"),
        ("", "names no trunks"),
    ],
)
def test_what_does_not_belong_into_pjsip_conf_is_refused(tmp_path: Path, text: str, words: str) -> None:
    result = trunks(tmp_path, text, "--with-secrets")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and "c-secret" not in result.stderr


def linked(folder: Path, text: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["dialplan", "link", "-c", written(folder, text), *options])


SIP = """
[asterisk]
media = "sip"
sip_endpoint = "bot"
[sip]
enabled = true
codecs = ["G722", "PCMA"]
username = "bot"
password = "pass-word-2"
"""


def test_the_endpoint_of_the_sip_link_is_printed_with_its_password_masked(tmp_path: Path) -> None:
    result = linked(tmp_path, SIP)
    assert result.exit_code == 0
    assert "[bot]\ntype = endpoint\n" in result.stdout
    assert "allow = g722,alaw\n" in result.stdout and "rtp_timeout = 3\n" in result.stdout
    assert "context = bot-calls-nobody\n" in result.stdout
    assert "username = bot\npassword = ***\n" in result.stdout
    assert "password = pass-word-2\n" in linked(tmp_path, SIP, "--with-secrets").stdout
    assert "transport = here\n" in linked(tmp_path, SIP, "--transport", "here").stdout


def test_the_connection_of_chan_websocket_is_printed(tmp_path: Path) -> None:
    text = """[asterisk]\nmedia = "websocket"\nadvertise_host = "pbx-ai"\n[asterisk.websocket]\nport = 4444\n"""
    result = linked(tmp_path, text)
    assert result.exit_code == 0
    assert "[sovereign]\ntype = websocket_client\n" in result.stdout
    assert "uri = ws://pbx-ai:4444/media\n" in result.stdout


def test_audiosocket_needs_nothing_beside_the_dialplan(tmp_path: Path) -> None:
    result = linked(tmp_path, "")
    assert result.exit_code == 0
    assert result.stdout == "; AudioSocket needs nothing but the dialplan\n"


def test_what_does_not_belong_into_the_endpoint_is_refused(tmp_path: Path) -> None:
    result = linked(tmp_path, SIP.replace("pass-word-2", "secret;2"), "--with-secrets")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "sip.password" in result.stderr and "secret;2" not in result.stderr
