"""Whole conversations about when the caller's turn ends: numbers, addresses, hesitant and quick callers, languages."""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, TurnTaking
from tests.core.scripted import WORD_S, Delays, Stage


def asked(
    question: str, *, language: str = "en", delays: Delays | None = None, limits: TurnTaking | None = None
) -> Stage:
    """A call whose greeting is the question, heard to its end."""
    plan = Plan(first_message=question, language=language, turn_taking=limits or TurnTaking())
    stage = Stage(plan, lambda think: ["All right then."], delays=delays)
    stage.at(0, e.Answered())
    return stage.run(WORD_S * len(question.split()) + 0.1)


def turns(stage: Stage) -> list[tuple[float, str]]:
    """When the model was asked, and about which words."""
    return [(time, think.messages[-1].content) for time, think in stage.log if isinstance(think, c.Think)]


def decided(stage: Stage) -> list[dict[str, object]]:
    return [note.values for _, note in stage.log if isinstance(note, c.Note) and note.name == "turn_decided"]


def waits(stage: Stage, text: str, **options: object) -> float:
    """Seconds from the end of `text` to the question that it makes to the model."""
    before = len(turns(stage))
    end = stage.says(stage.now + 0.5, text, **options)  # type: ignore[arg-type]  # passed on as they are
    stage.run(end + 6)
    assert len(turns(stage)) == before + 1, turns(stage)
    return turns(stage)[-1][0] - end


def test_a_telephone_number_in_groups_is_one_turn() -> None:
    stage = asked("What is your phone number?")
    waits(stage, "zero two zero [0.8] five five five [0.9] one two [0.7] three four", score=0.9)
    assert turns(stage)[0][1] == "zero two zero five five five one two three four"


def test_a_number_that_is_complete_ends_early_and_one_that_is_not_does_not() -> None:
    number = "zero two zero five five five one two three four"
    whole = waits(asked("What is your phone number?"), number, score=0.5)
    part = waits(asked("What is your phone number?"), " ".join(number.split()[:6]), score=0.5)
    assert whole <= 0.5
    assert part > 1.5


@pytest.mark.parametrize(
    ("question", "language", "number"),
    [
        ("Wat is uw telefoonnummer?", "nl", "nul twintig [0.8] vijf vijf vijf [0.8] twaalf vierendertig"),
        ("Wie lautet Ihre Telefonnummer?", "de", "null drei null [0.9] fünfundfünfzig zwölf [0.7] vier vier sieben"),
        ("Quel est votre numéro de téléphone ?", "fr", "zéro six [0.8] douze trente-quatre [0.8] zéro neuf huit sept"),
    ],
)
def test_numbers_are_dictated_in_every_language(question: str, language: str, number: str) -> None:
    stage = asked(question, language=language)
    assert waits(stage, number, score=0.8) <= 0.6


def test_an_address_being_spelt_is_one_turn_and_ends_early_when_it_is_whole() -> None:
    stage = asked("Wat is uw e-mailadres?", language="nl")
    wait = waits(stage, "jan punt [0.8] jansen [0.6] apenstaartje [1.0] gmail punt [0.7] com", score=0.7)
    assert turns(stage)[0][1] == "jan punt jansen apenstaartje gmail punt com"
    assert wait <= 0.5


def test_letters_being_spelt_are_waited_for() -> None:
    stage = asked("Can you spell your name?")
    waits(stage, "J [0.8] A [0.9] N S [0.8] E N", score=0.5)
    assert turns(stage)[0][1] == "J A N S E N"


def test_who_says_sure_before_his_number_is_not_talked_over() -> None:
    stage = asked("What is your phone number?")
    waits(stage, "sure [0.9] zero two zero five five five one two three four", score=0.6)


def test_who_says_hello_before_his_question_is_not_talked_over() -> None:
    stage = asked("Good morning, how can I help you?")
    waits(stage, "hello [0.7] what time do you open on Sunday", score=0.6)


@pytest.mark.parametrize("score", [0.05, 0.5, 0.95])
def test_a_yes_to_a_yes_or_no_question_ends_with_its_final_text(score: float) -> None:
    limits = TurnTaking(endpointing_min_delay=0.1)
    assert waits(asked("Shall I book that for you?", limits=limits), "yes", score=score) <= 0.25


@pytest.mark.parametrize(("language", "word"), [("en", "yes"), ("nl", "ja"), ("de", "nein"), ("fr", "oui")])
def test_short_answers_are_quick_in_every_language(language: str, word: str) -> None:
    limits = TurnTaking(endpointing_min_delay=0.1)
    assert waits(asked("Okay?", language=language, limits=limits), word, score=0.3) <= 0.25


def test_a_hesitant_caller_is_given_more_time_as_the_call_goes_on() -> None:
    def wait(pause: str) -> float:
        stage = asked("What colour would you like?")
        waits(stage, f"I was looking for {pause} the one in the {pause} window or the {pause} other one", score=0.2)
        return waits(stage, "maybe the green bicycle with lights", score=0.7)

    assert wait("[1.3]") > wait("[0.25]") + 0.1


def test_a_caller_who_was_cut_off_is_given_more_time() -> None:
    stage = asked("What colour would you like?")
    for _ in range(2):
        end = stage.says(stage.now + 0.5, "I would like to have the green bicycle over there", score=0.95)
        again = stage.says(end + 0.9, "the one with the lights and bell I saw", score=0.95)
        stage.run(again + 4)
    assert stage.notes().count("turn_cut_off") == 2
    assert decided(stage)[-1]["pause"] == pytest.approx(0.9)


def test_a_turn_that_was_ended_too_early_is_one_message_in_the_history() -> None:
    stage = asked("What colour would you like?")
    end = stage.says(stage.now + 0.5, "I would like to have the green bicycle over there", score=0.95)
    stage.says(end + 0.6, "with lights", score=0.95)
    stage.run(15)
    assert [line for line in stage.transcript() if line.startswith("user")] == [
        "user: I would like to have the green bicycle over there with lights"
    ]


@pytest.mark.parametrize("text", ["what time do you open", "I would like to book a table", "yes", "zero two zero"])
@pytest.mark.parametrize("delays", [Delays(score=60), Delays(score=0.45), Delays(final=None), Delays(interim=0.9)])
def test_every_turn_ends_whoever_is_late_or_silent(text: str, delays: Delays) -> None:
    stage = asked("How can I help you?", delays=delays)
    assert waits(stage, text) <= 2.0 + 1.0


def test_a_turn_model_that_refuses_every_question_costs_no_turn() -> None:
    stage = asked("How can I help you?", delays=Delays(score=1e6))
    assert waits(stage, "I would like to book a table for four people please") < 1.2
    assert decided(stage)[0]["scores"] == []


@pytest.mark.parametrize("words", ["a table for two and", "well um", "my number is"])
def test_no_silence_is_longer_than_the_longest_delay(words: str) -> None:
    assert waits(asked("How can I help you?"), words, score=0.01) == pytest.approx(2.0)


def test_background_talk_does_not_hold_the_turn_open_once_the_words_have_stopped() -> None:
    stage = asked("How can I help you?")
    end = stage.says(stage.now + 0.5, "what time do you open tomorrow?", vad=False)
    stage.at(stage.now + 0.58, e.SpeechStarted(stage.now + 0.5))
    stage.run(end + 3)
    assert turns(stage)[0][0] - end <= 1.7


def test_sounds_that_come_and_go_do_not_hold_the_turn_open() -> None:
    """A television: the voice detector starts anew each half second, the recogniser has no word for it."""
    stage = asked("How can I help you?")
    end = stage.says(stage.now + 0.5, "I would like to book a table and", score=0.9)
    for number in range(20):
        stage.noise(end + 0.4 + 0.5 * number, 0.35, reported=False)
    stage.run(end + 12)
    assert turns(stage)
    assert turns(stage)[0][0] - end <= 4.0


def test_why_the_turn_ended_is_on_record_without_his_words() -> None:
    stage = asked("What is your phone number?")
    waits(stage, "my number is zero two zero five five five one two three four", score=0.9)
    (why,) = decided(stage)
    assert why["shape"] == "complete"
    assert why["expected"] == "number"
    assert why["because"] == "sure"
    assert why["scores"] == [[0.2, 0.9]]
    assert "five" not in str(why)
    assert set(why["weights"]) == {"words", "sound"}  # type: ignore[call-overload]  # a dict


@pytest.mark.parametrize(
    ("text", "score", "because"),
    [
        ("what time do you open?", 0.95, "sure"),
        ("I would like to book a table", 0.3, "weighed"),
        ("I would like to book a table and", 0.1, "longest"),
    ],
)
def test_the_record_says_in_a_word_why_the_turn_ended_when_it_did(text: str, score: float, because: str) -> None:
    stage = asked("How can I help you?")
    waits(stage, text, score=score)
    assert decided(stage)[0]["because"] == because


def test_a_late_final_text_is_named_as_what_was_waited_for() -> None:
    stage = asked("How can I help you?", delays=Delays(final=0.9))
    waits(stage, "what time do you open?")
    assert decided(stage)[0]["because"] == "final_late"


def test_a_final_text_that_never_comes_is_named() -> None:
    stage = asked("How can I help you?", delays=Delays(final=None))
    waits(stage, "what time do you open?")
    assert decided(stage)[0]["because"] == "final_overdue"


def test_no_further_text_is_waited_for_when_the_voice_detector_falls_silent_long_after_the_words() -> None:
    """Music behind the caller: the recogniser has finalised all of it before the detector hears a silence."""
    stage = asked("How can I help you?")
    begin = stage.now + 0.5
    end = stage.says(begin, "what time do you open tomorrow?", vad=False)
    stage.at(begin + 0.08, e.SpeechStarted(begin))
    stage.at(end + 0.7, e.SpeechStopped(end + 0.5))
    stage.run(end + 6)
    assert turns(stage)[0][0] == pytest.approx(end + 0.5 + 0.4)


def test_what_is_added_after_a_cut_off_is_judged_with_what_went_before() -> None:
    stage = asked("How can I help you?")
    end = stage.says(stage.now + 0.5, "I would like to have the green bicycle over there", score=0.95)
    again = stage.says(end + 0.6, "with lights", score=0.95)
    stage.run(again + 6)
    assert decided(stage)[-1]["shape"] == "plain"
    assert turns(stage)[-1][0] - again < 0.6
