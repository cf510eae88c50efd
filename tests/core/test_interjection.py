"""What words said over the assistant are for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.interjection import Kind, answers, echoes, kind, words


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["mm-hm", "Mhm.", "Uh-huh", "hmm", "yeah", "Yeah, okay.", "okaaay", "right", "oh", "I see.", "hahaha"]),
        ("nl", ["ja", "ja ja", "Hm.", "is goed", "oké", "precies", "dank je wel", "klopt", "Ja, dat klopt."]),
        ("de", ["ja", "genau", "Mhm", "alles klar", "ach so", "na klar", "stimmt"]),
        ("fr", ["oui", "Ouais.", "d’accord", "C'est ça", "très bien", "mm", "pas de problème"]),
    ],
)
def test_assent_and_hums_are_backchannels(language: str, texts: list[str]) -> None:
    assert {text: kind(text, language) for text in texts} == dict.fromkeys(texts, "backchannel")


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["stop", "Wait!", "no", "No, no, no.", "hold on", "Sorry?", "oh wait", "okay stop", "excuse me"]),
        ("nl", ["wacht", "nee", "Wacht even", "stop maar", "sorry", "ja nee", "een moment"]),
        ("de", ["Halt!", "stopp", "nein danke", "Warten Sie bitte", "Moment mal", "Entschuldigung"]),
        ("fr", ["attendez", "Non.", "arrêtez", "excusez-moi", "euh attendez", "un instant"]),
    ],
)
def test_orders_are_commands_even_behind_a_hum(language: str, texts: list[str]) -> None:
    assert {text: kind(text, language) for text in texts} == dict.fromkeys(texts, "command")


@pytest.mark.parametrize(
    "text", ["yeah but on Sunday", "I want bread", "right so I", "what time is it", "Ada Lovelace"]
)
def test_anything_else_is_something_to_say(text: str) -> None:
    assert kind(text, "en") == "other"


@pytest.mark.parametrize("text", ["M G C P", "N.B.S.", "PM", "TV"])
def test_letters_are_words(text: str) -> None:
    assert kind(text, "en") == "other"


@pytest.mark.parametrize("text", ["BHHHHHHH", "Ha ha!", "pfff", "brrr"])
def test_noises_of_the_mouth_are_none(text: str) -> None:
    assert kind(text, "en") == "backchannel"


@pytest.mark.parametrize("text", ["", "...", "[laughter]", "(coughs)", "*music*", "[BLANK_AUDIO]"])
def test_what_recognisers_write_for_sounds_is_no_word(text: str) -> None:
    assert kind(text, "en") == "sound"


def test_no_problem_is_assent_though_no_is_an_order() -> None:
    assert kind("No problem.", "en") == "backchannel"
    assert kind("geen probleem", "nl") == "backchannel"


def test_the_words_of_another_language_are_no_assent() -> None:
    assert kind("genau", "en") == "other"


def test_where_the_language_is_not_known_all_words_count() -> None:
    assert [kind(text, "multi") for text in ("genau", "oui", "wacht")] == ["backchannel", "backchannel", "command"]


@given(st.text(max_size=60), st.sampled_from(["en", "nl", "de", "fr", "xx", ""]))
def test_any_text_is_of_some_kind(text: str, language: str) -> None:
    kinds: tuple[Kind, ...] = ("sound", "backchannel", "command", "other")
    assert kind(text, language) in kinds


@pytest.mark.parametrize(
    ("heard", "ahead", "answer"),
    [
        ("Shall I book it?", "", True),
        ("Shall I book it? There is one", "table left.", True),
        ("Shall I book it? There is one table left by the window", "and two outside.", False),
        ("We close at nine. On Saturday", "we close at four.", False),
        ("Is it for", "four people?", True),
        ("Is it for", "four people or more than that?", False),
        ("", "Is it?", False),
        ("We close at nine.", "Is it?", False),
    ],
)
def test_assent_answers_a_question_that_has_just_been_understood(heard: str, ahead: str, answer: bool) -> None:
    assert answers(heard, ahead) is answer


SENTENCE = "we are open every weekday from nine in the morning until six"


@pytest.mark.parametrize("text", ["from nine in the morning", "From 9 in the morning until six".replace("9", "nine")])
def test_the_assistants_own_last_words_are_an_echo(text: str) -> None:
    assert echoes(text, SENTENCE)


def test_an_echo_may_have_lost_a_word() -> None:
    assert echoes("weekday nine in the morning", SENTENCE)


@pytest.mark.parametrize("text", ["", "and on saturday", "stop", "the six nine every"])
def test_other_words_are_no_echo(text: str) -> None:
    assert not echoes(text, SENTENCE)


def test_words_said_long_ago_are_no_echo() -> None:
    assert not echoes("we are open", f"{SENTENCE} and on saturday we close at four because of the market")


def test_stretched_words_are_the_words_that_they_stretch() -> None:
    assert words("Noooo, waaait") == ["no", "wait"]
