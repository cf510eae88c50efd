from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.media.schedule import Due, Schedule


def test_a_punctual_clock_has_one_tick_every_20_ms() -> None:
    schedule = Schedule(10.0)
    assert [schedule.due(10.0 + n * 0.02).ticks for n in range(5)] == [1] * 5
    assert schedule.late == 0


def test_nothing_is_due_early_but_a_timers_rounding_is_forgiven() -> None:
    schedule = Schedule(10.0)
    assert schedule.due(9.99) == Due(0, 0, 0.0)
    assert schedule.due(9.9995).ticks == 1
    assert schedule.next_at == 10.02


def test_lateness_does_not_add_up() -> None:
    schedule = Schedule(0.0)
    for n in range(1000):
        assert schedule.due(n * 0.02 + 0.015).ticks == 1
    assert schedule.next_at == 20.0


def test_two_missed_ticks_are_caught_up_at_once() -> None:
    schedule = Schedule(0.0)
    due = schedule.due(0.045)
    assert (due.ticks, due.skipped) == (3, 0)
    assert (schedule.late, schedule.caught_up, schedule.reanchored) == (1, 2, 0)
    assert schedule.next_at == 0.06


def test_more_than_two_missed_ticks_anchor_the_schedule_anew() -> None:
    schedule = Schedule(0.0)
    due = schedule.due(0.130)
    assert (due.ticks, due.skipped) == (1, 6)
    assert schedule.reanchored == 1
    assert schedule.next_at == 0.150
    assert schedule.worst_lag_s == 0.130


@given(st.lists(st.floats(0, 0.3), max_size=60))
def test_a_burst_is_never_longer_than_three_and_no_time_is_lost_or_counted_twice(waits: list[float]) -> None:
    schedule, now, counted = Schedule(0.0), 0.0, 0
    for wait in waits:
        now += wait
        due = schedule.due(now)
        assert due.ticks <= 3
        counted += due.ticks + due.skipped
        assert schedule.next_at > now - 0.001
    elapsed = now / 0.02
    assert elapsed - 1 - schedule.reanchored <= counted <= elapsed + 2
