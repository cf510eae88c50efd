"""How long a silence must be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.endpointing import delay, next_score, shape
from sovereign_pbx.core.plan import TurnTaking

POLICY = TurnTaking(endpointing_min_delay=0.4, endpointing_max_delay=2.0)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("", "en", "unknown"),
        ("Yes.", "en", "answer"),
        ("Nee, dank", "nl", "answer"),
        ("I would like to book a table and", "en", "open"),
        ("My number is", "en", "open"),
        ("Well, um", "en", "open"),
        ("I was thinking,", "en", "open"),
        ("Ik wil graag een afspraak maken met", "nl", "open"),
        ("Ich möchte einen Termin und", "de-DE", "open"),
        ("Je voudrais parler avec", "fr", "open"),
        ("It's 020 555", "en", "digits"),
        ("zero two zero five", "en", "digits"),
        ("It's 020 555 12 34", "en", "plain"),
        ("What time do you open?", "en", "closed"),
        ("I want to book a table.", "en", "closed"),
        ("I want to book a table", "en", "plain"),
        ("I want to book a table", "xx", "plain"),
    ],
)
def test_the_transcript_has_a_shape(text: str, language: str, expected: str) -> None:
    assert shape(text, language) == expected


def test_a_sure_turn_model_ends_the_turn_after_the_shortest_delay() -> None:
    assert delay(POLICY, "I want to book a table", 0.9, "en") == 0.4
    assert delay(POLICY, "", 0.51, "en") == 0.4


def test_an_unfinished_sound_waits_for_the_longest() -> None:
    assert delay(POLICY, "I want to book a table", 0.02, "en") == 2.0


def test_nobody_ends_with_a_conjunction_however_it_sounds() -> None:
    assert delay(POLICY, "I'd like a table and", 0.95, "en") > 1.4


def test_a_number_that_is_being_dictated_is_waited_for() -> None:
    assert delay(POLICY, "zero two zero", 0.95, "en") > 1.1


def test_a_one_word_answer_is_not_kept_waiting_by_a_model_that_heard_too_little() -> None:
    assert delay(POLICY, "Yes", 0.05, "en") < 0.6
    assert delay(POLICY, "Yes", None, "en") < 0.6


def test_without_a_turn_model_punctuation_is_believed() -> None:
    assert delay(POLICY, "I want to book a table.", None, "en") < delay(POLICY, "I want to book a table", None, "en")


@given(st.text(max_size=60), st.none() | st.floats(0, 1), st.sampled_from(["en", "nl", "", "x"]))
def test_the_delay_stays_between_its_limits(text: str, probability: float | None, language: str) -> None:
    assert 0.4 <= delay(POLICY, text, probability, language) <= 2.0 + 1e-9


@given(st.text(max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_a_surer_model_never_waits_longer(text: str, one: float, other: float) -> None:
    unsure, sure = sorted((one, other))
    assert delay(POLICY, text, sure, "en") <= delay(POLICY, text, unsure, "en")


def test_equal_limits_are_a_fixed_delay() -> None:
    fixed = TurnTaking(endpointing_min_delay=0.3, endpointing_max_delay=0.3)
    assert delay(fixed, "and", 0.0, "en") == 0.3


def test_the_turn_model_is_asked_again_as_the_silence_grows() -> None:
    assert [next_score(silence) for silence in (0.2, 0.4, 0.8)] == [0.4, 0.8, None]
