"""What users of other engines complain about: voicemail, call screening, idle callers, keys.

Each test names the thread; the engines are told in the documentation of conversations.
"""

import dataclasses
import json

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.moves.ending import CHECK_IN, TAKE_LEAVE
from sovereign_pbx.core.plan import Collector, Phrases, Plan, SilencePlan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from tests.core.scripted import Part, Stage
from tests.core.test_answering import GREETING, INTRODUCTION, IOS, MAILBOX, MESSAGE, beep, calls, found
from tests.core.test_silence import pressed

ASKING = SilencePlan(first_check=3.0, interval=12.0, max_attempts=3, messages=("Are you still there?", "Hello?"))


def talked_to(plan: Plan) -> Stage:
    quiet = dataclasses.replace(plan, phrases=Phrases(filler="", unheard=""))
    stage = Stage(quiet, lambda think: ["Of course."])
    stage.at(0, e.Answered())
    return stage


# voicemail and call screening: livekit 3643; dograh 777, 727, 759; AVA 12


def test_the_assistant_does_not_hold_a_conversation_with_a_mailbox() -> None:
    """dograh 777: talks to voicemail."""
    stage = calls()
    silent = stage.says(0.8, f"{MAILBOX} please leave a message")
    beep(stage, silent + 0.8)
    stage.says(silent + 6, "if you are satisfied with your message press one")
    stage.run(60)
    assert stage.spoken() == [MESSAGE]
    assert not stage.commands(c.Think)


def test_the_message_is_whole_on_the_mailbox_whenever_it_begins_to_record() -> None:
    """dograh 727, 759: wants the beep, and then the message."""
    for beep_after in (0.3, 0.9, 1.5, 2.0, 2.5):  # with a pause of 1.2 s the last ones come into the message
        stage = calls()
        silent = stage.says(0.8, f"{MAILBOX} please leave a message")
        beep(stage, silent + beep_after)
        stage.run(60)
        last, _ = stage.commands(c.Speak)[-1]
        assert last == pytest.approx(silent + beep_after + 0.08), beep_after
        assert stage.transcript()[-1] == f"assistant: {MESSAGE}"


def test_screening_is_not_mistaken_for_voicemail() -> None:
    """livekit 3643: a call screener hears a voicemail message, and the person is never reached."""
    stage = calls()
    stage.says(0.8, IOS)
    stage.says(14, "hello this is Jan")
    stage.run(25)
    assert stage.spoken() == [INTRODUCTION, GREETING]
    assert found(stage) == ["screening", "person"]
    assert stage.conversation.state is State.QUIET


def test_a_person_is_not_mistaken_for_a_mailbox_by_a_beep_of_his_own() -> None:
    """A headset, a microwave oven, the beep of a recorded line."""
    stage = calls()
    beep(stage, 0.3)
    stage.says(0.9, "hello Jan here")
    beep(stage, 2.9)
    assert stage.run(15).spoken() == [GREETING]


# idle callers: pipecat 4343, 5240, 4124; peers T


def test_the_idle_timer_does_not_die_of_a_sound_without_words() -> None:
    """pipecat 4343: the voice detector fires, no words come, and nobody ever asks again."""
    stage = talked_to(Plan(silence=ASKING))
    stage.noise(2.5, 0.4, reported=False)
    stage.run(12)
    assert stage.spoken() == ["Are you still there?"]


def test_nor_is_it_put_off_for_ever_by_a_noisy_line() -> None:
    """A television in the room: a sound every two seconds, and not a word."""
    stage = talked_to(Plan(silence=ASKING))
    for number in range(60):
        stage.noise(1 + 2 * number, 0.4)
    stage.run(120)
    assert stage.spoken() == ["Are you still there?", "Hello?", "Hello?"]
    assert stage.log[-1][1] == c.HangUp("silence_timeout")
    assert stage.now == 120 and stage.log[-1][0] < 40


def test_a_talking_caller_is_never_told_that_he_can_not_be_heard() -> None:
    """pipecat 5240"""
    stage = talked_to(Plan(silence=ASKING))
    stage.says(2.8, "I am looking for the number of my order it must be here somewhere wait", interims=True)
    stage.run(7)
    assert stage.spoken() == []


def test_words_that_the_voice_detector_missed_reset_the_idle_timer() -> None:
    """pipecat 4124"""
    stage = talked_to(Plan(silence=ASKING))
    stage.says(2.0, "I am here", vad=False)
    stage.run(6)
    assert stage.spoken() == ["Of course."]


def test_a_key_resets_the_idle_timer_and_its_count() -> None:
    stage = talked_to(Plan(silence=ASKING))
    pressed(stage, 10, "5#")
    stage.run(20)
    assert stage.spoken()[:3] == ["Are you still there?", "Of course.", "Are you still there?"]


def test_the_idle_timer_stands_still_while_a_tool_runs() -> None:
    def model(think: c.Think) -> list[Part]:
        return ["Done."] if think.messages[-1].role == "tool" else [ToolCall("1", "look_up", "{}")]

    stage = Stage(Plan(silence=ASKING, phrases=Phrases(filler="")), model)
    stage.delays = stage.delays.__class__(tool=25.0)
    stage.at(0, e.Answered())
    stage.says(1, "look it up")
    stage.run(27)
    assert "silence_prompt" not in stage.notes()


def test_the_idle_timer_stands_still_on_hold() -> None:
    stage = talked_to(Plan(silence=ASKING))
    stage.at(2, e.HoldChanged(True))
    stage.at(62, e.HoldChanged(False))
    stage.run(62.9)
    assert stage.spoken() == []
    assert stage.run(63.1).spoken() == ["Are you still there?"]


def test_a_caller_who_answers_the_last_question_is_not_hung_up_on() -> None:
    stage = talked_to(Plan(silence=SilencePlan(first_check=1.0, max_attempts=1, final_message="I will hang up now.")))
    stage.says(1.5, "no wait I am here")
    stage.run(10)
    assert "user: no wait I am here" in stage.transcript()
    assert not stage.commands(c.HangUp) or stage.commands(c.HangUp)[0][0] > 4


def test_the_model_finds_the_words_of_every_prompt_and_the_last_ends_the_call() -> None:
    """Contract §15.2: prompts are made by the model unless messages are set; the last one is a goodbye."""
    asked: list[str] = []

    def model(think: c.Think) -> list[Part]:
        asked.append(think.messages[-1].content)
        return [f"Words number {len(asked)}."]

    stage = Stage(Plan(silence=SilencePlan()), model)
    stage.at(0, e.Answered())
    stage.run(60)
    assert asked == [CHECK_IN, CHECK_IN, TAKE_LEAVE]
    assert stage.transcript() == [f"assistant: Words number {number}." for number in (1, 2, 3)]
    assert stage.log[-1][1] == c.HangUp("silence_timeout")


# keys: bolna 757; peers C 12


def test_ten_keys_are_one_turn_of_the_model() -> None:
    """bolna 757: one turn of the model a key."""
    stage = talked_to(Plan())
    pressed(stage, 1, "0612345678#")
    stage.run(10)
    assert len(stage.commands(c.Think)) == 1


def test_a_slow_caller_is_not_taken_for_one_who_has_finished() -> None:
    collector = Collector(name="card", least=16, most=16, mask=True)
    stage = Stage(
        Plan(collectors=(collector,)),
        lambda think: ["Thank you."] if think.messages[-1].role == "tool" else [ToolCall("1", "card", "{}")],
    )
    stage.at(0, e.Answered())
    stage.says(1, "I want to pay")
    for group in range(4):  # four by four, looking up from the keys in between
        pressed(stage, 5 + 4.0 * group, "4111")
    stage.run(30)
    (told,) = [message.content for message in stage.conversation.history if message.role == "tool"]
    assert json.loads(told) == {"outcome": "complete", "digits": "card-1", "count": 16}


def test_no_key_is_in_anything_that_is_kept_or_told_where_it_is_masked() -> None:
    stage = Stage(Plan(keys=Collector(between=2.0, mask=True)))
    stage.at(0, e.Answered())
    pressed(stage, 1, "98765#")
    stage.run(10)
    assert not [command for _, command in stage.log if "98765" in str(command) or "'9'" in str(command)]
