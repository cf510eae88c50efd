"""What was heard of a sentence that was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.heard import estimate_ms, going_on_ms, heard
from sovereign_pbx.core.values import Word

TEXT = "We are open from nine to five, on weekdays."
WORDS = tuple(Word(word, 0.3 * i, 0.3 * i + 0.28) for i, word in enumerate(TEXT.split()))
TEXTS = st.text(alphabet="abcé ,.!?12\n", max_size=80)
PLAYED = st.floats(-10, 60_000, allow_nan=False)


def words_of(text: str) -> tuple[Word, ...]:
    return tuple(Word(word, 0.25 * i, 0.25 * (i + 1)) for i, word in enumerate(text.split()))


def test_word_times_decide_where_the_voice_gives_them() -> None:
    assert heard(TEXT, WORDS, 2700, 1000) == "We are open"
    assert heard(TEXT, WORDS, 2700, 1200) == "We are open from"


def test_a_word_that_was_cut_was_not_heard() -> None:
    assert heard(TEXT, WORDS, 2700, 250) == ""
    assert heard(TEXT, WORDS, 2700, 280) == "We"


def test_everything_was_heard_when_the_last_frame_is_out() -> None:
    assert heard(TEXT, WORDS, 2700, 2690) == TEXT
    assert heard(TEXT, (), 2700, 2700) == TEXT


def test_nothing_was_heard_before_the_first_sample() -> None:
    assert heard(TEXT, WORDS, 2700, 0) == ""
    assert heard("", (), None, 500) == ""


def test_without_word_times_the_length_is_shared_by_syllables() -> None:
    half = heard(TEXT, (), 2700, 1350)
    assert TEXT.startswith(half)
    assert 3 <= len(half.split()) <= 6


def test_without_any_length_the_speaking_rate_is_estimated() -> None:
    assert 1500 < estimate_ms(TEXT) < 4500
    assert 2 <= len(heard(TEXT, (), None, 1000).split()) <= 5


def test_a_word_spelt_otherwise_by_the_voice_still_counts() -> None:
    words = (Word("open", 0, 0.3), Word("twelve", 0.3, 0.6), Word("hours", 0.6, 0.9))
    assert heard("Open 12 hours a day", words, 2000, 700) == "Open 12"
    assert heard("Open 12 hours a day", words, 2000, 950) == "Open 12 hours"


def test_words_that_the_voice_leaves_out_are_skipped_over() -> None:
    words = (Word("open", 0, 0.3), Word("day", 0.3, 0.6))
    assert heard("Open all – day long", words, 2000, 650) == "Open all – day"


@given(TEXTS, st.booleans(), st.none() | st.floats(1, 30_000), PLAYED)
def test_what_was_heard_is_a_beginning_that_ends_at_a_word(
    text: str, timed: bool, total_ms: float | None, played_ms: float
) -> None:
    part = heard(text, words_of(text) if timed else (), total_ms, played_ms)
    assert text.startswith(part)
    assert part == part.rstrip()
    assert len(part) == len(text.rstrip()) or not part or text[len(part)].isspace()


@given(TEXTS, st.booleans(), st.none() | st.floats(1, 30_000), PLAYED, PLAYED)
def test_more_playing_never_means_less_heard(
    text: str, timed: bool, total_ms: float | None, one: float, other: float
) -> None:
    words = words_of(text) if timed else ()
    less, more = sorted((one, other))
    assert len(heard(text, words, total_ms, less)) <= len(heard(text, words, total_ms, more))


HELD = (Word("one", 0.0, 0.4), Word("two", 0.5, 0.9), Word("12345678", 1.0, 4.0))


@pytest.mark.parametrize(
    ("played_ms", "from_ms"),
    [(0, 0), (200, 0), (385, 385), (450, 450), (700, 500), (1500, 1000), (2500, 2500), (4500, 4500)],
)
def test_speech_goes_on_with_the_word_that_it_was_held_in(played_ms: float, from_ms: float) -> None:
    assert going_on_ms(HELD, played_ms) == from_ms
    assert going_on_ms((), played_ms) == played_ms
