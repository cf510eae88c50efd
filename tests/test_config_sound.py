"""What `[sip]` asks of codecs and encryption, and what an installation can do."""

import pytest

from sovereign_pbx.config_sip import Sip
from sovereign_pbx.config_sound import possible_encryption, spoken_codecs
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.sip import codecs, srtp


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra `sip`."""
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    monkeypatch.setattr(srtp, "find_spec", lambda name: None)


def test_with_the_extra_everything_is_as_configured() -> None:
    assert spoken_codecs(Sip(codecs=("G722", "PCMU"))) == ("G722", "PCMU")
    assert [possible_encryption(Sip(srtp=wish)) for wish in ("off", "offered", "required")] == [
        "off",
        "offered",
        "required",
    ]


def test_without_it_calls_come_without_g722_and_without_encryption(bare: None) -> None:
    assert spoken_codecs(Sip(codecs=("G722", "PCMU"))) == ("PCMU",)
    assert possible_encryption(Sip(srtp="offered")) == "off"


def test_what_was_insisted_on_and_is_missing_is_an_error_with_a_remedy(bare: None) -> None:
    with pytest.raises(ConfigError, match="extra sip") as required:
        possible_encryption(Sip(srtp="required"))
    assert required.value.key == "sip.srtp"
    with pytest.raises(ConfigError, match="G722"):
        spoken_codecs(Sip(codecs=("G722",)))
