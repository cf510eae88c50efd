"""`[sip]` as an endpoint: what could not start, or would not do what was meant."""

from pathlib import Path

import pytest

from sovereign_pbx.config import examine, load
from sovereign_pbx.config_checks import tcp_listeners
from sovereign_pbx.config_sip_parts import sip_settings

BASE = '[assistants.anna]\nname = "Anna"\n[sip]\nenabled = true\n'


def found(folder: Path, text: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(BASE + text)
    path.chmod(0o600)
    findings = examine(path).findings
    return [f"{one.severity} {one.message}" for one in findings if one.key.startswith("sip")]


@pytest.mark.parametrize(("transports", "told"), [('["udp"]', False), ('["udp", "tcp"]', True)])
def test_only_a_tcp_port_is_looked_for_by_tcp(tmp_path: Path, transports: str, told: bool) -> None:
    path = tmp_path / "config.toml"
    path.write_text(BASE + f"transports = {transports}\n")
    path.chmod(0o600)
    assert (("sip",) in [table for table, _, _ in tcp_listeners(load(path))]) is told


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


def test_every_setting_reaches_the_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        BASE
        + 'host = "192.0.2.20"\nport = 5091\ntransports = ["tcp"]\nadvertise_host = "192.0.2.21"\n'
        + 'permit = ["192.0.2.1"]\n'
        + 'username = "pbx"\npassword = "s3cret-pbx"\nsrtp = "off"\ncodecs = ["PCMA"]\nrtp_first_port = 40000\n'
        + "rtp_last_port = 40999\njitter_min_ms = 40\njitter_max_ms = 100\nmedia_timeout_seconds = 9\n"
        + "session_expires_seconds = 600\ndecide_timeout_seconds = 7\nearly_media = false\nmax_calls = 50\n"
        + '[asterisk]\nsip_endpoint = "daemon"\n'
    )
    path.chmod(0o600)
    made = sip_settings(load(path))
    assert (made.host, made.port, made.transports, made.advertise_host) == ("192.0.2.20", 5091, ("tcp",), "192.0.2.21")
    assert (made.permit, made.username, made.password, made.max_calls) == (("192.0.2.1",), "pbx", "s3cret-pbx", 50)
    assert (made.rtp_first_port, made.rtp_last_port, made.session_expires_s) == (40000, 40999, 600)
    assert (made.terms.decide_s, made.terms.early, made.asterisk_endpoint) == (8.0, False, "daemon")
    sound = made.sound
    assert (sound.codecs, sound.srtp, sound.jitter_min_ms, sound.jitter_max_ms) == (("PCMA",), "off", 40, 100)
    assert (sound.media_timeout_s, sound.permit) == (9.0, ("192.0.2.1",))
    assert "s3cret" not in repr(made)
