"""A bar never lies: its parts are the whole."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.commands import timeline
from sovereign_pbx.core.values import TurnTiming

parts = st.floats(0, 60_000, allow_nan=False)
timings = st.builds(TurnTiming, parts, parts, parts, parts, parts, parts, parts)


@given(timings, st.integers(1, 200))
def test_the_shares_add_up_to_the_width(timing: TurnTiming, width: int) -> None:
    shares = timeline.shares(timing, width)
    assert sum(shares) == (width if timing.total_ms > 0 else 0)
    assert all(share >= 0 for share in shares)


@given(timings, st.integers(1, 200))
def test_no_share_is_more_than_a_character_from_its_due(timing: TurnTiming, width: int) -> None:
    for (part, _, _), share in zip(timeline.PARTS, timeline.shares(timing, width), strict=True):
        if timing.total_ms > 0:
            assert abs(share - getattr(timing, part) / timing.total_ms * width) < 1.0001


def test_the_longest_turn_has_the_whole_width_and_every_turn_something() -> None:
    timing = TurnTiming(llm_ms=500)
    assert timeline.bar_width(timing, 500, 40) == 40
    assert timeline.bar_width(timing, 1000, 40) == 20
    assert timeline.bar_width(timing, 1_000_000, 40) == 1


def test_a_turn_without_time_has_no_bar() -> None:
    assert timeline.shares(TurnTiming(), 40) == [0] * 7
    assert timeline.sum_of_parts(TurnTiming()) == "0 ms"
