"""Telephone events: each digit once, whatever happens to its packets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.telephone_event import DIGITS, DigitReceiver, Event


def pressed(digit: str, at: int, *, ticks: int = 5) -> list[tuple[int, bool, Event]]:
    """The packets of one press: timestamp, marker, event."""
    held = [(at, tick == 1, Event(digit, False, 160 * tick)) for tick in range(1, ticks + 1)]
    return [*held, *([(at, False, Event(digit, True, 160 * ticks))] * 3)]


def digits(packets: list[tuple[int, bool, Event]]) -> str:
    receiver = DigitReceiver(8000)
    return "".join(receiver.take(event, timestamp, marker=marker) for timestamp, marker, event in packets)


def test_the_wire_has_digit_end_volume_and_duration() -> None:
    assert Event("7", False, 160).encode() == b"\x07\x0a\x00\xa0"
    assert Event.parse(b"\x07\x8d\x05\x00") == Event("7", True, 0x500)
    assert Event.parse(b"\x10\x00\x00\x00").digit == ""
    with pytest.raises(Malformed):
        Event.parse(b"\x07\x8d\x05")


def test_a_digit_counts_with_its_first_packet() -> None:
    receiver = DigitReceiver(8000)
    assert receiver.take(Event("5", False, 160), 1000, marker=True) == "5"
    assert receiver.pressed


@given(st.text(DIGITS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_each_digit_counts_once_whatever_is_lost_of_it(text: str, chance: random.Random) -> None:
    kept = []
    for place, digit in enumerate(text):
        packets = pressed(digit, 1000 + place * 1600)
        keep = [packet for packet in packets if chance.random() < 0.6] or packets[-1:]
        kept += keep
    assert digits(kept) == text


def test_the_same_key_twice_is_two_digits_though_all_ends_are_lost() -> None:
    first = [packet for packet in pressed("3", 1000) if not packet[2].end]
    assert digits([*first, *pressed("3", 1000 + 1600)]) == "33"


def test_a_long_press_in_segments_is_one_digit() -> None:
    segment = [(1000, True, Event("1", False, 65440)), (1000, False, Event("1", False, 65535))]
    more = [(1000 + 65535, False, Event("1", False, 160)), (1000 + 65535, False, Event("1", True, 320))]
    assert digits([*segment, *more]) == "1"


def test_senders_whose_timestamp_grows_during_a_press_have_pressed_once() -> None:
    packets = [(1000 + tick * 160, tick == 0, Event("9", False, 160 * (tick + 1))) for tick in range(10)]
    assert digits(packets) == "9"


def test_packets_of_a_press_that_is_over_say_nothing_new() -> None:
    first, second = pressed("1", 1000), pressed("2", 2600)
    assert digits([*first, *second[:3], first[3], *second[3:], first[4]]) == "12"


def test_a_timestamp_may_wrap_around() -> None:
    assert digits([*pressed("1", 2**32 - 100), *pressed("2", 1500)]) == "12"


def test_a_press_is_over_with_its_end() -> None:
    receiver = DigitReceiver(8000)
    for timestamp, marker, event in pressed("1", 0):
        receiver.take(event, timestamp, marker=marker)
    assert not receiver.pressed
    receiver.take(Event("1", False, 480), 0, marker=False)  # out of order
    assert not receiver.pressed


@pytest.mark.parametrize("then", [2_764_045_584, 1_000_000_000])
def test_a_clock_that_jumps_between_two_presses_hides_none(then: int) -> None:
    """Asterisk 22.10: the first press came before any sound."""
    assert digits([*pressed("1", 192), *pressed("1", then), *pressed("5", then + 3840)]) == "115"
    assert digits([*pressed("1", then), *pressed("2", 192)]) == "12"
