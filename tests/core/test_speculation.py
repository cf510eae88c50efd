"""Answers begun before it is sure that the caller has finished: sooner heard, and otherwise as if they had not been."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Phrases, Plan, SpeculationPlan, Standing, TurnTaking, Voicemail
from sovereign_pbx.core.speculation import LONGEST, Guess, equivalent
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.core.workflow import Graph, TalkNode, Way
from tests.core.scripted import Delays, Part, Stage

SYSTEM = Message("system", "You are a baker.")
AHEAD = Plan(messages=(SYSTEM,), speculation=SpeculationPlan(), reply_filler_after=30, tool_filler_after=30)
QUESTION = "what time do you open?"
ANSWER = "We open at nine, and we close at five."
LOOKUP = ToolCall("t1", "lookup", "{}")


def answered(model: Sequence[Part] = (ANSWER,), plan: Plan = AHEAD, **options: Any) -> Stage:
    stage = Stage(plan, lambda think: model, **options)
    stage.at(0, e.Answered())
    return stage


def kinds(stage: Stage, *wanted: type[c.Command]) -> list[str]:
    return [type(command).__name__ for _, command in stage.log if isinstance(command, wanted)]


def first_sound(stage: Stage) -> float:
    return next(time for time, event in stage.events if isinstance(event, e.PlayoutStarted))


def thoughts(stage: Stage) -> list[tuple[str, bool]]:
    asked = [command for _, command in stage.log if isinstance(command, c.Think)]
    return [(think.messages[-1].content, think.speculative) for think in asked]


def test_the_model_is_asked_while_the_turn_is_still_being_ended() -> None:
    stage = answered(delays=Delays(final=0.7))
    end = stage.says(1, QUESTION)
    stage.run(end + 0.3)
    assert stage.conversation.state is State.ENDPOINTING
    assert thoughts(stage) == [(QUESTION, True)]


def test_an_answer_begun_early_is_heard_sooner() -> None:
    slow, fast = answered(plan=replace(AHEAD, speculation=None)), answered()
    for stage in (slow, fast):
        stage.says(1, QUESTION)
        stage.run(10)
    assert first_sound(slow) - first_sound(fast) == pytest.approx(0.4 - 0.24)
    assert fast.transcript() == slow.transcript()


def test_the_first_clause_is_synthesised_while_the_turn_is_open_and_played_when_it_is_decided() -> None:
    stage = answered(delays=Delays(final=2.0))
    end = stage.says(1, QUESTION)
    stage.run(end + 1.3)
    ((prepared, prepare),) = stage.commands(c.Prepare)
    assert prepare == c.Prepare(1, "We open at nine,")
    assert prepared == pytest.approx(end + 0.24 + 0.3 + 0.03)
    assert not stage.commands(c.Speak)
    stage.run(end + 1.39)
    assert stage.conversation.state is State.TRANSCRIBING
    stage.run(end + 10)
    assert first_sound(stage) == pytest.approx(end + 1.4)  # the very moment at which the turn was decided
    assert stage.spoken() == ["We open at nine,", "and we close at five."]


def test_what_is_prepared_is_what_is_spoken_then() -> None:
    stage = answered(
        ["*Well,* [laughs] **certainly**: we open at 9 a.m. every day, and on Sundays at ten."],
        delays=Delays(final=2.0),
    )
    stage.says(1, QUESTION)
    stage.run(10)
    (prepare,) = [command for _, command in stage.log if isinstance(command, c.Prepare)]
    assert prepare.text == stage.spoken()[0]


def test_an_adopted_answer_is_asked_for_once() -> None:
    stage = answered()
    stage.says(1, QUESTION)
    stage.run(10)
    assert kinds(stage, c.Think, c.Adopt, c.DropReply) == ["Think", "Adopt"]


def test_a_final_text_that_differs_only_in_its_spelling_keeps_the_answer() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, "what time do you open")
    stage.at(end + 0.3, e.Final("What time do you open?"))
    stage.run(10)
    assert kinds(stage, c.Think, c.Adopt, c.DropReply) == ["Think", "Adopt"]
    assert stage.transcript()[0] == "user: What time do you open?"


def test_other_words_drop_it_and_the_model_is_asked_anew() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, "what time do you open")
    stage.at(end + 0.3, e.Final("What time do you close?"))
    stage.run(10)
    assert kinds(stage, c.Think, c.Adopt, c.DropReply) == ["Think", "DropReply", "Think", "Adopt"]
    assert stage.transcript() == ["user: What time do you close?", f"assistant: {ANSWER}"]


def test_speech_that_goes_on_keeps_it_until_there_are_other_words() -> None:
    stage = answered()
    end = stage.says(1, QUESTION)
    stage.at(end + 0.3, e.SpeechStarted(end + 0.25))
    stage.run(end + 0.5)
    assert kinds(stage, c.DropReply) == []
    stage.at(end + 0.6, e.Interim("on Sunday"))
    stage.run(end + 0.7)
    assert kinds(stage, c.DropReply) == ["DropReply"]
    assert not stage.commands(c.Speak)


def test_a_cough_in_the_silence_costs_no_second_answer() -> None:
    stage = answered(delays=Delays(final=1.5))
    end = stage.says(1, QUESTION)
    stage.noise(end + 0.25, 0.1, reported=False)
    stage.run(10)
    assert kinds(stage, c.Think, c.Adopt, c.DropReply) == ["Think", "Adopt"]


def test_a_resumed_turn_is_answered_as_one_and_only_then() -> None:
    stage = answered()
    stage.says(1, "I want a cake. [0.35] and some bread.")
    stage.run(10)
    assert thoughts(stage)[-1][0] == "I want a cake. and some bread."
    assert stage.transcript() == ["user: I want a cake. and some bread.", f"assistant: {ANSWER}"]


def test_words_that_no_sentence_ends_with_are_not_guessed_on_at_once() -> None:
    stage = answered()
    end = stage.says(1, "I want a cake and", score=0.05)
    stage.at(end + 0.5, e.TurnScored(0.04, end))
    stage.run(end + 0.79)
    assert thoughts(stage) == []
    stage.at(end + 0.85, e.TurnScored(0.05, end))
    stage.run(end + 0.9)
    assert thoughts(stage) == [("I want a cake and", True)]


def test_in_speech_only_a_full_stop_is_guessed_on() -> None:
    stage = answered()
    stage.at(1, e.SpeechStarted(1))
    stage.at(1.5, e.Interim("what time"))
    stage.at(2.0, e.Interim("what time do you open?"))
    stage.run(2.1)
    assert stage.conversation.state is State.LISTENING
    assert thoughts(stage) == [(QUESTION, True)]


def test_a_turn_is_guessed_at_three_times_at_most() -> None:
    stage = answered(delays=Delays(score=60))
    stage.at(1, e.SpeechStarted(1), e.Interim("one"), e.SpeechStopped(1.2))
    for number, word in enumerate(("cake", "loaf", "bun", "roll", "tart", "pie")):
        stage.at(1.3 + number / 20, e.Interim(f"that big {word}"))
    stage.run(1.69)
    assert len(thoughts(stage)) == 3
    assert kinds(stage, c.DropReply) == ["DropReply"] * 3


def test_the_last_try_is_kept_for_the_silence() -> None:
    stage = answered()
    stage.at(1, e.SpeechStarted(1))
    for number in range(5):
        stage.at(1.3 + number / 20, e.Interim(f"I want {number}."))
    stage.run(1.69)
    assert len(thoughts(stage)) == 2


def test_a_call_in_which_it_is_always_in_vain_stops_guessing() -> None:
    plan = replace(AHEAD, speculation=SpeculationPlan(in_vain=2))
    stage = answered(plan=plan, delays=Delays(final=None))
    for number in range(5):
        end = stage.says(1 + 10 * number, f"number {number} is it")
        stage.at(end + 0.35, e.Final(f"no, {number} it is"))
    stage.run(60)
    assert kinds(stage, c.DropReply) == ["DropReply"] * 2
    assert len([turn for turn in stage.turns() if turn.turn.said]) == 5


def test_a_long_monologue_is_not_guessed_at() -> None:
    stage = answered()
    stage.says(1, "and then " * 20 + "it broke.")
    stage.run(30)
    assert [speculative for _, speculative in thoughts(stage)] == [False]


def test_none_is_begun_where_it_is_switched_off() -> None:
    stage = answered(plan=replace(AHEAD, speculation=SpeculationPlan(tries=0)))
    stage.says(1, QUESTION)
    stage.run(10)
    assert thoughts(stage) == [(QUESTION, False)]


def test_a_tool_waits_for_the_turn_and_runs_once() -> None:
    stage = Stage(AHEAD, lambda think: [ANSWER] if think.messages[-1].role == "tool" else [LOOKUP])
    stage.delays = Delays(final=2.0, tool=0.4)
    stage.at(0, e.Answered())
    end = stage.says(1, QUESTION)
    stage.run(end + 1.3)
    assert kinds(stage, c.UseTool, c.Remember) == []
    stage.run(10)
    used = stage.commands(c.UseTool)
    assert [time for time, _ in used] == [pytest.approx(end + 1.4)]
    assert stage.transcript() == [f"user: {QUESTION}", "assistant: ", "tool: done", f"assistant: {ANSWER}"]


def test_a_tool_of_an_answer_that_is_dropped_is_never_used() -> None:
    stage = Stage(AHEAD, lambda think: [LOOKUP] if len(think.messages[-1].content) < 20 else [ANSWER])
    stage.at(0, e.Answered())
    stage.says(1, "I want a cake. [0.35] and some bread if you have it.")
    stage.run(15)
    assert kinds(stage, c.DropReply) != []
    assert stage.commands(c.UseTool) == []


def test_a_tool_in_flight_is_waited_for() -> None:
    stage = Stage(AHEAD, lambda think: ["Let me see.", LOOKUP] if think.reply == 1 else [ANSWER])
    stage.delays = Delays(tool=6.0)
    stage.at(0, e.Answered())
    end = stage.says(1, QUESTION)
    again = stage.says(end + 2.5, "and on Sunday?")
    stage.run(again + 0.6)
    assert kinds(stage, c.UseTool) == ["UseTool"]
    assert len(thoughts(stage)) == 1
    stage.run(20)
    assert kinds(stage, c.UseTool) == ["UseTool"]


def test_end_call_waits_for_the_turn() -> None:
    stage = answered(["Goodbye then.", ToolCall("t", "end_call", "{}")], delays=Delays(final=1.2))
    end = stage.says(1, "that is all, thank you.")
    stage.run(end + 1.1)
    assert kinds(stage, c.Prepare, c.Speak, c.HangUp) == ["Prepare"]
    stage.run(20)
    assert kinds(stage, c.Speak, c.HangUp) == ["Speak", "HangUp"]


def test_a_way_of_a_workflow_is_taken_when_the_turn_is_decided_and_not_before() -> None:
    nodes = {
        "entry": TalkNode(standing=Standing(), ways={"on": Way("next")}),
        "next": TalkNode(standing=Standing(messages=(Message("system", "Now sell."),)), ways={}),
    }
    plan = replace(AHEAD, messages=(), first_message="Hello.", workflow=Graph("entry", nodes))
    stage = Stage(plan, lambda think: ["Sold."] if think.messages[0].role == "system" else [ToolCall("w", "on", "{}")])
    stage.delays = Delays(final=1.2)
    stage.at(0, e.Answered())
    end = stage.says(2, "a cake, please.")
    stage.run(end + 1.1)
    assert stage.commands(c.Enter) == []
    stage.run(20)
    assert [time for time, _ in stage.commands(c.Enter)] == [pytest.approx(end + 1.2)]
    assert stage.spoken() == ["Hello.", "Sold."]


def test_another_place_of_the_workflow_does_not_fit() -> None:
    guess = Guess(1, "yes", "entry", (Message("user", "yes"),))
    assert guess.fits("entry", [Message("user", "Yes!")])
    assert not guess.fits("next", [Message("user", "Yes!")])


def test_a_hang_up_drops_it_and_leaves_no_trace_of_it() -> None:
    stage = answered()
    end = stage.says(1, QUESTION)
    stage.at(end + 0.35, e.HungUp())
    stage.run(10)
    assert kinds(stage, c.Think, c.DropReply, c.Speak) == ["Think", "DropReply"]
    assert stage.transcript() == [f"user: {QUESTION}"]


def test_hold_drops_it() -> None:
    stage = answered(delays=Delays(final=1.0))
    end = stage.says(1, QUESTION)
    stage.at(end + 0.35, e.HoldChanged(True))
    stage.run(end + 0.4)
    assert kinds(stage, c.DropReply) == ["DropReply"]
    stage.at(end + 5, e.HoldChanged(False))
    stage.run(20)
    assert stage.transcript() == [f"user: {QUESTION}", f"assistant: {ANSWER}"]


def test_words_to_be_said_meanwhile_are_said_and_the_answer_is_kept() -> None:
    stage = answered(delays=Delays(final=1.0))
    end = stage.says(1, QUESTION)
    stage.at(end + 0.35, e.Instructed("say", "The shop closes soon."))
    stage.run(20)
    assert kinds(stage, c.Think, c.Adopt, c.DropReply) == ["Think", "Adopt"]
    assert stage.spoken() == ["The shop closes soon.", "We open at nine,", "and we close at five."]


def test_what_the_model_is_told_meanwhile_it_is_asked_with() -> None:
    stage = answered(delays=Delays(final=1.0))
    end = stage.says(1, QUESTION)
    stage.at(end + 0.35, e.Instructed("inject", "The shop is closed today."))
    stage.run(20)
    assert kinds(stage, c.Think, c.DropReply) == ["Think", "DropReply", "Think"]
    (_, last) = stage.commands(c.Think)[-1]
    assert isinstance(last, c.Think)
    assert Message("system", "The shop is closed today.") in last.messages


def test_digits_meanwhile_are_part_of_the_turn() -> None:
    stage = answered(delays=Delays(final=1.0))
    end = stage.says(1, QUESTION)
    stage.at(end + 0.35, e.DigitPressed("5"), e.DigitPressed("#"))
    stage.run(20)
    assert "DropReply" in kinds(stage, c.DropReply)
    assert stage.transcript()[0].count("DTMF: 5") == 1


def test_digits_under_way_are_waited_for() -> None:
    stage = answered(delays=Delays(final=1.0))
    stage.at(1.2, e.DigitPressed("5"))
    end = stage.says(1, QUESTION)
    stage.run(end + 0.5)
    assert thoughts(stage) == []


def test_a_model_that_fails_before_the_turn_is_decided_is_asked_again_without_an_apology() -> None:
    failure = ProviderError("scripted", "llm", "stalled")
    stage = Stage(AHEAD, lambda think: [failure] if think.speculative else [ANSWER], delays=Delays(final=1.0))
    stage.at(0, e.Answered())
    stage.says(1, QUESTION)
    stage.run(20)
    assert [speculative for _, speculative in thoughts(stage)] == [True, False]
    assert stage.transcript() == [f"user: {QUESTION}", f"assistant: {ANSWER}"]
    assert Phrases().apology not in stage.spoken()


def test_a_model_that_fails_after_that_is_apologised_for() -> None:
    failure = ProviderError("scripted", "llm", "stalled")
    stage = answered([failure], delays=Delays(first_token=3.0))
    stage.says(1, QUESTION)
    stage.run(20)
    assert Phrases().apology in stage.spoken()


def test_an_empty_answer_is_apologised_for_once_the_turn_is_decided() -> None:
    stage = answered([""], delays=Delays(final=1.0))
    end = stage.says(1, QUESTION)
    stage.run(end + 0.9)
    assert not stage.commands(c.Speak)
    stage.run(20)
    assert stage.spoken() == [Phrases().apology]


def test_a_sound_without_words_drops_what_was_not_decided() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, QUESTION)
    stage.at(end + 0.3, e.Interim(""))
    stage.at(end + 0.35, e.NothingHeard())
    stage.run(20)
    assert stage.conversation.state is State.QUIET
    assert stage.guess is None


def test_whoever_may_be_a_mailbox_is_not_guessed_at() -> None:
    stage = answered(plan=replace(AHEAD, first_message="Good day.", voicemail=Voicemail(message="Call back.")))
    stage.says(1, "hello, this is the baker.")
    stage.run(2.9)
    assert thoughts(stage) == []


def test_the_time_hidden_behind_the_wait_counts_as_waiting_for_the_end_of_the_turn() -> None:
    stage = answered(delays=Delays(final=0.25))
    end = stage.says(1, QUESTION)
    stage.run(10)
    timing = stage.turns()[0].turn.timing
    assert timing is not None
    assert timing.total_ms == pytest.approx((first_sound(stage) - end) * 1000, abs=1e-6)
    parts = [timing.endpointing_ms, timing.stt_ms, timing.llm_ms, timing.clause_ms, timing.tts_ms, timing.link_ms]
    assert parts == pytest.approx([400, 0, 140, 30, 150, 0], abs=1e-6)


def test_what_was_dropped_is_in_the_record_of_the_turn() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, "what time do you open")
    stage.at(end + 0.3, e.Final("What time do you close?"))
    stage.run(10)
    usage = stage.turns()[0].turn.usage
    asked = -(-len(SYSTEM.content + "what time do you open") // 4)
    assert usage == {
        "dropped_replies": 1,
        "dropped_input_tokens": asked,
        "dropped_output_tokens": 0,
        "output_tokens": 10,
    }


def test_an_answer_without_end_is_given_up() -> None:
    guess = Guess(1, "yes", "", (Message("user", "yes"),))
    for _ in range(LONGEST // 100 + 1):
        guess.hold(e.ReplyText(1, "ha " * 34))
    assert guess.spoilt
    assert not guess.fits("", [Message("user", "yes")])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What time?", "what  time", True),
        ("I'm 5", "im ５", True),
        ("café", "cafe\u0301", True),
        ("five p.m.", "5 pm", False),
        ("yes", "yes please", False),
        ("", "", True),
    ],
)
def test_transcripts_are_compared_by_their_letters(one: str, other: str, same: bool) -> None:
    assert equivalent(one, other) is same


@pytest.mark.parametrize(
    ("lag", "ahead", "expected"),
    [
        (0.0, False, 0.25 + 0.3 + 0.003 + 0.15),  # the final text, then the chain
        (0.0, True, 0.3 + 0.003 + 0.15),  # the chain alone: the decision, at 400 ms, is hidden behind it
        (0.15, True, 0.15 + 0.3 + 0.003 + 0.15),
    ],
)
def test_the_machine_itself_adds_nothing_to_the_wait_for_an_answer(lag: float, ahead: bool, expected: float) -> None:
    delays = Delays(interim=lag + 0.01, token=0.001)
    policy = TurnTaking() if ahead else TurnTaking(endpointing_min_delay=0.1)
    plan = replace(AHEAD, turn_taking=policy, speculation=SpeculationPlan() if ahead else None)
    stage = answered(plan=plan, delays=delays)
    end = stage.says(1, QUESTION)
    stage.run(10)
    assert first_sound(stage) - end == pytest.approx(expected, abs=0.005)
