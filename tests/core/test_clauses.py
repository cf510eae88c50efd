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


@pytest.mark.parametrize(
    ("text", "first"),
    [
        # English
        ("Yes, yes, I can do that for you.", "Yes, yes, I can do that for you."),
        ("Of course, I will look that up for you.", "Of course,"),
        ("We are open, from nine to five.", "We are open,"),
        ("That costs 12.50 euros, if you come today.", "That costs 12.50 euros,"),
        ("It costs 1,250.00 in all, so to say.", "It costs 1,250.00 in all,"),
        ("Mail us at info@example.com, or call.", "Mail us at info@example.com,"),
        ("We open at 9 a.m. on weekdays, as always.", "We open at 9 a.m. on weekdays,"),
        ("Bring a passport, e.g. your own.", "Bring a passport,"),
        ("The number is 020 7946 0958, again.", "The number is 020 7946 0958,"),
        # Dutch
        ("Ja, hoor, dat kan ik voor u doen.", "Ja, hoor, dat kan ik voor u doen."),
        ("Ja, natuurlijk, dat kan.", "Ja, natuurlijk,"),
        ("Goedemorgen mevrouw, waarmee kan ik u helpen?", "Goedemorgen mevrouw,"),
        ("Dat kost € 12,50 per stuk, incl. btw.", "Dat kost € 12,50 per stuk,"),
        (
            "Wij zijn vandaag open van 9.30 tot 17.00 uur, en morgen ook.",
            "Wij zijn vandaag open van 9.30 tot 17.00 uur,",
        ),
        ("Vraag naar dhr. Jansen bij de balie beneden.", "Vraag naar dhr. Jansen bij de balie beneden."),
        # German
        ("Ja, gut, das mache ich.", "Ja, gut, das mache ich."),
        ("Guten Morgen Frau Meier, wie kann ich helfen?", "Guten Morgen Frau Meier,"),
        ("Wir haben am 20. November geschlossen, leider.", "Wir haben am 20. November geschlossen,"),
        ("Das gilt z. B. am Montag, immer.", "Das gilt z. B. am Montag,"),
        ("Das sind ca. 12,50 Euro inkl. MwSt. und Versand.", "Das sind ca. 12,50 Euro inkl. MwSt. und Versand."),
        # French
        ("Oui, bon, je regarde cela.", "Oui, bon, je regarde cela."),
        ("Bien sûr madame, je regarde cela.", "Bien sûr madame,"),
        ("C'est chez M. Dupont au 2e étage.", "C'est chez M. Dupont au 2e étage."),
        ("Le train part à 14h30, comme toujours.", "Le train part à 14h30,"),
        ("Cela coûte 1 250,00 € en tout, je crois.", "Cela coûte 1 250,00 € en tout,"),
        # audio tags
        ("[excited, fast] Yes of course, I can.", "[excited, fast] Yes of course,"),
        ("[a little more excited, fast] Yes of course, I can.", "[a little more excited, fast] Yes of course,"),
        ("[laughs] Yes, yes, I can.", "[laughs] Yes, yes, I can."),
    ],
)
def test_the_first_piece_is_long_enough_for_the_next_to_be_ready_and_cuts_nothing(text: str, first: str) -> None:
    for size in (1, 4, len(text)):
        assert cut(text, size)[0] == first


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The answer is no. We are closed.", ["The answer is no.", "We are closed."]),
        ("Ask in room no. 12 please. Thanks.", ["Ask in room no. 12 please.", "Thanks."]),
        ("We sell bread, etc. You can come by.", ["We sell bread, etc.", "You can come by."]),
        ("We close at 6 p.m. today. Bye.", ["We close at 6 p.m. today.", "Bye."]),
        ("We close at 6 p.m. Then we clean.", ["We close at 6 p.m.", "Then we clean."]),
        ("Brood, kaas enz. vindt u daar. Dag.", ["Brood, kaas enz. vindt u daar.", "Dag."]),
        ("Das kostet ca. 5 Euro, d. h. wenig. Gut.", ["Das kostet ca. 5 Euro, d. h. wenig.", "Gut."]),
        ("C'est p. ex. Mme Durand. Merci.", ["C'est p. ex. Mme Durand.", "Merci."]),
        ("See https://www.example.com/a.b?c=d. It helps.", ["See https://www.example.com/a.b?c=d.", "It helps."]),
        ("Kom om 14.30 uur. Tot dan.", ["Kom om 14.30 uur.", "Tot dan."]),
    ],
)
def test_a_sentence_ends_where_it_ends(text: str, pieces: list[str]) -> None:
    assert later(text) == pieces


def test_a_very_long_list_of_figures_is_not_torn_within_a_number() -> None:
    pieces = later("word " * 50 + "bel 06 12 34 56 78 90 12 34 56 78 90 12 34 56 78 90 12 34 56 " + "of later " * 20)
    assert any("06 12 34 56 78 90 12 34 56 78 90 12 34 56 78 90 12 34 56" in piece for piece in pieces)
