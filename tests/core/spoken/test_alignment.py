"""From the times of spoken words to the written ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.heard import heard
from sovereign_pbx.core.spoken import Pronunciation, Spoken, lexicon_of, say
from sovereign_pbx.core.spoken.alignment import Alignment, estimated_words, words_of_original
from sovereign_pbx.core.values import Word


def timed(text: str, each_s: float = 0.1) -> list[Word]:
    """A word of the spoken form every `each_s`."""
    return [Word(word, place * each_s, (place + 1) * each_s) for place, word in enumerate(text.split())]


def heard_after(written: str, words: int, language: str = "en", *, said: Spoken | None = None) -> str:
    """What the history holds when the first `words` spoken words were heard."""
    form = said or say(written, lexicon_of(language))
    return heard(written, words_of_original(written, form, timed(form.text)), None, words * 100.0)


@pytest.mark.parametrize(
    ("words", "history"),
    [
        (1, "It"),
        (2, "It costs"),
        (3, "It costs"),  # "twelve"
        (4, "It costs"),  # "twelve dollars"
        (5, "It costs $12.50"),  # "twelve dollars fifty"
        (6, "It costs $12.50 each,"),
    ],
)
def test_an_amount_counts_as_heard_when_its_last_spoken_word_was(words: int, history: str) -> None:
    assert heard_after("It costs $12.50 each, all in all.", words) == history


def test_a_telephone_number_is_heard_group_by_group() -> None:
    written = "Call 020 7946 0958 today please."
    assert heard_after(written, 1) == "Call"
    assert heard_after(written, 4) == "Call 020"
    assert heard_after(written, 8) == "Call 020 7946"
    assert heard_after(written, 12) == "Call 020 7946 0958"


def test_one_word_for_several_and_several_for_one() -> None:
    form = say(
        "New York is OK now.", lexicon_of("en"), pronunciation=Pronunciation([("New York", "NYC"), ("OK", "o k")])
    )
    assert form.text == "NYC is o k now."
    assert heard_after("New York is OK now.", 1, said=form) == "New York"
    assert heard_after("New York is OK now.", 3, said=form) == "New York is"
    assert heard_after("New York is OK now.", 4, said=form) == "New York is OK"


def test_a_word_that_is_not_said_goes_with_the_one_before_it() -> None:
    form = say("Well um yes it is.", lexicon_of("en"), pronunciation=Pronunciation([("um", "")]))
    assert heard_after("Well um yes it is.", 1, said=form) == "Well um"
    assert heard_after("Well um yes it is.", 2, said=form) == "Well um yes"


def test_a_voice_that_cuts_words_its_own_way_is_followed_by_the_letters() -> None:
    written = "There are 21 of us, I think."
    form = say(written, lexicon_of("en"))
    parts = [Word("There", 0, 0.1), Word("are", 0.1, 0.2), Word("twenty", 0.2, 0.3), Word("one", 0.3, 0.4)]
    assert [word.text for word in words_of_original(written, form, parts)] == ["There", "are", "21"]


def test_a_voice_that_leaves_words_out_is_found_again() -> None:
    written = "It is 5 km from here."
    form = say(written, lexicon_of("en"))
    parts = [Word("It", 0, 0.1), Word("xyz", 0.1, 0.2), Word("kilometres", 0.3, 0.4), Word("from", 0.4, 0.5)]
    assert [word.text for word in words_of_original(written, form, parts)] == ["It", "is", "5", "km", "from"]


def test_words_come_as_the_voice_tells_them() -> None:
    alignment = Alignment("It costs $3 now.", say("It costs $3 now.", lexicon_of("en")))
    assert [word.text for word in alignment.feed([Word("It", 0, 1), Word("costs", 1, 2), Word("three", 2, 3)])] == [
        "It",
        "costs",
    ]
    assert alignment.feed([Word("dollars", 3, 4)]) == (Word("$3", 2, 4),)


def test_a_voice_without_times_shares_its_length_by_what_it_really_says() -> None:
    written = "Call 06 12345678 now."
    form = say(written, lexicon_of("nl"))
    words = estimated_words(written, form, 6000.0)
    assert words[-1].text == "now."
    assert words[-1].end == pytest.approx(6.0)
    assert words[2].end - words[2].start > 3.0  # eight digits take most of it


@given(st.text(max_size=100), st.lists(st.text(max_size=12), max_size=20), st.sampled_from(["nl", "en", "de", "fr"]))
def test_whatever_a_voice_tells_written_words_come_once_and_in_order(text: str, told: list[str], code: str) -> None:
    words = [Word(word, float(place), place + 1.0) for place, word in enumerate(told)]
    got = [word.text for word in words_of_original(text, say(text, lexicon_of(code)), words)]
    assert got == text.split()[: len(got)]


@given(st.text(max_size=100), st.sampled_from(["nl", "en", "de", "fr"]))
def test_when_all_was_said_all_was_heard(text: str, code: str) -> None:
    form = say(text, lexicon_of(code))
    got = words_of_original(text, form, timed(form.text))
    if any(char.isalnum() for char in form.text):
        assert [word.text for word in got] == text.split()
