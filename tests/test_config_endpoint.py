"""`[sip]` as an endpoint: what could not start, or would not do what was meant."""

from pathlib import Path

import pytest

from sovereign_pbx.config import examine

BASE = '[assistants.anna]\nname = "Anna"\n[sip]\nenabled = true\n'


def found(folder: Path, text: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(BASE + text)
    path.chmod(0o600)
    findings = examine(path).findings
    return [f"{one.severity} {one.message}" for one in findings if one.key.startswith("sip")]


def test_the_usual_endpoint_is_well(tmp_path: Path) -> None:
    assert not found(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('transports = ["udp", "tls"]\n', "error sip.transports: names tls"),
        ('tls_certificate = "sip.pem"\n', "warning sip.tls_certificate: is not used"),
        ('srtp = "required"\n', "warning sip.srtp: its keys"),
        ('username = "pbx"\n', "error sip.username: has no password"),
        ('password = "s3cret-pbx"\n', "error sip.password: is asked of nobody"),
        ("rtp_first_port = 30000\nrtp_last_port = 30099\n", "warning sip.rtp_last_port: leaves sound for 50 of"),
        ("port = 30010\n", "error sip.port: is among the ports for the sound"),
        ("session_expires_seconds = 60\n", "warning sip.session_expires_seconds: is less"),
        (
            "decide_timeout_seconds = 5\n[webhook]\nrequest_timeout_seconds = 4\n",
            "warning sip.decide_timeout_seconds: leaves no time",
        ),
    ],
)
def test_what_does_not_fit_together_is_reported(tmp_path: Path, text: str, says: str) -> None:
    assert any(one.startswith(says) for one in found(tmp_path, text)), found(tmp_path, text)


def test_nothing_is_said_of_an_endpoint_that_is_not_enabled(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[assistants.anna]\nname = "Anna"\n[sip]\nusername = "pbx"\n')
    path.chmod(0o600)
    assert not [one for one in examine(path).findings if one.key.startswith("sip")]
