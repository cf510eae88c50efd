"""What the assistant's last words asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.expectation import ANYTHING, Kind, expectation


@pytest.mark.parametrize(
    ("heard", "kind"),
    [
        ("Good morning, how can I help you?", "open"),
        ("What can I do for you?", "open"),
        ("Could you tell me what happened?", "open"),
        ("Waarmee kan ik u helpen?", "open"),
        ("Wie kann ich Ihnen helfen?", "open"),
        ("Comment puis-je vous aider ?", "open"),
        ("Is that right?", "yes_no"),
        ("So that is zero two zero five five five. Is that right?", "yes_no"),
        ("Would you like anything else?", "yes_no"),
        ("Shall I book that for you?", "yes_no"),
        ("Do you have an order number?", "yes_no"),
        ("Klopt dat?", "yes_no"),
        ("Wilt u nog iets anders weten?", "yes_no"),
        ("Haben Sie eine Kundennummer?", "yes_no"),
        ("Ist das richtig?", "yes_no"),
        ("C'est exact ?", "yes_no"),
        ("Would you like a table inside or outside?", "fact"),
        ("For how many people?", "fact"),
        ("Voor hoeveel personen?", "fact"),
        ("What is your telephone number?", "number"),
        ("Can I have your phone number please?", "number"),
        ("Which number can we reach you on?", "number"),
        ("Sure. Please tell me your phone number.", "number"),
        ("Wat is uw telefoonnummer?", "number"),
        ("Wie lautet Ihre Telefonnummer?", "number"),
        ("Quel est votre numéro de téléphone ?", "number"),
        ("And your postcode?", "number"),
        ("Mag ik uw postcode en huisnummer?", "number"),
        ("What is your order number?", "number"),
        ("Ik heb uw bestelnummer nodig.", "number"),
        ("May I have the IBAN?", "number"),
        ("And the last four digits of your card?", "number"),
        ("Could you give me your date of birth?", "date"),
        ("Wat is uw geboortedatum?", "date"),
        ("Wann sind Sie geboren?", "date"),
        ("Quelle est votre date de naissance ?", "date"),
        ("Can you spell your name?", "spelling"),
        ("Könnten Sie das bitte buchstabieren?", "spelling"),
        ("Pouvez-vous épeler votre nom ?", "spelling"),
        ("What's your e-mail address?", "email"),
        ("Kunt u uw e-mailadres spellen?", "email"),
        ("We open at nine.", "anything"),
        ("Your order number is four five one two.", "anything"),
        ("I'll look that up. One moment.", "anything"),
        ("", "anything"),
    ],
)
def test_the_last_question_is_understood(heard: str, kind: Kind) -> None:
    assert expectation(heard).kind == kind


def test_the_last_question_counts_and_not_the_one_before() -> None:
    assert expectation("What is your phone number? Sorry, what is your e-mail address?").kind == "email"


def test_four_digits_of_a_card_are_not_a_whole_card_number() -> None:
    assert expectation("What are the last four digits of your credit card?").usual == 4


@given(st.text(max_size=1000))
def test_no_words_of_a_model_are_too_strange(heard: str) -> None:
    assert expectation(heard).least >= 0


def test_a_long_answer_without_a_question_asks_for_nothing() -> None:
    assert expectation("We are open from nine to five on weekdays. " * 50) == ANYTHING
