"""AudioSocket frames: what is built, what is understood, what is refused."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import audiosocket as wire
from sovereign_pbx.wire.malformed import Malformed

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=400)), max_size=12)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, as a network would deliver it."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def test_a_frame_is_kind_length_payload_in_one_object() -> None:
    assert wire.encode(0x10, b"\x01\x02") == b"\x10\x00\x02\x01\x02"
    assert wire.encode(0x00) == wire.HANGUP_FRAME


def test_a_frame_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Malformed, match="65536 bytes"):
        wire.encode(0x10, bytes(65536))
    with pytest.raises(Malformed, match="kind 256"):
        wire.encode(256)


def test_the_rates_are_those_of_asterisk() -> None:
    assert [wire.RATE_OF_KIND[kind] for kind in range(0x10, 0x19)] == [
        8000,
        12000,
        16000,
        24000,
        32000,
        44100,
        48000,
        96000,
        192000,
    ]
    assert wire.audio_header(16000, 640) == b"\x12\x02\x80"
    with pytest.raises(Malformed, match="11025 Hz"):
        wire.audio_header(11025, 441)


@given(FRAMES, st.lists(st.integers(0, 10_000), max_size=20))
def test_frames_survive_any_cutting_of_the_stream(frames: list[tuple[int, bytes]], places: list[int]) -> None:
    stream = b"".join(wire.encode(kind, payload) for kind, payload in frames)
    parser = wire.Parser()
    heard = [frame for piece in cut(stream, places) for frame in parser.feed(piece)]
    assert heard == frames
    assert parser.pending == 0


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_garbage_is_parsed_or_refused_but_never_kept_without_bound(pieces: list[bytes]) -> None:
    parser = wire.Parser(max_payload=320)
    try:
        for piece in pieces:
            parser.feed(piece)
    except Malformed:
        return
    assert parser.pending < 323


def test_a_truncated_frame_stays_pending() -> None:
    parser = wire.Parser()
    assert parser.feed(b"\x10\x01") == []
    assert parser.feed(b"\x40" + bytes(319)) == []
    assert parser.pending == 322
    assert parser.feed(b"\x07\x00") == [(0x10, bytes(319) + b"\x07")]


def test_an_announced_length_over_the_limit_is_refused_before_it_arrives() -> None:
    with pytest.raises(Malformed, match="65535 bytes is over the limit of 16"):
        wire.Parser(max_payload=16).feed(b"\x01\xff\xff")


def test_a_uuid_frame_holds_sixteen_bytes() -> None:
    want = UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
    assert wire.call_id(want.bytes) == want
    with pytest.raises(Malformed, match="not 15"):
        wire.call_id(bytes(15))


@pytest.mark.parametrize(("payload", "digit"), [(b"5", "5"), (b"#", "#"), (b"*", "*"), (b"d", "D")])
def test_a_digit_is_one_key(payload: bytes, digit: str) -> None:
    assert wire.digit(payload) == digit


@pytest.mark.parametrize("payload", [b"", b"55", b"x", b"\xff", b"\n"])
def test_what_is_no_key_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        wire.digit(payload)
