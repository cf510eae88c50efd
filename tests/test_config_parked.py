"""A configuration of FreeSWITCH without SIP: what is an error in it."""

from pathlib import Path

import pytest

from sovereign_pbx.config import examine

BEGIN = "[asterisk]\nenabled = false\n[freeswitch]\nenabled = true\n"
WITH_PASSWORD = "[freeswitch.esl]\npassword = 'x'\n"


def errors(folder: Path, text: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return [one.message for one in examine(path, environ={}).findings if one.severity == "error"]


@pytest.mark.parametrize("media", ["unicast", "audio_fork"])
def test_loopback_and_a_password_are_well(tmp_path: Path, media: str) -> None:
    assert errors(tmp_path, f"{BEGIN}media = '{media}'\n{WITH_PASSWORD}") == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("media = 'unicast'\n", "media"),
        ("media = 'audio_fork'\n", "media"),
        (f"media = 'unicast'\nmedia_host = '0.0.0.0'\n{WITH_PASSWORD}", "media_host"),
        (f"media = 'audio_fork'\nmedia_host = '8.8.8.8'\n{WITH_PASSWORD}", "media_host"),
        (f"media = 'unicast'\n{WITH_PASSWORD}host = 'pbx.example.com'\n", "host"),
    ],
)
def test_what_can_not_work_or_must_not_be_is_an_error(tmp_path: Path, text: str, key: str) -> None:
    (found,) = errors(tmp_path, BEGIN + text)
    assert found.partition(":")[0].rpartition(".")[2] == key


def test_with_sip_none_of_it_is_asked(tmp_path: Path) -> None:
    text = "[asterisk]\nenabled = false\n[sip]\nenabled = true\n[freeswitch]\nenabled = true\nmedia_host = '0.0.0.0'\n"
    assert errors(tmp_path, text) == []
