"""What is said for what is written: tables of four languages, and what holds for every text."""

import string
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.spoken import Pronunciation, lexicon_of, say
from sovereign_pbx.core.spoken.guess import guess

LANGUAGES = ("nl", "en", "de", "fr")


def rows() -> list[tuple[str, str, str]]:
    found = []
    for language in LANGUAGES:
        for line in (Path(__file__).parent / f"{language}.txt").read_text().splitlines():
            written, _, spoken = line.partition(" | ")
            found.append((language, written, spoken))
    return found


def spoken(text: str, language: str = "en", *, full: bool = True) -> str:
    return say(text, lexicon_of(language), full=full).text


@pytest.mark.parametrize(("language", "written", "wanted"), rows())
def test_each_line_of_the_tables_is_said_so(language: str, written: str, wanted: str) -> None:
    assert spoken(written, language) == wanted


def test_each_table_has_sixty_lines() -> None:
    assert all(sum(row[0] == language for row in rows()) >= 60 for language in LANGUAGES)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("Mail info@example.nl of bel 06 12 34 56 78.", "Mail info apenstaartje example punt N L of bel nul zes,"),
        ("Op 20-11-2026 kost het €12,50 bijv.", "Op 20-11-2026 kost het €12,50 bijv."),
    ],
)
def test_a_voice_that_reads_numbers_gets_only_addresses_in_words(written: str, wanted: str) -> None:
    assert spoken(written, "nl", full=False).startswith(wanted)


def test_a_language_without_rules_is_left_as_it_is() -> None:
    assert lexicon_of("pl") is None
    assert spoken("To kosztuje €12,50.", "pl") == "To kosztuje €12,50."


def test_american_dates_have_the_month_first() -> None:
    assert spoken("Due 11/20/2026.", "en-US") == "Due November twentieth, twenty twenty-six."
    assert spoken("Due 03/04/2026.", "en-US") == "Due March fourth, twenty twenty-six."
    assert spoken("Due 03/04/2026.", "en-GB") == "Due the third of April twenty twenty-six."


# what holds for every text

SPLINTERS = """
hello Jan € €5 5€ 12,50 12.50 1.250 1,250 -3 3% 5 km m² 9:05 14.30 uur 20-11-2026 2026-11-20 20. November 1e 2nd + & =
06-12345678 +31 (0)20 0800 example.nl info@example.nl https://x.nl/a?b etc. e.g. bijv. z.B. / [laughs] 1.2.3 NL91 ABNA
0417 1643 00 a.m. 9 p.m. 007 1-2 2–3 \ue000 ½ ² · 99999999999999999999 0 1 h Uhr der 2. im
"""
PIECES = st.sampled_from(SPLINTERS.split())
MIXED = st.lists(st.tuples(PIECES, st.sampled_from([" ", " ", " ", "", ", ", ". ", "\n"])), max_size=25).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)
TEXTS = st.one_of(MIXED, st.text(max_size=120))


@settings(max_examples=300)
@given(TEXTS, st.sampled_from(LANGUAGES), st.booleans())
def test_nothing_makes_it_raise_and_each_word_knows_where_it_comes_from(text: str, language: str, full: bool) -> None:
    form = say(text, lexicon_of(language), full=full)
    assert len(form.written) == len(form.text.split())
    assert list(form.written) == sorted(form.written)
    assert all(0 <= place < max(1, len(text.split())) for place in form.written)


@settings(max_examples=300)
@given(TEXTS, st.sampled_from(LANGUAGES))
def test_what_is_said_is_said_so_again(text: str, language: str) -> None:
    once = spoken(text, language)
    assert spoken(once, language) == once


PLAIN = st.lists(st.text(string.ascii_lowercase, min_size=3, max_size=9), min_size=1, max_size=12)
SHORT = {"bzw", "min", "sec", "rdv", "svp", "qqn", "mln", "mld", "asap", "qqch", "mme", "mmes", "mlle", "ttc"}


@given(PLAIN, PIECES, st.sampled_from(LANGUAGES))
def test_no_plain_word_is_ever_lost(words: list[str], piece: str, language: str) -> None:
    words = [word for word in words if word not in SHORT]
    said = spoken(" ".join([*words, piece]), language).split()
    assert said[: len(words)] == words


@pytest.mark.parametrize(
    "unit",
    ["1", "1 ", "1.", "a.", "+1", "0-", "a@", "www.", "http://", "[", "[a ", "(0123)", "€1,", "1 nov ", "der 1. "],
)
def test_a_hundred_thousand_hostile_characters_take_no_more_than_their_share(unit: str) -> None:
    lexicon = lexicon_of("de")
    spent = []
    for size in (12_500, 100_000):
        text = unit * (size // len(unit))
        began = time.process_time()
        say(text, lexicon)
        spent.append(time.process_time() - began)
    # eight times the text; quadratic would be sixty-four times the time
    assert spent[1] < 24 * spent[0] + 0.1


# which language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Dat kost 12,50 euro en het is voor u.", "nl"),
        ("That is the price, and we will call you.", "en"),
        ("Das ist der Preis und wir rufen Sie an.", "de"),
        ("C'est le prix et nous vous appelons.", "fr"),
        ("Okay.", ""),
        ("", ""),
    ],
)
def test_the_language_of_a_sentence_is_guessed_only_where_it_can_be_told(text: str, language: str) -> None:
    assert guess(text) == language


# pronunciation lists


def said(text: str, *entries: tuple[str, str]) -> str:
    return say(text, lexicon_of("en"), pronunciation=Pronunciation(entries)).text


@pytest.mark.parametrize(
    ("entries", "written", "wanted"),
    [
        ([("SIP", "sip")], "SIP is not a sip.", "sip is not a sip."),
        ([("IT", "I T")], "IT is it.", "I T is it."),
        ([("sql", "sequel")], "SQL, Sql and sql.", "sequel, sequel and sequel."),
        ([("cat", "dog")], "A cat, a category.", "A dog, a category."),
        ([("New York", "Noo York")], "In New  York now.", "In Noo York now."),
        ([("New", "x"), ("New York", "y")], "New York, New!", "y, x!"),
        ([("um", "")], "Well um yes.", "Well yes."),
        ([("um", "")], "Well um.", "Well."),
        ([("Jan", "Jan Jansen")], "Jan", "Jan Jansen"),
        ([("a", "b"), ("b", "a")], "a b", "b a"),
        ([("Dr.", "Docteur")], "Dr. Who", "Docteur Who"),
        ([("5G", "five gee"), ("x", "12")], "5G x", "five gee 12"),
        ([("C++", "C plus plus")], "Use C++ here.", "Use C plus plus here."),
        ([("example", "ex")], "An example at example.com.", "An ex at example dot com."),
        ([("$", "s")], "A $ sign", "A s sign"),
    ],
)
def test_the_list_is_applied_to_whole_words(entries: list[tuple[str, str]], written: str, wanted: str) -> None:
    assert said(written, *entries) == wanted


@given(TEXTS, st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=12)), max_size=8))
def test_no_list_makes_it_raise(text: str, entries: list[tuple[str, str]]) -> None:
    form = say(text, lexicon_of("nl"), pronunciation=Pronunciation(entries))
    assert len(form.written) == len(form.text.split())
