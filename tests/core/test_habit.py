"""What is learnt of the caller's own pauses."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.habit import Habit


def habit(*pauses: float) -> Habit:
    known = Habit()
    for pause in pauses:
        known.paused(pause)
    return known


def test_one_pause_is_no_habit() -> None:
    assert habit(1.4).usual_s is None
    assert habit(1.4).stretch == 0


def test_a_caller_who_thinks_long_is_given_more_time() -> None:
    assert habit(1.1, 0.9, 1.3).stretch == 1


def test_a_caller_who_hardly_pauses_is_given_less() -> None:
    assert habit(0.25, 0.3, 0.2).stretch < -0.4


def test_one_long_search_for_a_document_does_not_slow_the_call_down() -> None:
    assert habit(0.4, 0.45, 2.9, 0.4).usual_s == 0.45


def test_gaps_of_articulation_are_not_pauses() -> None:
    assert habit(0.05, 0.1, 0.15, 0.19).usual_s is None


def test_old_pauses_are_forgotten() -> None:
    assert habit(*[1.5] * 9, *[0.3] * 9).usual_s == 0.3


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_the_habit_is_bounded_whatever_was_measured(pauses: list[float]) -> None:
    known = habit(*pauses)
    assert -1 <= known.stretch <= 1
    assert known.usual_s is None or 0.2 <= known.usual_s <= 3.0
