"""So many requests in a window that begins with the first (contract §17)."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.api.limiter import Limiter


def test_the_allowance_shrinks_is_used_up_and_comes_back_whole() -> None:
    limiter = Limiter(2, 60.0)
    first, second, third = (limiter.take("a", 1000.0 + n) for n in range(3))
    assert [one.remaining for one in (first, second, third)] == [1, 0, 0]
    assert [one.exhausted for one in (first, second, third)] == [False, False, True]
    assert (third.retry_after_s, third.reset_at) == (58, 1060)
    assert third.headers == {
        **{"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1060", "Retry-After": "58"}
    }
    assert "Retry-After" not in second.headers
    assert limiter.take("a", 1060.0).remaining == 1


def test_nobody_is_counted_for_another() -> None:
    limiter = Limiter(1)
    assert not limiter.take("a", 0.0).exhausted
    assert limiter.take("a", 0.0).exhausted
    assert not limiter.take("b", 0.0).exhausted


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    limiter = Limiter(1, 60.0)
    limiter.take("a", 10_000.0)
    assert not limiter.take("a", 9_000.0).exhausted


def test_the_longest_unseen_is_forgotten_beyond_the_bound() -> None:
    limiter = Limiter(1, most=2)
    for who in "abc":
        limiter.take(who, 0.0)
    assert not limiter.take("a", 0.0).exhausted
    assert limiter.take("c", 0.0).exhausted


@given(st.integers(1, 5), st.lists(st.floats(0, 200), max_size=60).map(sorted))
def test_no_window_lets_more_through_than_its_limit(limit: int, moments: list[float]) -> None:
    limiter = Limiter(limit, 60.0)
    windows: dict[int, int] = {}
    for now in moments:
        taken = limiter.take("a", now)
        assert 0 <= taken.remaining < limit or taken.exhausted
        assert taken.exhausted is (taken.retry_after_s > 0)
        if not taken.exhausted:
            windows[taken.reset_at] = windows.get(taken.reset_at, 0) + 1
    assert all(count <= limit for count in windows.values())
