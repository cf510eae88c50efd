"""RTCP: what is reported, and what is understood of others' reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.rtcp import Block, Goodbye, Report, Sent, encode, middle, ntp, parse, round_trip_s

SOURCES = st.integers(0, 2**32 - 1)
BLOCKS = st.builds(
    Block,
    source=SOURCES,
    fraction_lost=st.integers(0, 255).map(lambda part: part / 256),
    lost=st.integers(-(2**23), 2**23 - 1),
    highest=SOURCES,
    jitter=SOURCES,
    last_report=SOURCES,
    delay=SOURCES,
)
REPORTS = st.builds(
    Report,
    source=SOURCES,
    sent=st.none() | st.builds(Sent, ntp=st.integers(0, 2**64 - 1), timestamp=SOURCES, packets=SOURCES, octets=SOURCES),
    blocks=st.lists(BLOCKS, max_size=3).map(tuple),
)


@given(REPORTS, st.text(max_size=300), st.booleans())
def test_what_is_written_is_read_again(report: Report, name: str, leaving: bool) -> None:
    data = encode(report, name, leaving)
    assert len(data) % 4 == 0
    assert parse(data) == [report, *([Goodbye((report.source,))] if leaving else [])]


@given(st.binary(max_size=120))
def test_garbage_is_read_or_malformed(data: bytes) -> None:
    try:
        parse(data)
    except Malformed:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\xc9\x00",
        b"\x81\xcb\x00\x05" + bytes(8),
        b"\x9f\xc9\x00\x01" + bytes(4),
        b"\x9f\xcb\x00\x01" + bytes(4),
        bytes(1600),
    ],
)
def test_what_says_more_than_there_is_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


def test_other_packets_of_a_compound_are_passed_over() -> None:
    extended = b"\x80\xcf\x00\x01" + bytes(4)
    assert parse(extended + b"\x81\xcb\x00\x01\0\0\0\7") == [Goodbye((7,))]


def test_the_round_trip_is_what_remains_without_their_delay() -> None:
    sent, now = ntp(1000.0), ntp(1000.35)
    block = Block(
        source=1, fraction_lost=0, lost=0, highest=0, jitter=0, last_report=middle(sent), delay=int(0.3 * 65536)
    )
    found = round_trip_s(block, now)
    assert found is not None and abs(found - 0.05) < 0.001


def test_a_round_trip_of_nonsense_is_none() -> None:
    block = Block(source=1, fraction_lost=0, lost=0, highest=0, jitter=0, last_report=middle(ntp(2000)), delay=0)
    assert round_trip_s(block, ntp(1000.0)) is None
