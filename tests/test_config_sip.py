"""`[sip]`'s registrations, and trunks that the daemon dials itself."""

from pathlib import Path

import pytest

from sovereign_pbx.config import Examined, examine

SIP = "[sip]\nenabled = true\n"
OFFICE = '[registrations.office]\nserver = "192.0.2.1:5070"\nusername = "800"\npassword = "s3cret-800"\n'
CARRIER = '[trunks.carrier]\npbx = "sip"\naddress = "192.0.2.7"\n'


def found(folder: Path, text: str) -> list[str]:
    """What is wrong, by severity and key, with the words."""
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    examined: Examined = examine(path, environ={})
    return [
        f"{one.severity} {one.message}"
        for one in examined.findings
        if one.key.startswith(("sip", "trunks", "registrations"))
    ]


def test_a_registration_and_a_trunk_of_our_own_are_well(tmp_path: Path) -> None:
    assert found(tmp_path, SIP + OFFICE + CARRIER) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OFFICE, "warning registrations: nothing is registered"),
        (SIP + OFFICE.replace('password = "s3cret-800"\n', ""), "warning registrations.office.password"),
        (SIP + OFFICE + 'transport = "tls"\n', "error registrations.office.transport: [sip] transports"),
        (
            SIP + OFFICE + OFFICE.replace("office", "other"),
            'error registrations.other.username: is the extension of "o',
        ),
        (
            SIP + OFFICE.replace("192.0.2.1:5070", "pbx:99999"),
            "error registrations.office.server: pbx:99999 is no h",
        ),
        (
            SIP + 'permit = ["198.51.100.0/24"]\n' + OFFICE,
            "error registrations.office.server: [sip] permit does not",
        ),
        (
            SIP + 'username = "pbx"\npassword = "s3cret-pbx"\n' + OFFICE,
            "warning sip.username: calls through regis",
        ),
        (CARRIER, "error trunks.carrier.pbx: [sip] is not enabled"),
        (SIP + CARRIER.replace('address = "192.0.2.7"\n', ""), "error trunks.carrier.pbx: the daemon is to dial"),
        (SIP + CARRIER + 'transport = "tls"\n', "error trunks.carrier.transport: [sip] transports does not name tls"),
        (SIP + 'permit = ["198.51.100.0/24"]\n' + CARRIER, "error trunks.carrier.address: [sip] permit does not name"),
        (
            SIP + OFFICE + CARRIER + 'endpoint = "office"\n',
            'warning trunks.carrier.endpoint: "office" is a registration',
        ),
        ('[trunks.carrier]\npbx = "freeswitch"\n', "error trunks.carrier.pbx: [freeswitch] is not enabled"),
    ],
)
def test_a_way_that_leads_nowhere_is_reported(tmp_path: Path, text: str, says: str) -> None:
    assert [line for line in found(tmp_path, text) if line.startswith(says)]


def test_a_trunk_of_asterisk_keeps_its_address_for_the_printed_configuration(tmp_path: Path) -> None:
    text = '[sip]\nenabled = true\npermit = ["198.51.100.0/24"]\n[trunks.carrier]\naddress = "192.0.2.7"\n'
    assert found(tmp_path, text) == []


def test_music_that_nobody_would_hear_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for asterisk, said in (("false", True), ("true", False)):
        path.write_text(f'[asterisk]\nenabled = {asterisk}\n{SIP}[transfers]\nmusic = "default"\n')
        path.chmod(0o600)
        messages = [one.message for one in examine(path, environ={}).findings]
        assert any(message.startswith('transfers.music: "default" is music of a PBX') for message in messages) == said
