"""Silence, keys and time: what happens when the caller does not speak."""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.moves.ending import CHECK_IN
from sovereign_pbx.core.plan import Phrases, Plan, SilencePlan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message
from tests.core.scripted import Stage

SCRIPTED = SilencePlan(messages=("Are you still there?", "Hello?"), final_message="I will hang up now.")


def called(plan: Plan) -> Stage:
    stage = Stage(plan, lambda think: ["Of course."])
    stage.at(0, e.Answered())
    return stage


def test_a_silent_caller_is_asked_twice_and_then_taken_leave_of() -> None:
    stage = called(Plan(silence=SCRIPTED)).run(60)
    spoken = stage.commands(c.Speak)
    assert stage.spoken() == ["Are you still there?", "Hello?", "I will hang up now."]
    first_end = 3 + 0.15 + 1.2
    assert [time for time, _ in spoken] == pytest.approx([3, first_end + 12, first_end + 12 + 0.15 + 0.3 + 12])
    assert stage.log[-1][1] == c.HangUp("silence_timeout")


def test_silence_is_counted_from_the_end_of_the_greeting() -> None:
    stage = called(Plan(first_message="Hello, this is the bakery.", silence=SCRIPTED)).run(10)
    assert stage.commands(c.Speak)[1][0] == pytest.approx(1.5 + 3)


def test_without_configured_words_the_model_finds_them() -> None:
    stage = called(Plan(silence=SilencePlan())).run(5)
    (_, think) = stage.commands(c.Think)[0]
    assert isinstance(think, c.Think)
    assert think.messages == (Message("system", CHECK_IN),)
    assert stage.transcript() == ["assistant: Of course."]


def test_what_the_caller_says_starts_the_count_again() -> None:
    stage = called(Plan(silence=SCRIPTED))
    stage.says(6, "I am still looking")
    stage.run(60)
    assert stage.spoken()[:3] == ["Are you still there?", "Of course.", "Are you still there?"]


def test_a_noise_does_not_start_the_count_again() -> None:
    stage = called(Plan(silence=SCRIPTED))
    stage.noise(6, 0.4)
    stage.run(60)
    assert stage.spoken() == ["Are you still there?", "Hello?", "I will hang up now."]


def test_a_caller_who_is_speaking_is_not_asked_whether_he_is_there() -> None:
    stage = called(Plan(silence=SCRIPTED))
    stage.says(2.9, "I am looking for the number of my order it must be here somewhere")
    stage.run(7)
    assert stage.spoken() == []


def test_without_a_plan_silence_is_nobodys_business() -> None:
    assert called(Plan()).run(600).log == []


@pytest.mark.parametrize("words", ["I am here", "yes yes", "yes"])
def test_a_prompt_can_be_answered_over_with_whatever_shows_that_he_is_there(words: str) -> None:
    stage = called(Plan(silence=SCRIPTED))
    stage.says(3.4, words)
    stage.run(8)
    assert stage.transcript()[1:] == [f"user: {words}", "assistant: Of course."]


# the length of the call


def test_a_call_ends_at_its_limit_with_a_goodbye() -> None:
    stage = called(Plan(max_duration=10, phrases=Phrases(goodbye="Time is up."))).run(20)
    assert stage.log[-1] == (pytest.approx(10 + 0.9), c.HangUp("max_duration"))  # type: ignore[comparison-overlap]  # approx compares
    assert stage.spoken() == ["Time is up."]


def test_a_call_ends_at_its_limit_without_one() -> None:
    assert called(Plan(max_duration=10)).run(20).log[-1] == (10, c.HangUp("max_duration"))


def test_the_limit_cuts_what_is_being_said() -> None:
    stage = called(Plan(max_duration=2, first_message="Welcome to this very long greeting of ours, dear caller."))
    stage.run(20)
    assert stage.conversation.history[0].interrupted
    assert stage.log[-1][1] == c.HangUp("max_duration")


# words that end the call


def test_a_phrase_of_farewell_ends_the_call_when_it_has_been_heard() -> None:
    stage = Stage(Plan(end_call_phrases=("have a nice day",)), lambda think: ["Thank you. Have a nice day!"])
    stage.at(0, e.Answered())
    stage.says(1, "that was all")
    stage.run(20)
    ended = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert stage.log[-1] == (pytest.approx(ended), c.HangUp("assistant_hangup"))  # type: ignore[comparison-overlap]  # approx compares


def test_a_phrase_of_farewell_that_was_not_heard_does_not_end_the_call() -> None:
    stage = Stage(Plan(end_call_phrases=("have a nice day",)), lambda think: ["Thank you. Have a nice day!"])
    stage.at(0, e.Answered())
    stage.says(1, "that was all")
    stage.says(3.4, "wait there is more")
    stage.run(5)
    assert stage.conversation.state is not State.ENDED


def test_part_of_a_word_is_no_farewell() -> None:
    stage = Stage(Plan(end_call_phrases=("bye",)), lambda think: ["The byelaws are online."])
    stage.at(0, e.Answered())
    stage.says(1, "where are the rules?")
    assert stage.run(20).conversation.state is State.QUIET


# keys


def asked(stage: Stage) -> list[str]:
    return [think.messages[-1].content for _, think in stage.log if isinstance(think, c.Think)]


def pressed(stage: Stage, time: float, digits: str) -> None:
    for digit in digits:
        stage.at(time, e.DigitPressed(digit))
        time += 0.3


def test_keys_up_to_the_hash_are_one_message() -> None:
    stage = called(Plan())
    pressed(stage, 1, "123#")
    stage.run(10)
    assert asked(stage) == ["DTMF: 123"]
    assert stage.commands(c.Think)[0][0] == pytest.approx(1.9)


def test_keys_without_a_hash_are_complete_after_a_pause() -> None:
    stage = called(Plan())
    pressed(stage, 1, "4*")
    stage.run(10)
    assert asked(stage) == ["DTMF: 4*"]
    assert stage.commands(c.Think)[0][0] == pytest.approx(1.3 + 2)


def test_a_hash_alone_is_an_answer_too() -> None:
    stage = called(Plan())
    pressed(stage, 1, "#")
    assert asked(stage.run(5)) == ["DTMF: #"]


def test_keys_interrupt_the_assistant() -> None:
    stage = called(Plan(first_message="For sales press one, for the bakery press two, for all else stay on the line."))
    pressed(stage, 2, "1#")
    stage.run(10)
    assert stage.conversation.history[0].interrupted
    assert asked(stage) == ["DTMF: 1"]
    (_, think) = stage.commands(c.Think)[0]
    assert isinstance(think, c.Think)
    assert think.messages[0] == stage.conversation.history[0]


def test_keys_and_words_are_one_turn() -> None:
    stage = called(Plan())
    stage.says(1, "my code is [0.9] thank you")
    pressed(stage, 1.1, "12#")
    stage.run(10)
    assert len(asked(stage)) == 1
    assert "DTMF: 12" in asked(stage)[0]
    assert "thank you" in asked(stage)[0]


def test_no_digit_is_in_any_note() -> None:
    stage = called(Plan())
    pressed(stage, 1, "98765#")
    stage.run(10)
    notes = [str(command) for _, command in stage.commands(c.Note)]
    assert notes
    assert not any(digits in note for note in notes for digits in ("98765", "'9'"))


def test_what_is_no_key_is_refused() -> None:
    stage = called(Plan())
    stage.at(1, e.DigitPressed("x"), e.DigitPressed(""), e.DigitPressed("12"))
    stage.run(5)
    assert stage.notes() == ["not_a_digit"] * 3
    assert not asked(stage)


def test_a_stuck_key_does_not_grow_for_ever() -> None:
    stage = called(Plan())
    for number in range(64):
        stage.at(1 + number / 100, e.DigitPressed("5"))
    stage.run(1.7)
    assert asked(stage) == ["DTMF: " + "5" * 64]
