"""`sovereign-pbx dialplan freeswitch`: what it prints of the configuration, and what it says when it can't."""

from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.config_source import VARIABLE
from sovereign_pbx.pbx.freeswitch.dialplan import render
from sovereign_pbx.pbx.freeswitch.parked_dialplan import render as render_parked


def printed(*options: str) -> Result:
    return CliRunner().invoke(cli, ["dialplan", "freeswitch", *options])


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
    assert (result.exit_code, result.stdout) == (0, render())
    assert result.stderr == "no configuration file: this is the default address\n"


def test_what_the_configuration_says_is_printed(tmp_path: Path) -> None:
    text = (
        "[sip]\nenabled = true\nhost = '0.0.0.0'\nadvertise_host = '192.0.2.10'\nport = 5099\ncodecs = ['PCMA']\n"
        "decide_timeout_seconds = 20\n[freeswitch]\nenabled = true\ncontext = 'bot'\nprofile = 'external'\n"
    )
    result = printed("-c", written(tmp_path, text))
    wanted = render(sip="192.0.2.10:5099", context="bot", profile="external", decide_s=20, codecs=("PCMA",))
    assert (result.exit_code, result.stdout) == (0, wanted)


@pytest.mark.parametrize("media", ["unicast", "audio_fork"])
def test_without_sip_it_is_the_one_that_parks(tmp_path: Path, media: Literal["unicast", "audio_fork"]) -> None:
    text = (
        f"[sip]\ndecide_timeout_seconds = 20\n[freeswitch]\nenabled = true\nmedia = '{media}'\ncontext = 'bot'\n"
        "[freeswitch.esl]\npassword = 'x'\n"
    )
    result = printed("-c", written(tmp_path, text), "--fallback", "600 XML default")
    wanted = render_parked(context="bot", fallback="600 XML default", decide_s=20, media=media)
    assert (result.exit_code, result.stdout) == (0, wanted)


def test_options_win(tmp_path: Path) -> None:
    options = ["--sip", "pbx:1", "--context", "bot", "--profile", "x", "--fallback", "600 XML default"]
    result = printed("-c", written(tmp_path, "[sip]\nport = 5099\n"), *options, "--transport", "tcp")
    wanted = render(sip="pbx:1", context="bot", profile="x", fallback="600 XML default", transport="tcp")
    assert (result.exit_code, result.stdout) == (0, wanted)


def test_a_listener_on_every_address_needs_one_that_freeswitch_can_reach(tmp_path: Path) -> None:
    result = printed("-c", written(tmp_path, "[sip]\nenabled = true\nhost = '0.0.0.0'\npermit = ['10.0.0.5']\n"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "0.0.0.0 is no address that FreeSWITCH could connect to" in result.stderr
    assert "[sip] advertise_host" in result.stderr


def test_a_fallback_that_is_none_is_refused() -> None:
    result = printed("--fallback", "600")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "600 XML default" in result.stderr


def test_the_help_tells_how_to_install_it() -> None:
    text = printed("--help").stdout
    assert "reloadxml" in text and "docs/freeswitch.md" in text
