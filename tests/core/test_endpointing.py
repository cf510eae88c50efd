"""How long a silence must be."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.endpointing import Evidence, Over, Score, delay, judge
from sovereign_pbx.core.expectation import Expected, Kind
from sovereign_pbx.core.plan import TurnTaking

LIMITS = TurnTaking(endpointing_min_delay=0.4, endpointing_max_delay=2.0)
KINDS: tuple[Kind, ...] = ("anything", "open", "yes_no", "number", "date", "spelling", "email")
OVERS: tuple[Over, ...] = ("", "silence", "judged")


def wait(text: str, score: float | None = None, *, language: str = "en", **known: object) -> float:
    scores = () if score is None else (Score(0.2, score),)
    return delay(LIMITS, Evidence(text=text, scores=scores, language=language, **known))  # type: ignore[arg-type]  # the names are its own


def test_a_sure_turn_model_ends_the_turn_after_the_shortest_delay() -> None:
    assert wait("I want to book a table", 0.95) == 0.4


def test_an_unfinished_sound_is_waited_for() -> None:
    assert wait("I want to book a table", 0.02) > 1.2


def test_nobody_ends_with_a_conjunction_however_it_sounds() -> None:
    assert wait("I'd like a table and", 0.95) > 1.4


def test_a_number_that_is_being_dictated_is_waited_for() -> None:
    assert wait("zero two zero", 0.95) > 1.1


def test_a_one_word_answer_is_not_kept_waiting_by_a_model_that_heard_too_little() -> None:
    assert wait("Yes", 0.05) <= 0.45
    assert wait("Yes") == 0.4


def test_without_a_turn_model_punctuation_is_believed() -> None:
    assert wait("I want to book a table.") < wait("I want to book a table")


evidence = st.builds(
    Evidence,
    text=st.text(max_size=60),
    settled=st.booleans(),
    scores=st.lists(st.builds(Score, st.floats(0, 3), st.floats(0, 1)), max_size=4).map(tuple),
    over=st.sampled_from(OVERS),
    expected=st.builds(Expected, st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 22)),
    stretch=st.floats(-1, 1),
    language=st.sampled_from(["en", "nl", "de-AT", "fr", "", "x"]),
)
limits = st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)).map(
    lambda pair: TurnTaking(endpointing_min_delay=min(pair), endpointing_max_delay=max(pair))
)


@given(limits, evidence)
def test_the_delay_stays_between_its_limits(bounds: TurnTaking, known: Evidence) -> None:
    verdict = judge(bounds, known)
    assert bounds.endpointing_min_delay <= verdict.delay_s <= bounds.endpointing_max_delay + 1e-9


def test_equal_limits_are_a_fixed_delay() -> None:
    fixed = TurnTaking(endpointing_min_delay=0.3, endpointing_max_delay=0.3)
    assert delay(fixed, Evidence(text="and")) == 0.3
