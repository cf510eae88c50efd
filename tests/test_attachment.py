"""Which PBXs a configuration makes of the daemon's."""

import subprocess
import sys
from pathlib import Path

import pytest

from sovereign_pbx.attachment import attach
from sovereign_pbx.config import load
from sovereign_pbx.core.errors import ConfigError

FREESWITCH = '[freeswitch]\nenabled = true\n[freeswitch.esl]\npassword = "secret"\n'
WITHOUT_SIP = FREESWITCH.replace("true\n", 'true\nmedia = "unicast"\n', 1)
NO_ASTERISK = "[asterisk]\nenabled = false\n"
SIP = "[sip]\nenabled = true\n"


def members(folder: Path, text: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(text)
    return [member.name for member in attach(load(path, environ={}), lambda: ())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["asterisk"]),
        (SIP, ["asterisk", "sip"]),
        (NO_ASTERISK + SIP, ["sip"]),
        (NO_ASTERISK + SIP + FREESWITCH, ["sip"]),
        (NO_ASTERISK + WITHOUT_SIP, ["freeswitch"]),
        (SIP + WITHOUT_SIP, ["asterisk", "sip", "freeswitch"]),
        ('[asterisk]\nmedia = "sip"\n' + SIP, ["asterisk", "sip"]),
    ],
)
def test_a_configuration_attaches_the_daemon_to(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert members(tmp_path, text) == expected


def test_a_daemon_beside_asterisk_alone_does_not_load_what_it_does_not_need(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    program = (
        "import sys; from pathlib import Path;"
        "from sovereign_pbx.config import load; from sovereign_pbx.daemon import attach;"
        f"attach(load(Path({str(path)!r}), environ={{}}), lambda: ());"
        "print([name for name in sys.modules if name.endswith(('sip_pbx', 'freeswitch.control', 'parked_pbx'))])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


def test_freeswitch_without_sip_needs_its_event_socket(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="event socket"):
        members(tmp_path, NO_ASTERISK + WITHOUT_SIP.replace('"secret"', '""'))
