"""AMI blocks and headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import ami as wire
from sovereign_pbx.wire.malformed import Malformed


def test_the_banner_tells_the_version() -> None:
    assert wire.banner_version(b"Asterisk Call Manager/11.0.0\r\n") == "11.0.0"
    with pytest.raises(Malformed):
        wire.banner_version(b"SSH-2.0-OpenSSH_9.2\r\n")


@pytest.mark.parametrize("value", ["1\r\nAction: Command", "1\nX: y", "1\0", "x" * 5000])
def test_a_value_that_would_break_out_of_its_header_is_refused(value: str) -> None:
    with pytest.raises(Malformed, match="Channel"):
        wire.header("Channel", value)


@pytest.mark.parametrize("name", ["", "A b", "A:", "A\r\nB", "1A"])
def test_a_name_that_is_no_header_name_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        wire.header(name, "x")


def test_numbers_and_names_pass() -> None:
    assert wire.header("Cause", 17) == "17"
    assert wire.header("CallerID", "Zoë <100>") == "Zoë <100>"


@given(st.binary(max_size=200))
def test_bytes_that_are_no_utf8_come_back_as_they_went(block: bytes) -> None:
    assert wire.encode(wire.decode(b"X: " + block + b".")) == b"X: " + block + b"."


def test_percent_codes_are_decoded_and_stray_signs_stay() -> None:
    assert wire.percent_decoded("200%20result%3D0%0A") == "200 result=0\n"
    assert wire.percent_decoded("100% Zo%C3%AB %zz") == "100% Zoë %zz"
