"""DTMF reported twice by the PBX is told once, however the two reports interleave."""

import time
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.pbx.digits import WINDOW_S, DigitsOnce, Way


def test_the_second_report_of_a_digit_is_no_news() -> None:
    digits = DigitsOnce()
    assert digits.is_news("audio", "5")
    assert not digits.is_news("signalling", "5")


@pytest.mark.parametrize("order", sorted(set(permutations(["audio", "audio", "signalling", "signalling"]))))
def test_a_key_pressed_twice_counts_twice_in_any_order_of_reports(order: tuple[Way, ...]) -> None:
    digits = DigitsOnce()
    assert [digits.is_news(way, "1") for way in order].count(True) == 2


def test_one_way_alone_is_enough() -> None:
    digits = DigitsOnce()
    assert all(digits.is_news("audio", digit) for digit in "112")
    digits = DigitsOnce()
    assert all(digits.is_news("signalling", digit) for digit in "112")


def test_a_report_after_the_window_is_another_press(monkeypatch: pytest.MonkeyPatch) -> None:
    digits, now = DigitsOnce(), time.monotonic()
    assert digits.is_news("audio", "5")
    monkeypatch.setattr(time, "monotonic", lambda: now + WINDOW_S + 1)
    assert digits.is_news("signalling", "5")


@given(st.text("123", max_size=30), st.data())
def test_each_press_is_told_once_in_the_order_of_the_keys(keys: str, data: st.DataObject) -> None:
    digits, told = DigitsOnce(), ""
    waiting: dict[Way, str] = {"audio": keys, "signalling": keys}
    while any(waiting.values()):
        way = data.draw(st.sampled_from([way for way, rest in waiting.items() if rest]))
        digit, waiting[way] = waiting[way][0], waiting[way][1:]
        if digits.is_news(way, digit):
            told += digit
    assert sorted(told) == sorted(keys)
    assert told == keys
