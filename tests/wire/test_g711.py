"""G.711 against the recommendation's own description, sample by sample."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import g711


def ulaw_code(sample: int) -> int:
    """µ-law by search: sign, the segment whose range holds the biased magnitude, the step in it."""
    magnitude = min(abs(sample), 32635) + 132
    segment = max(s for s in range(8) if magnitude >= 128 << s)
    step = (magnitude - (128 << segment)) // (8 << segment)
    return 0xFF - ((0x80 if sample < 0 else 0) + segment * 16 + step)


def ulaw_value(code: int) -> int:
    segment, step = (0xFF - code) % 128 // 16, (0xFF - code) % 16
    magnitude = (128 << segment) + step * (8 << segment) + (4 << segment) - 132
    return -magnitude if code < 128 else magnitude


def alaw_code(sample: int) -> int:
    """A-law by search on 16 bits: two linear segments of step 16, then steps that double."""
    magnitude = -sample - 1 if sample < 0 else sample
    segment = 0 if magnitude < 256 else max(s for s in range(1, 8) if magnitude >= 128 << s)
    width = 16 if segment == 0 else 8 << segment
    step = (magnitude - (0 if segment == 0 else 128 << segment)) // width
    return ((0 if sample < 0 else 0x80) + segment * 16 + step) ^ 0x55


def alaw_value(code: int) -> int:
    plain = code ^ 0x55
    segment, step = plain % 128 // 16, plain % 16
    width = 16 if segment == 0 else 8 << segment
    magnitude = (0 if segment == 0 else 128 << segment) + step * width + width // 2
    return magnitude if plain >= 128 else -magnitude


EVERY_SAMPLE = range(-32768, 32768)


def pcm(samples: range | list[int]) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def test_every_sample_is_coded_as_the_recommendation_says() -> None:
    assert g711.pcm_to_ulaw(pcm(EVERY_SAMPLE)) == bytes(map(ulaw_code, EVERY_SAMPLE))
    assert g711.pcm_to_alaw(pcm(EVERY_SAMPLE)) == bytes(map(alaw_code, EVERY_SAMPLE))


def test_every_code_is_decoded_as_the_recommendation_says() -> None:
    codes = bytes(range(256))
    assert g711.ulaw_to_pcm(codes) == pcm([ulaw_value(code) for code in codes])
    assert g711.alaw_to_pcm(codes) == pcm([alaw_value(code) for code in codes])


def test_well_known_values() -> None:
    assert g711.pcm_to_ulaw(pcm([0, 32767, -32768])) == b"\xff\x80\x00"
    assert g711.pcm_to_alaw(pcm([0, 32767, -32768])) == b"\xd5\xaa\x2a"
    assert g711.ulaw_to_pcm(b"\xff\x80\x00") == pcm([0, 32124, -32124])
    assert g711.alaw_to_pcm(b"\xd5\xaa\x2a") == pcm([8, 32256, -32256])


@given(st.binary(max_size=400))
def test_a_second_pass_through_the_codec_changes_nothing(coded: bytes) -> None:
    assert g711.pcm_to_alaw(g711.alaw_to_pcm(coded)) == coded
    once = g711.pcm_to_ulaw(g711.ulaw_to_pcm(coded))
    assert once == coded.replace(b"\x7f", b"\xff")  # µ-law has two zeros


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        g711.pcm_to_ulaw(b"\0\0\0")
