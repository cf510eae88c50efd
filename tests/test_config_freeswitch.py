"""`[freeswitch]`: doubtful combinations, and the section as the parts of the daemon take it."""

from pathlib import Path

import pytest

from sovereign_pbx.config import Examined, examine
from sovereign_pbx.config_sip_parts import freeswitch_settings

WELL = "[sip]\nenabled = true\n[freeswitch]\nenabled = true\n"
ESL = "[freeswitch.esl]\npassword = 'a-password'\n"


def examined(folder: Path, text: str) -> Examined:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return examine(path, environ={})


def said(found: Examined, severity: str) -> list[str]:
    return [finding.message for finding in found.findings if finding.severity == severity]


def test_a_freeswitch_with_its_socket_is_well(tmp_path: Path) -> None:
    found = examined(tmp_path, WELL + ESL)
    assert not [text for text in said(found, "warning") if "event socket" in text or "names every" in text]
    assert found.config is not None
    settings = freeswitch_settings(found.config)
    assert (settings.host, settings.port, str(settings.password)) == ("127.0.0.1", 8021, "a-password")
    assert "a-password" not in repr(settings)
    assert settings.instance.startswith("i")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WELL, "no event socket password"),
        (WELL + ESL + "host = '192.0.2.5'\n", "crosses the network"),
        (WELL + "peers = ['0.0.0.0/0']\n" + ESL, "names every address"),
    ],
)
def test_what_is_doubtful_is_a_warning(tmp_path: Path, text: str, words: str) -> None:
    found = examined(tmp_path, text)
    assert found.config is not None
    assert [one for one in said(found, "warning") if words in one]


def test_a_freeswitch_whose_calls_would_be_dropped_is_an_error(tmp_path: Path) -> None:
    text = "[sip]\nenabled = true\npermit = ['10.0.0.0/8']\n[freeswitch]\nenabled = true\npeers = ['{}']\n" + ESL
    assert examined(tmp_path, text.format("10.0.0.5")).config is not None
    found = examined(tmp_path, text.format("192.0.2.5"))
    assert found.config is None
    assert "[sip] permit does not name 192.0.2.5" in said(found, "error")[0]


def test_a_password_that_freeswitch_does_not_have_is_an_error(tmp_path: Path) -> None:
    text = "[sip]\nenabled = true\nusername = 'pbx'\npassword = 'x'\n[freeswitch]\nenabled = true\n" + ESL
    found = examined(tmp_path, text)
    assert found.config is None
    assert "its calls prove no password" in said(found, "error")[0]


def test_a_refer_that_would_run_in_a_circle_is_an_error(tmp_path: Path) -> None:
    text = "[sip]\nenabled = true\ntransfer = 'refer'\n[freeswitch]\nenabled = true\n"
    assert "our own context" in said(examined(tmp_path, text), "error")[0]
    assert examined(tmp_path, text + ESL).config is not None


def test_without_freeswitch_nothing_is_said_of_it(tmp_path: Path) -> None:
    found = examined(tmp_path, "[freeswitch]\npeers = ['0.0.0.0/0']\n")
    assert not [finding for finding in found.findings if "freeswitch" in str(finding.key)]
