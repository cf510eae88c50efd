"""Session timers (RFC 4028): what is agreed, and when something is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.pbx.sip.session_timer import MIN_SE_S, SessionTimer, agreed, answered, asked, raised, too_small
from sovereign_pbx.wire.sip import Headers

TIMER = ("Supported", "path, timer")


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(pairs)


def expires(value: str) -> tuple[str, str]:
    return "Session-Expires", value


@pytest.mark.parametrize(
    ("request_headers", "ours", "timer", "told"),
    [
        (headers(), 0, None, ""),
        (headers(), 1800, SessionTimer(1800, "us"), "1800;refresher=uas"),
        (headers(TIMER), 1800, SessionTimer(1800, "them"), "1800;refresher=uac"),
        (headers(TIMER, expires("600")), 1800, SessionTimer(600, "them"), "600;refresher=uac"),
        (headers(TIMER, expires("600;refresher=uas")), 1800, SessionTimer(600, "us"), "600;refresher=uas"),
        (headers(TIMER, expires("7200")), 1800, SessionTimer(1800, "them"), "1800;refresher=uac"),
        (headers(TIMER, expires("7200"), ("Min-SE", "3600")), 1800, SessionTimer(3600, "them"), "3600;refresher=uac"),
        (headers(TIMER, expires("600")), 0, SessionTimer(600, "them"), "600;refresher=uac"),
        (headers(expires("600")), 1800, SessionTimer(600, "us"), "600;refresher=uas"),  # put there by a proxy
        (headers(TIMER, expires("rubbish")), 0, None, ""),
    ],
)
def test_what_we_agree_to(request_headers: Headers, ours: int, timer: SessionTimer | None, told: str) -> None:
    found, answer = answered(request_headers, ours)
    assert found == timer
    assert dict(answer).get("Session-Expires", "") == told
    # A peer that is to refresh must be told that it has to understand (RFC 4028, 9)
    assert (dict(answer).get("Require") == "timer") is (timer is not None and timer.refresher == "them")


@pytest.mark.parametrize(
    ("answer", "timer"),
    [
        (headers(expires("900;refresher=uac")), SessionTimer(900, "us")),
        (headers(expires("900;refresher=uas")), SessionTimer(900, "them")),
        (headers(expires("900")), SessionTimer(900, "us")),
        (headers(), SessionTimer(1800, "us")),
    ],
)
def test_what_an_answer_to_ours_means(answer: Headers, timer: SessionTimer) -> None:
    assert agreed(answer, 1800) == timer


def test_nobody_wants_a_timer_and_there_is_none() -> None:
    assert agreed(headers(), 0) is None
    assert asked(0) == []


@pytest.mark.parametrize(("value", "refused"), [("89", True), ("90", False), ("1;refresher=uac", True), ("x", False)])
def test_an_interval_that_is_too_short_is_refused(value: str, refused: bool) -> None:
    assert too_small(headers(TIMER, expires(value))) is refused
    assert not too_small(headers(expires(value)))  # who does not know the extension can't be told


def test_who_was_refused_asks_for_what_he_was_told() -> None:
    assert raised(headers(("Min-SE", "3600")), 1800) == 3600
    assert raised(headers(("Min-SE", "999999999")), 1800) == 86400


@given(st.integers(MIN_SE_S, 10**9), st.sampled_from(["us", "them"]))
def test_it_is_due_before_the_session_ends_and_we_refresh_before_they_give_up(interval: int, who: str) -> None:
    refresh, expiry = SessionTimer(interval, "us").due_s, SessionTimer(interval, "them").due_s
    assert 0 < refresh < expiry < interval
