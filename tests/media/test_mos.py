"""The E-model's figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.media.mos import burstiness, mos, rating


def test_nothing_lost_and_no_delay_is_the_best_that_a_telephone_gives() -> None:
    assert rating(0, 1, 0) == 93.2
    assert mos(0, 1, 0) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("loss_percent", "delay_ms", "r"),
    [
        (0, 100, 90.8),
        (0, 400, 93.2 - 9.6 - 0.11 * 222.7),
        (5, 0, 93.2 - 95 * 5 / 30.1),
        (20, 0, 93.2 - 95 * 20 / 45.1),
    ],
)
def test_loss_and_delay_cost_what_the_recommendation_says(loss_percent: float, delay_ms: float, r: float) -> None:
    assert rating(loss_percent, 1, delay_ms) == pytest.approx(r)


def test_loss_in_bursts_is_worse_than_the_same_by_chance() -> None:
    assert mos(5, 3, 50) < mos(5, 1, 50)


@given(st.floats(-5, 200), st.floats(0, 100), st.floats(-10, 1e6))
def test_it_stays_on_its_scale(loss_percent: float, bursts: float, delay_ms: float) -> None:
    assert 1 <= mos(loss_percent, bursts, delay_ms) <= 4.5


@given(st.floats(0, 90), st.floats(0.1, 10), st.floats(0, 500))
def test_more_loss_is_never_better(loss_percent: float, more: float, delay_ms: float) -> None:
    assert rating(loss_percent + more, 1, delay_ms) <= rating(loss_percent, 1, delay_ms)


def test_burstiness_is_one_by_chance_and_grows_with_the_runs() -> None:
    assert burstiness(0, 0, 1000) == 1
    assert burstiness(50, 48, 1000) == 1
    assert burstiness(50, 10, 1000) == pytest.approx(4.75)
    assert burstiness(10, 1, 5) == 1
