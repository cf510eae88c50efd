"""Which calls are wideband."""

import pytest

from sovereign_pbx.pbx.asterisk.agi_text import offer_from
from sovereign_pbx.pbx.asterisk.versions import has_wide_audiosocket
from sovereign_pbx.pbx.asterisk.wideband import Media, Wideband, speaks_wideband
from sovereign_pbx.wire.fastagi import Request


def arguments(formats: str) -> tuple[str, ...]:
    return ("8000", f"SOVEREIGN_FORMATS={formats}", "CUSTOMER=42")


@pytest.mark.parametrize("formats", ["g722", "(g722)", "g722|ulaw", "G722", "opus", "slin16", "amrwb"])
def test_a_caller_whose_codec_carries_more_than_a_telephone_speaks_wideband(formats: str) -> None:
    assert speaks_wideband(arguments(formats))


@pytest.mark.parametrize("formats", ["", "ulaw", "(alaw)", "ulaw|g722", "slin", "gsm", "g729", "nonsense", "|"])
def test_every_other_caller_does_not(formats: str) -> None:
    assert not speaks_wideband(arguments(formats))


@pytest.mark.parametrize("told", [(), ("8000",), ("8000", "CUSTOMER=42")])
def test_a_dialplan_that_does_not_say_what_is_spoken_brings_no_wideband(told: tuple[str, ...]) -> None:
    assert not speaks_wideband(told)


@pytest.mark.parametrize(
    ("version", "wide"),
    [
        ("22.10.1", True),
        ("22.7.0", True),
        ("Asterisk 22.6.0", False),
        ("20.17.0", True),
        ("20.16.1", False),
        ("certified/20.7-cert3", False),
        ("21.12.0", False),
        ("23.0.0", False),
        ("23.1.0", True),
        ("24.0.0", True),
        ("18.26.1", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_which_audiosocket_has_16_khz(version: str, wide: bool) -> None:
    assert has_wide_audiosocket(version) is wide


@pytest.mark.parametrize(
    ("media", "version", "rate"),
    [
        ("auto", "22.10.1", 16000),
        ("auto", "22.6.0", 8000),
        ("auto", "", 8000),
        ("audiosocket", "22.10.1", 8000),
        ("sip", "", 16000),
        ("websocket", "", 16000),
    ],
)
def test_the_rate_is_what_both_ends_have(media: Media, version: str, rate: int) -> None:
    decides = Wideband(media, None)
    decides.version = version
    assert decides.rate(arguments("g722")) == rate
    assert decides.rate(arguments("ulaw")) == 8000


def test_the_callers_codecs_are_no_variable_of_the_call() -> None:
    offer = offer_from(Request({}, arguments("g722")), "id", 16000)
    assert offer.variables == {"CUSTOMER": "42"}
    assert (offer.called, offer.rate) == ("8000", 16000)
