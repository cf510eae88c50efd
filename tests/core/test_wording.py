"""What the end of a transcript says about whether more will come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.expectation import ANYTHING, Expected, expectation
from sovereign_pbx.core.wording import Shape, shape


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("", "en", "unknown"),
        ("...", "en", "unknown"),
        ("Yes.", "en", "answer"),
        ("No thanks", "en", "answer"),
        ("stop", "en", "answer"),
        ("Nee, dank", "nl", "answer"),
        ("oké prima", "nl", "answer"),
        ("Ja, genau", "de", "answer"),
        ("Oui, d'accord", "fr", "answer"),
        ("Oui, d’accord", "fr", "answer"),
        ("Hello?", "en", "greeting"),
        ("Guten Tag", "de", "greeting"),
        ("I would like to book a table and", "en", "open"),
        ("I would like to", "en", "open"),
        ("My number is", "en", "open"),
        ("Mijn naam is", "nl", "open"),
        ("I was thinking,", "en", "open"),
        ("I was thinking…", "en", "open"),
        ("Ik wil graag een afspraak maken met", "nl", "open"),
        ("Ich möchte einen Termin und", "de-DE", "open"),
        ("Je voudrais parler avec", "fr", "open"),
        ("I'd like to come on", "en", "loose"),
        ("Dat weet ik niet, dat is", "nl", "loose"),
        ("Well, um", "en", "hesitation"),
        ("Ik wil graag, eh", "nl", "hesitation"),
        ("let me see", "en", "hesitation"),
        ("even kijken", "nl", "hesitation"),
        ("Tuesday, no wait", "en", "hesitation"),
        ("dinsdag, ik bedoel", "nl", "hesitation"),
        ("It's 020 555", "en", "digits"),
        ("zero two zero five", "en", "digits"),
        ("nul zes twee één", "nl", "digits"),
        ("null drei null", "de", "digits"),
        ("zéro six douze", "fr", "digits"),
        ("It's 020 555 12 34", "en", "plain"),
        ("at ten thirty", "en", "plain"),
        ("a table for two", "en", "plain"),
        ("twenty five", "en", "plain"),
        ("jan punt jansen", "nl", "plain"),
        ("jan punt jansen at", "nl", "spelling"),
        ("jan punt jansen apenstaartje gmail punt", "nl", "spelling"),
        ("jan.jansen@gmail.com", "nl", "complete"),
        ("jan punt jansen at gmail punt com", "nl", "complete"),
        ("max punkt muster klammeraffe web punkt de", "de", "complete"),
        ("marie tiret dupont arobase orange point fr", "fr", "complete"),
        ("J A N", "en", "spelling"),
        ("juliet alpha november", "en", "spelling"),
        ("I'm at home.", "en", "closed"),
        ("a table for two please", "en", "closed"),
        ("een tafel voor twee alstublieft", "nl", "closed"),
        ("What time do you open?", "en", "question"),
        ("I want to book a table.", "en", "closed"),
        ("I want to book a table", "en", "plain"),
        ("I want to book a table", "xx", "plain"),
    ],
)
def test_the_transcript_has_a_shape(text: str, language: str, expected: Shape) -> None:
    assert shape(text, language) == expected


@pytest.mark.parametrize(
    ("asked", "said", "expected"),
    [
        ("What is your phone number?", "020 555", "digits"),
        ("What is your phone number?", "020 555 12 3", "plain"),
        ("What is your phone number?", "020 555 1234", "complete"),
        ("What is your phone number?", "zero six double one", "digits"),
        ("Wat is uw telefoonnummer?", "nul twintig vijf vijf vijf twaalf vierendertig", "complete"),
        ("Wie lautet Ihre Telefonnummer?", "null drei null zwölf vierunddreißig", "digits"),
        ("Quel est votre numéro de téléphone ?", "zéro six douze trente-quatre", "digits"),
        ("What is your phone number?", "sure", "opening"),
        ("What is your phone number?", "no", "answer"),
        ("And your postcode?", "1012 AB", "complete"),
        ("And your postcode?", "één nul één twee AB", "complete"),
        ("And your postcode?", "SW1A 1AA", "complete"),
        ("Wie ist Ihre Postleitzahl?", "10115", "complete"),
        ("And your postcode?", "ten", "digits"),
        ("What are the last four digits?", "4512", "complete"),
        ("What are the last four digits?", "four five", "digits"),
        ("What is your date of birth?", "the fifth of", "open"),
        ("What is your date of birth?", "the fifth of March", "digits"),
        ("What is your date of birth?", "the fifth of March nineteen eighty", "complete"),
        ("What is your date of birth?", "12 3 1980", "complete"),
        ("What is your order number?", "four five", "digits"),
        ("What is your order number?", "A B four five one two", "plain"),
        ("Can you spell your name?", "J", "spelling"),
        ("How can I help you?", "Hello", "opening"),
        ("How can I help you?", "three", "digits"),
        ("How can I help you?", "yes", "answer"),
        ("Is that right?", "hello", "greeting"),
    ],
)
def test_what_was_asked_for_is_heard_in_it(asked: str, said: str, expected: Shape) -> None:
    assert shape(said, "en", expectation(asked)) == expected


@given(
    st.text(max_size=200), st.text(max_size=5), st.builds(Expected, st.just("number"), st.integers(0), st.integers(0))
)
def test_no_text_in_any_script_is_too_strange(text: str, language: str, expected: Expected) -> None:
    assert shape(text, language, expected)
    assert shape(text, language, ANYTHING)
