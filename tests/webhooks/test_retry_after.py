"""`Retry-After` in its two forms, and in those that hostile servers think of."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.webhooks import retry_after

NOW = datetime(2026, 11, 20, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Fri, 20 Nov 2026 08:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 09:01:30 +0100", 90.0),
        ("Fri, 20 Nov 2026 07:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 5000, None),
        ("Fri, 99 Nov 2026 08:01:30 GMT", None),
        ("Fri, 20 Nov 99999999999999999999 08:01:30 GMT", None),
    ],
)
def test_it_is_read(header: str | None, expected: float | None) -> None:
    assert retry_after.seconds(header, NOW) == expected


@given(st.text())
def test_nothing_that_it_says_is_an_error_or_a_negative_wait(header: str) -> None:
    wait = retry_after.seconds(header, NOW)
    assert wait is None or wait >= 0
