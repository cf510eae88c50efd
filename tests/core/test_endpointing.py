"""How long a silence must be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.endpointing import Evidence, Over, Score, delay, judge, next_score
from sovereign_pbx.core.expectation import Expected, Kind
from sovereign_pbx.core.plan import TurnTaking

LIMITS = TurnTaking(endpointing_min_delay=0.4, endpointing_max_delay=2.0)
KINDS: tuple[Kind, ...] = ("anything", "open", "fact", "yes_no", "number", "date", "spelling", "email")
OVERS: tuple[Over, ...] = ("", "silence", "judged")


def wait(text: str, score: float | None = None, *, language: str = "en", **known: object) -> float:
    scores = () if score is None else (Score(0.2, score),)
    return delay(LIMITS, Evidence(text=text, scores=scores, language=language, **known))  # type: ignore[arg-type]  # the names are its own


def test_a_sure_turn_model_ends_the_turn_after_the_shortest_delay() -> None:
    assert wait("I want to book a table", 0.98) == 0.4


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


@given(limits, evidence, st.integers(0, 3), st.floats(0, 1))
def test_a_surer_turn_model_never_waits_longer(bounds: TurnTaking, known: Evidence, place: int, other: float) -> None:
    scores = known.scores or (Score(0.2, 0.5),)
    place %= len(scores)

    def scored(probability: float) -> float:
        changed = [*scores[:place], scores[place]._replace(probability=probability), *scores[place + 1 :]]
        return delay(bounds, replace(known, scores=tuple(changed)))

    low, high = sorted((scores[place].probability, other))
    assert scored(high) <= scored(low) + 1e-9


@given(limits, evidence, st.floats(-1, 1))
def test_a_caller_who_pauses_longer_never_waits_less(bounds: TurnTaking, known: Evidence, other: float) -> None:
    low, high = sorted((known.stretch, other))
    assert delay(bounds, replace(known, stretch=low)) <= delay(bounds, replace(known, stretch=high)) + 1e-9


@given(limits, evidence)
def test_words_that_may_still_change_are_believed_less(bounds: TurnTaking, known: Evidence) -> None:
    assert delay(bounds, replace(known, settled=True)) <= delay(bounds, replace(known, settled=False)) + 1e-9


@given(limits, evidence)
def test_the_recognisers_judgement_never_makes_it_wait_longer(bounds: TurnTaking, known: Evidence) -> None:
    assert delay(bounds, replace(known, over="judged")) <= delay(bounds, replace(known, over="")) + 1e-9


@given(limits, evidence)
def test_the_reasons_add_up(bounds: TurnTaking, known: Evidence) -> None:
    verdict = judge(bounds, known)
    assert verdict.odds == pytest.approx(sum(verdict.weights.values()))


@pytest.mark.parametrize("probability", [-1.0, 2.0, float("nan"), float("inf")])
def test_a_turn_model_that_talks_nonsense_breaks_no_limit(probability: float) -> None:
    assert 0.4 <= wait("I want to book a table", probability) <= 2.0


@pytest.mark.parametrize(
    ("said", "better", "than"),
    [
        ("tomorrow", Expected("yes_no"), Expected("open")),
        ("four", Expected("fact"), Expected("open")),
        ("yes", Expected("yes_no"), Expected("number", 8, 10)),
        ("zero two zero five", Expected("number", 3, 4), Expected("number", 8, 10)),
        ("good morning", Expected("yes_no"), Expected("open")),
        ("a green one", Expected("fact"), Expected("open")),
    ],
)
def test_what_was_asked_changes_how_long_it_waits(said: str, better: Expected, than: Expected) -> None:
    assert wait(said, 0.7, expected=better) < wait(said, 0.7, expected=than)


def test_the_longer_it_heard_silence_the_less_a_high_score_says() -> None:
    early, late = (delay(LIMITS, Evidence(text="a table", scores=(Score(at, 0.9),))) for at in (0.2, 0.7))
    assert early < late


def test_a_second_score_counts_for_a_word_or_two_and_not_for_a_sentence() -> None:
    low, rising = (Score(0.2, 0.1),), (Score(0.2, 0.1), Score(0.4, 0.99))
    short, long = "blue bicycle", "I have a question about the blue bicycle"
    assert delay(LIMITS, Evidence(text=short, scores=rising)) < delay(LIMITS, Evidence(text=short, scores=low))
    assert delay(LIMITS, Evidence(text=long, scores=rising)) == delay(LIMITS, Evidence(text=long, scores=low))


def test_a_long_sentence_that_nobody_heard_end_is_not_taken_for_ended_by_its_length() -> None:
    long = "I have a question about the blue bicycle in the window"
    assert wait(long, 0.9) == 0.4
    assert wait(long) > 0.6


def test_the_turn_model_is_asked_again_only_where_that_tells_something() -> None:
    scored = (Score(0.2, 0.4),)
    assert [next_score(at, Evidence(text="blue", scores=scored)) for at in (0.2, 0.4, 0.7)] == [0.4, 0.7, None]
    assert next_score(0.2, Evidence(text="I would like the blue bicycle", scores=scored)) is None
    assert next_score(0.2, Evidence(text="I would like the blue bicycle")) == 0.4
    assert next_score(0.2, Evidence(text="blue", over="judged")) is None


def test_a_number_dictated_in_a_rhythm_is_over_when_the_next_group_is_overdue() -> None:
    number, known = "zero two zero five five five", Expected("number", 8, 10)
    steady = wait(number, 0.3, expected=known, pauses=(0.5, 0.6))
    assert steady == pytest.approx(2 * 0.6 + 0.3)
    assert steady < wait(number, 0.3, expected=known, pauses=(0.6,))
    assert wait("I would like to and", 0.3, pauses=(0.3, 0.3)) > 1.5
