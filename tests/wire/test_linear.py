"""L16 and comfort noise on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire.comfort_noise import SILENT_DBOV, encode, level_of
from sovereign_pbx.wire.l16 import l16_to_pcm, pcm_to_l16


def test_samples_are_in_network_order() -> None:
    assert pcm_to_l16(b"\x34\x12\xff\x00") == b"\x12\x34\x00\xff"
    assert l16_to_pcm(b"\x12\x34\x00") == b"\x34\x12"
    with pytest.raises(ValueError, match="multiple"):
        pcm_to_l16(b"\0")


@given(st.binary(max_size=200).map(lambda data: data[: len(data) // 2 * 2]))
def test_there_and_back_is_the_same(pcm: bytes) -> None:
    assert l16_to_pcm(pcm_to_l16(pcm)) == pcm


@given(st.integers(-127, 0), st.binary(max_size=10))
def test_the_level_of_noise_is_told_in_its_first_byte(level: int, spectrum: bytes) -> None:
    assert level_of(encode(level) + spectrum) == level


def test_noise_without_a_level_is_silence() -> None:
    assert level_of(b"") == SILENT_DBOV
