"""Who is asked first after failures."""

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.standing import DENIED_S, MAX_COOL_DOWN_S, REMEMBERED, Choice, Choices, Standings

STALLED = ProviderError("vendor", "llm", "stalled")
DENIED = ProviderError("vendor", "llm", "denied")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def choices(standings: Standings, *keys: str) -> Choices[str]:
    return Choices([Choice(key, key) for key in keys], standings)


def order(of: Choices[str]) -> list[str]:
    return [choice.key for choice in of.in_order()]


def test_the_administrators_order_holds_while_all_are_well() -> None:
    assert order(choices(Standings(), "c", "a", "b")) == ["c", "a", "b"]


def test_cool_downs_double_up_to_a_limit_and_end_with_a_success() -> None:
    clock = Clock()
    standings = Standings(clock)
    rests = []
    for _ in range(9):
        standings.failed("a", STALLED)
        rests.append(standings.rest_s("a"))
    assert rests[:4] == [2.0, 4.0, 8.0, 16.0]
    assert rests[-1] == MAX_COOL_DOWN_S
    standings.worked("a")
    assert standings.rest_s("a") == 0.0
    standings.failed("a", STALLED)
    assert standings.rest_s("a") == 2.0


def test_one_that_was_denied_is_left_alone_for_minutes() -> None:
    clock = Clock()
    standings = Standings(clock)
    both = choices(standings, "a", "b")
    standings.failed("a", DENIED)
    clock.now += DENIED_S - 1
    assert order(both) == ["b", "a"]
    clock.now += 2
    assert order(both) == ["a", "b"]


def test_when_nobody_is_well_the_soonest_rested_is_asked() -> None:
    standings = Standings(Clock())
    both = choices(standings, "a", "b")
    standings.failed("a", DENIED)
    standings.failed("b", STALLED)
    assert order(both) == ["b", "a"]


def test_the_memory_is_bounded() -> None:
    standings = Standings(Clock())
    for number in range(REMEMBERED + 10):
        standings.failed(str(number), STALLED)
    assert standings.rest_s("0") == 0.0
    assert standings.rest_s(str(REMEMBERED + 9)) > 0
