"""When campaigns may call, on days of every kind."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sovereign_pbx.calls.campaign_window import Schedule, is_open, window, window_in_all

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NINE_TO_FIVE = Schedule(time(9), time(17), AMSTERDAM)
WORKDAYS = Schedule(time(9), time(17), AMSTERDAM, frozenset(range(5)))
NIGHT = Schedule(time(22), time(2), AMSTERDAM, frozenset({4}))  # from Friday into Saturday
ALWAYS = Schedule(time(0), time(0), AMSTERDAM)
SKIPPED = Schedule(time(2, 15), time(2, 45), AMSTERDAM)  # the night of 28 to 29 March 2026 has no such time
TWICE = Schedule(time(1), time(2, 30), AMSTERDAM)  # and that of 24 to 25 October has 2:00 to 3:00 twice


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "open_", "changes_at"),
    [
        (NINE_TO_FIVE, "2026-11-20 07:59:59", False, "2026-11-20 08:00"),
        (NINE_TO_FIVE, "2026-11-20 08:00", True, "2026-11-20 16:00"),
        (NINE_TO_FIVE, "2026-11-20 15:59:59", True, "2026-11-20 16:00"),
        (NINE_TO_FIVE, "2026-11-20 16:00", False, "2026-11-21 08:00"),
        (NINE_TO_FIVE, "2026-07-20 07:00", True, "2026-07-20 15:00"),  # in summer two hours from UTC
        (NINE_TO_FIVE, "2026-03-28 16:00", False, "2026-03-29 07:00"),  # the clocks go forward tonight
        (NINE_TO_FIVE, "2026-10-24 15:00", False, "2026-10-25 08:00"),  # and back
        (WORKDAYS, "2026-11-20 16:00", False, "2026-11-23 08:00"),
        (WORKDAYS, "2026-11-21 12:00", False, "2026-11-23 08:00"),
        (NIGHT, "2026-11-20 20:59", False, "2026-11-20 21:00"),
        (NIGHT, "2026-11-21 00:30", True, "2026-11-21 01:00"),
        (NIGHT, "2026-11-21 22:00", False, "2026-11-27 21:00"),  # Saturday's evening is not Friday's
        (ALWAYS, "2026-11-21 00:30", True, None),
        (SKIPPED, "2026-03-28 12:00", False, "2026-03-30 00:15"),  # missing tonight, there tomorrow
        (TWICE, "2026-10-24 23:30", True, "2026-10-25 00:30"),
        (TWICE, "2026-10-25 00:30", False, "2026-10-25 01:00"),  # 3:00 becomes 2:00, which is inside
        (TWICE, "2026-10-25 01:00", True, "2026-10-25 01:30"),
    ],
)
def test_the_window_and_its_next_change(schedule: Schedule, now: str, open_: bool, changes_at: str | None) -> None:
    found = window(schedule, at(now))
    assert (found.is_open, found.changes_at) == (open_, at(changes_at) if changes_at else None)


_zones = st.sampled_from(
    ["Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC"]
).map(ZoneInfo)
_times = st.times().map(lambda one: one.replace(second=0, microsecond=0))
_schedules = st.builds(Schedule, _times, _times, _zones, st.frozensets(st.integers(0, 6), min_size=1).map(frozenset))
_moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@settings(max_examples=300, deadline=None)
@given(_schedules, _moments)
@example(TWICE, at("2026-10-24 12:00"))
@example(Schedule(time(1, 45), time(1, 50), ZoneInfo("Australia/Lord_Howe")), at("2026-04-04 12:00"))
def test_it_stays_as_it_is_until_the_change_and_is_different_then(schedule: Schedule, now: datetime) -> None:
    found = window(schedule, now)
    assert found.is_open == is_open(schedule, now)
    end = found.changes_at or now + timedelta(days=2)
    if found.changes_at is not None:
        assert found.changes_at > now
        assert is_open(schedule, found.changes_at) is not found.is_open
        assert is_open(schedule, max(now, found.changes_at - timedelta(seconds=1))) is found.is_open
    moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(2 * 24 * 60):
        if moment >= end:
            break
        assert is_open(schedule, moment) is found.is_open, moment
        moment += timedelta(minutes=1)


@settings(max_examples=300, deadline=None)
@given(_schedules, _moments)
def test_it_is_never_open_at_an_hour_outside_on_the_wall(schedule: Schedule, now: datetime) -> None:
    local = now.astimezone(schedule.zone)
    if not is_open(schedule, now):
        return
    if schedule.start < schedule.end:
        assert schedule.start <= local.time() < schedule.end
        assert local.weekday() in schedule.weekdays
    else:
        assert local.time() >= schedule.start or local.time() < schedule.end
        began = local.weekday() if local.time() >= schedule.start else (local.weekday() - 1) % 7
        assert began in schedule.weekdays or (schedule.start == schedule.end and local.weekday() in schedule.weekdays)


# --- in several time zones at once


@pytest.mark.parametrize(
    ("zones", "now", "open_", "changes_at"),
    [
        # nine to five in New York and in Los Angeles: five hours
        (("America/New_York", "America/Los_Angeles"), "2026-11-20 16:59", False, "2026-11-20 17:00"),
        (("America/New_York", "America/Los_Angeles"), "2026-11-20 17:00", True, "2026-11-20 22:00"),
        (("America/New_York", "America/Los_Angeles"), "2026-11-20 22:00", False, "2026-11-21 17:00"),
        # the weeks in which one has changed its clocks and the other has not
        (("America/New_York", "Europe/London"), "2026-10-26 12:59", False, "2026-10-26 13:00"),
        (("America/New_York", "Europe/London"), "2026-11-02 13:59", False, "2026-11-02 14:00"),
        # where one ends as the other begins there is none
        (("Europe/Amsterdam", "Pacific/Auckland"), "2026-11-20 12:00", False, None),
        (("Europe/Amsterdam",), "2026-11-20 12:00", True, "2026-11-20 16:00"),
    ],
)
def test_in_several_zones_it_is_open_while_it_is_in_all(
    zones: tuple[str, ...], now: str, open_: bool, changes_at: str | None
) -> None:
    schedules = [Schedule(time(9), time(17), ZoneInfo(zone)) for zone in zones]
    found = window_in_all(schedules, at(now))
    assert (found.is_open, found.changes_at) == (open_, at(changes_at) if changes_at else None)


_together = st.builds(
    lambda start, end, days, zones: [Schedule(start, end, zone, days) for zone in zones],
    _times,
    _times,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.lists(_zones, min_size=2, max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(_together, _moments, st.integers(0, 10_000))
@example([Schedule(time(2), time(3), ZoneInfo("Europe/Amsterdam"))] * 2, at("2026-03-28 12:00"), 5000)
@example([Schedule(time(2), time(3), ZoneInfo("Europe/Amsterdam"))] * 2, at("2026-10-24 12:00"), 5000)
def test_until_it_changes_it_is_as_it_was(schedules: list[Schedule], now: datetime, share: int) -> None:
    """On every day, those included on which clocks are changed."""
    found = window_in_all(schedules, now)

    def in_all(moment: datetime) -> bool:
        return all(is_open(schedule, moment) for schedule in schedules)

    assert found.is_open == in_all(now)
    until = found.changes_at or now + timedelta(days=8)
    assert in_all(now + (until - now) * share / 10_001) == found.is_open
    if found.changes_at is not None:
        assert in_all(found.changes_at) != found.is_open
