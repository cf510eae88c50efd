"""RTP packets, and the account of one source's."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.rtp import MAX_DROPOUT, Packet, Reception, difference, encode, is_rtcp, parse

PACKETS = st.builds(
    Packet,
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    source=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=200),
)


@given(PACKETS)
def test_what_is_written_is_read_again(packet: Packet) -> None:
    assert parse(encode(packet)) == packet


def raw(first: int, rest: bytes) -> bytes:
    return struct.pack(">BBHII", first, 0, 1, 2, 3) + rest


def test_sources_extensions_and_padding_are_read_over() -> None:
    sources = b"\0\0\0\7" * 2
    extension = b"\xbe\xde\0\1" + b"\0\0\0\0"
    assert parse(raw(0x80 | 0x30 | 2, sources + extension + b"sound" + b"\0\0\3")).payload == b"sound"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        raw(0x40, b""),  # version 1
        raw(0x81, b"\0\0"),  # a source is missing
        raw(0x90, b"\0\0"),  # an extension's head is missing
        raw(0x90, b"\0\0\0\2\0\0\0\0"),  # and its end
        raw(0xA0, b"x\0"),  # padding of nothing
        raw(0xA0, b"x\x09"),  # more padding than there is
        raw(0xA0, b""),
    ],
)
def test_what_says_more_than_there_is_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


@given(st.binary(max_size=80))
def test_garbage_is_read_or_malformed(data: bytes) -> None:
    try:
        parse(data)
    except Malformed:
        pass


def test_reports_on_a_shared_port_are_known_by_their_type() -> None:
    assert is_rtcp(b"\x80\xc8") and is_rtcp(b"\x81\xcb")
    assert not is_rtcp(b"\x80\x00") and not is_rtcp(b"\x80\xe5") and not is_rtcp(b"")


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_differences_go_the_short_way_round(start: int, step: int) -> None:
    assert difference((start + step) % 2**32, start, 2**32) == step


def admitted(*sequences: int) -> tuple[Reception, list[int | None]]:
    account = Reception(sequences[0])
    return account, [account.admit(sequence) for sequence in sequences]


def test_numbers_count_on_over_a_wrap_around() -> None:
    account, numbers = admitted(65534, 65535, 0, 1)
    assert numbers == [65534, 65535, 65536, 65537]
    assert (account.expected, account.received, account.lost) == (4, 4, 0)


def test_a_second_copy_counts_once_also_when_it_comes_late() -> None:
    account, numbers = admitted(10, 11, 11, 12, 10, 13, 11)
    assert numbers == [10, 11, None, 12, None, 13, None]
    assert (account.duplicates, account.received, account.lost) == (3, 4, 0)


def test_what_comes_out_of_order_is_not_lost() -> None:
    account, numbers = admitted(10, 12, 11, 13)
    assert numbers == [10, 12, 11, 13]
    assert account.lost == 0


def test_the_fraction_lost_is_since_it_was_asked() -> None:
    account, _ = admitted(0, 1, 3)
    assert account.fraction_lost() == 0.25
    account.admit(4)
    assert account.fraction_lost() == 0.0
    assert account.lost == 1


def test_a_jump_is_believed_when_the_next_packet_bears_it_out() -> None:
    account, numbers = admitted(10, 11, 11 + MAX_DROPOUT, 12, 40_000)
    assert numbers == [10, 11, None, 12, None] and not account.over
    assert account.admit(40_001) is None and account.over
    assert (account.received, account.lost) == (3, 0)


def test_jitter_is_that_of_the_rfc() -> None:
    account = Reception(0)
    for timestamp, arrival in ((0, 0.0), (160, 160.0), (320, 336.0), (480, 480.0)):
        account.time(timestamp, arrival)
    assert account.jitter == 16 / 16 + (16 - 16 / 16) / 16


def test_a_wrapped_timestamp_is_no_jitter() -> None:
    account = Reception(0)
    account.time(2**32 - 160, 1000.0)
    account.time(0, 1160.0)
    assert account.jitter == 0
