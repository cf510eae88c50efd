"""Streamed text, cut for the voice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.clauses import LONGEST, Clauses


def cut(text: str, size: int = 3) -> list[str]:
    clauses = Clauses()
    pieces: list[str] = []
    for start in range(0, len(text), size):
        pieces += clauses.feed(text[start : start + size])
    return pieces + clauses.flush()


def later(text: str) -> list[str]:
    """As `cut`, once the first piece of a reply is out of the way."""
    first, *pieces = cut("First piece. " + text)
    assert first == "First piece."
    return pieces


def test_the_first_clause_leaves_at_a_comma() -> None:
    assert cut("We are open, from nine to five on weekdays. Anything else?") == [
        "We are open,",
        "from nine to five on weekdays.",
        "Anything else?",
    ]


def test_one_word_and_a_comma_is_too_short_to_begin_with() -> None:
    assert cut("Yes, we are open.")[0] == "Yes, we are open."


def test_the_first_clause_leaves_after_six_words_where_a_phrase_begins() -> None:
    text = "There are three fast trains this afternoon from Utrecht to Amsterdam."
    assert cut(text)[0] == "There are three fast trains this afternoon"


def test_the_first_clause_never_leaves_after_an_article_or_a_preposition() -> None:
    assert cut("We open the doors every day at nine in the morning and close at five.")[0] == (
        "We open the doors every day"
    )
    assert cut("It is a very nice old house in the centre of it all.")[0] == "It is a very nice old house"


def test_a_word_that_may_yet_grow_begins_no_phrase() -> None:
    clauses = Clauses()
    assert clauses.feed("You may come here with me later to") == []
    assert clauses.feed("day. ") == ["You may come here with me later today."]


def test_a_number_is_not_torn_apart_to_leave_early() -> None:
    assert cut("The number for that is simply 555 12 34 in the daytime.")[0].startswith(
        "The number for that is simply 555 12 34"
    )


def test_after_the_first_only_whole_sentences_leave() -> None:
    assert later("From nine, to five, or so it says on the door of the shop. Good.") == [
        "From nine, to five, or so it says on the door of the shop.",
        "Good.",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Ask for Dr. Janssen at the desk.",
        "It costs 3.50 euros, or 1,000.25 for all.",
        "See www.example.com for more.",
        "We open at 9 a.m. and close late.",
        "Bring a passport, e.g. your own.",
        "J. R. R. Tolkien wrote it.",
        "Dat kost bijv. tien euro.",
        "Das gilt z.B. am Montag.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert later(sentence + " Good.") == [sentence, "Good."]


def test_a_sentence_ends_with_its_quotation_mark() -> None:
    assert later("He said “stop.” Then he left.") == ["He said “stop.”", "Then he left."]


def test_a_line_break_ends_a_sentence() -> None:
    assert later("Bread\nMilk\n") == ["Bread", "Milk"]


def test_a_sentence_without_an_end_is_said_all_the_same() -> None:
    assert all(len(piece) <= LONGEST + 1 for piece in later("word " * 200))


def test_a_sentence_leaves_when_the_next_character_proves_its_end() -> None:
    clauses = Clauses()
    assert clauses.feed("All right.") == []
    assert clauses.feed(" ") == ["All right."]


@given(st.text(alphabet="aB1 .,!?;:\n\"'()-é…。", max_size=700), st.integers(1, 20))
def test_no_character_is_lost_added_or_moved(text: str, size: int) -> None:
    pieces = cut(text, size)
    assert re.sub(r"\s", "", "".join(pieces)) == re.sub(r"\s", "", text)
    assert all(piece and piece == piece.strip() for piece in pieces)
