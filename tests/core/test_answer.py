"""What counts as a yes and as a no, in four languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.answer import verdict


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["Yes", "Yeah, sure.", "uh yes please", "No problem, put him through.", "Okay, go ahead.", "One."]),
        ("nl", ["Ja", "Ja hoor, verbind maar door.", "is goed", "doe maar", "Oké, geef maar.", "Eén."]),
        ("de", ["Ja, bitte.", "Gerne.", "Ja, stellen Sie durch.", "in ordnung", "Na klar!"]),
        ("fr", ["Oui.", "Oui, passez-le-moi.", "D’accord", "bien sûr, allez-y"]),
        ("sv", ["yes", "ja", "oui"]),
        ("", ["Doe maar.", "Na klar!", "Volontiers.", "Sure."]),
    ],
)
def test_a_yes_with_nothing_but_courtesy_is_a_yes(language: str, texts: list[str]) -> None:
    assert {text: verdict(text, language) for text in texts} == dict.fromkeys(texts, "yes")


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["No", "Nope.", "No thanks", "Sorry, I can't right now.", "not now", "I'm busy"]),
        ("nl", ["Nee", "Nee, ik heb nu geen tijd.", "Nu even niet.", "liever niet", "Later."]),
        ("de", ["Nein.", "Nein, gerade nicht.", "Das geht nicht."]),
        ("fr", ["Non merci", "Pas maintenant.", "Je ne peux pas"]),
    ],
)
def test_a_no_may_have_words_round_it(language: str, texts: list[str]) -> None:
    assert {text: verdict(text, language) for text in texts} == dict.fromkeys(texts, "no")


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["Who is it?", "Yes, who is it?", "Hello?", "What is it about?", "Could you repeat that?", "Sorry?"]),
        ("nl", ["Wie is het?", "Hallo?", "Waarover gaat het?", "Kunt u dat herhalen?", "Wat zegt u?"]),
        ("de", ["Wer ist da?", "Worum geht es?", "Noch einmal, bitte.", "Wie bitte?"]),
        ("fr", ["C'est qui ?", "C'est de la part de qui ?", "Pardon ?", "Vous pouvez répéter ?"]),
    ],
)
def test_a_question_asks_for_the_words_again(language: str, texts: list[str]) -> None:
    assert {text: verdict(text, language) for text in texts} == dict.fromkeys(texts, "what")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Yes, this is Anna speaking."),
        ("nl", "Ja, met Piet Jansen."),
        ("de", "Ja, hier Meier am Apparat."),
        ("en", "yes no"),
        ("en", "You have reached the sales department. No one can take your call, please leave a message."),
        ("nl", "Dit is de voicemail van Anna. Ik ben er nu niet, spreek een bericht in na de piep."),
        ("de", "Guten Tag, Sie sind verbunden mit dem Anschluss von Meier."),
        ("fr", "Oui bonjour, ici le secrétariat du docteur Martin."),
    ],
)
def test_what_may_be_a_mailbox_or_a_name_is_no_answer(language: str, text: str) -> None:
    assert verdict(text, language) == "unclear"


@pytest.mark.parametrize("text", ["", "Good morning.", "Goedemiddag", "Bonjour", "uh", "Thank you.", "[laughter]"])
def test_a_greeting_answers_nothing(text: str) -> None:
    assert verdict(text, "") == "nothing"


@given(st.text(max_size=80), st.sampled_from(["en", "nl", "de", "fr", "", "x-y"]))
def test_any_text_has_a_verdict(text: str, language: str) -> None:
    assert verdict(text, language) in ("yes", "no", "what", "unclear", "nothing")
