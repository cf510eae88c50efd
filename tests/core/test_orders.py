"""Orders from outside: the control API's say, inject-context, end-call and transfer, hold and hang-up."""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Phrases, Plan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message, ToolCall
from tests.core.scripted import Delays, Stage
from tests.core.test_tools import Scripted

LONG = "We are open every weekday from nine in the morning until six in the evening."


def called(plan: Plan | None = None, *, ask: bool = True, delays: Delays | None = None) -> Stage:
    """The assistant is audible from 3.1 s on."""
    stage = Stage(plan or Plan(), Scripted([LONG], ["All right."]), delays=delays)
    stage.at(0, e.Answered())
    if ask:
        stage.says(1, "when are you open?")
    return stage


def asked(stage: Stage) -> list[c.Think]:
    return [command for _, command in stage.log if isinstance(command, c.Think)]


# say


def test_say_is_spoken_word_for_word_and_is_part_of_the_history() -> None:
    stage = called(ask=False)
    stage.at(1, e.Instructed("say", "Please *hold* on."))
    stage.run(5)
    assert stage.log[0] == (1, c.Speak(1, "Please *hold* on.", "say"))
    assert stage.transcript() == ["assistant: Please *hold* on."]


def test_say_waits_behind_what_is_being_said() -> None:
    stage = called()
    stage.at(4, e.Instructed("say", "One more thing."))
    stage.run(20)
    assert stage.transcript()[1:] == [f"assistant: {LONG}", "assistant: One more thing."]


def test_say_waits_until_the_caller_has_finished_and_comes_before_the_answer() -> None:
    stage = called()
    stage.at(1.5, e.Instructed("say", "One moment."))
    stage.run(20)
    assert stage.spoken()[0] == "One moment."
    assert stage.commands(c.Speak)[0][0] == pytest.approx(2.6)
    assert stage.transcript() == ["user: when are you open?", "assistant: One moment.", f"assistant: {LONG}"]
    assert asked(stage)[0].messages[-1].role == "user"


def test_say_is_not_lost_when_the_caller_had_nothing_to_say() -> None:
    stage = called(ask=False)
    stage.noise(1, 0.5)
    stage.at(1.2, e.Instructed("say", "Your order is ready."))
    stage.run(10)
    assert stage.spoken() == ["Your order is ready."]


def test_say_with_end_after_hangs_up_when_it_has_been_heard() -> None:
    stage = called(ask=False)
    stage.at(1, e.Instructed("say", "We are closing now.", then=True))
    stage.run(10)
    assert stage.log[-1] == (pytest.approx(1 + 0.15 + 1.2), c.HangUp("api_end_call"))  # type: ignore[comparison-overlap]  # approx compares


def test_say_before_the_answer_is_spoken_after_the_greeting() -> None:
    stage = Stage(Plan(first_message="Hello!"))
    stage.at(0, e.Instructed("say", "This call is recorded."))
    stage.at(1, e.Answered())
    assert stage.run(5).spoken() == ["Hello!", "This call is recorded."]


def test_say_can_be_interrupted() -> None:
    stage = called(ask=False)
    stage.at(1, e.Instructed("say", LONG))
    stage.says(2, "stop it")
    stage.run(10)
    assert stage.conversation.history[0].interrupted
    assert stage.transcript()[1] == "user: stop it"


# inject-context


def test_injected_context_is_known_to_the_model_from_then_on() -> None:
    stage = called(ask=False)
    stage.at(0.5, e.Instructed("inject", "The caller is called Ada."))
    stage.says(1, "when are you open?")
    stage.run(10)
    assert asked(stage)[0].messages[0] == Message("system", "The caller is called Ada.")
    assert stage.conversation.history[0] == Message("system", "The caller is called Ada.")


def test_injected_context_may_ask_for_an_answer_at_once() -> None:
    stage = called(ask=False)
    stage.at(1, e.Instructed("inject", "The code was right.", then=True))
    stage.run(10)
    assert asked(stage)[0].messages == (Message("system", "The code was right."),)
    assert stage.transcript()[-1] == f"assistant: {LONG}"


def test_injected_context_is_answered_after_what_is_being_said() -> None:
    stage = called()
    stage.at(4, e.Instructed("inject", "The code was right.", then=True))
    stage.run(20)
    assert stage.transcript()[-2:] == ["system: The code was right.", "assistant: All right."]


def test_injected_context_is_answered_even_when_the_caller_turns_out_to_have_said_nothing() -> None:
    stage = called(ask=False)
    stage.noise(1, 0.5)
    stage.at(1.2, e.Instructed("inject", "The code was right.", then=True))
    stage.run(10)
    assert stage.transcript()[-1] == f"assistant: {LONG}"


def test_injected_context_reaches_an_answer_that_is_still_being_thought_of() -> None:
    stage = called()
    stage.at(2.7, e.Instructed("inject", "Closed for holidays.", then=True))
    stage.run(20)
    assert [think.messages[-1].content for think in asked(stage)] == ["when are you open?", "Closed for holidays."]
    assert stage.spoken() == ["All right."]


def test_injected_context_while_the_caller_speaks_is_part_of_his_answer() -> None:
    stage = called()
    stage.at(1.5, e.Instructed("inject", "Closed for holidays.", then=True))
    stage.run(20)
    assert len(asked(stage)) == 1
    assert [message.role for message in asked(stage)[0].messages] == ["system", "user"]


def test_injected_context_does_not_come_between_a_tool_call_and_its_result() -> None:
    stage = Stage(Plan(), Scripted([ToolCall("t", "book", "{}")], ["Done."]), delays=Delays(tool=0.9))
    stage.at(0, e.Answered())
    stage.says(1, "when are you open?")
    stage.at(3.5, e.Instructed("inject", "Closed for holidays."))
    stage.run(20)
    assert [message.role for message in stage.conversation.history] == [
        "user",
        "assistant",
        "tool",
        "system",
        "assistant",
    ]


# end-call and transfer


def test_end_call_cuts_what_is_being_said_for_the_last_words() -> None:
    stage = called()
    stage.at(4, e.Instructed("end", "Goodbye."))
    stage.run(20)
    assert stage.spoken()[-1] == "Goodbye."
    assert stage.conversation.history[1].interrupted
    assert stage.log[-1][1] == c.HangUp("api_end_call")


def test_end_call_without_words_ends_at_once() -> None:
    stage = called()
    stage.at(4, e.Instructed("end"))
    stage.run(20)
    assert stage.log[-1] == (4, c.HangUp("api_end_call"))
    assert stage.conversation.history[-1].interrupted


def test_end_call_may_wait_for_what_is_queued() -> None:
    stage = Stage(Plan(first_message="This number is not in use."))
    stage.at(0, e.Answered(), e.Instructed("end", then=True))
    stage.run(10)
    assert stage.log[-1] == (pytest.approx(1.8), c.HangUp("api_end_call"))  # type: ignore[comparison-overlap]  # approx compares
    assert stage.transcript() == ["assistant: This number is not in use."]


def test_a_transfer_is_announced_and_then_done() -> None:
    stage = called()
    stage.at(4, e.Instructed("transfer", "I am connecting you.", destination="+31201234567"))
    stage.run(20)
    assert stage.spoken()[-1] == "I am connecting you."
    assert stage.log[-1][1] == c.HandOver("+31201234567", "transferred")


def test_orders_that_come_too_late_change_nothing() -> None:
    stage = called()
    stage.at(4, e.Instructed("end", "Thank you for calling, goodbye."))
    stage.at(4.5, e.Instructed("say", "Wait."), e.Instructed("inject", "x", then=True))
    stage.run(20)
    assert "instructed_too_late" in stage.notes()
    assert stage.spoken()[-1] == "Thank you for calling, goodbye."


def test_an_end_before_the_answer_ends_the_call() -> None:
    conversation = called().conversation
    assert conversation.feed(e.Instructed("end", "Goodbye."), 0) == [c.HangUp("api_end_call")]


# hold


def test_on_hold_nothing_is_played_and_no_time_passes() -> None:
    stage = called()
    stage.at(4, e.HoldChanged(True))
    stage.at(34, e.HoldChanged(False))
    stage.run(50)
    assert stage.transcript()[1] == f"assistant: {LONG}"
    finished = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert finished > 34 + 3


def test_on_hold_music_is_not_listened_to() -> None:
    stage = called(ask=False)
    stage.at(1, e.HoldChanged(True))
    stage.noise(2, 3)
    stage.at(10, e.HoldChanged(False))
    stage.run(20)
    assert stage.notes() == []
    assert stage.conversation.state is State.QUIET


def test_a_turn_that_was_interrupted_by_hold_ends_after_it() -> None:
    stage = called()
    stage.at(2.3, e.HoldChanged(True))
    stage.at(12.3, e.HoldChanged(False))
    stage.run(12.3)
    assert not asked(stage)
    stage.run(20)
    assert asked(stage)[0].messages[-1].content == "when are you open?"


def test_an_answer_that_comes_on_hold_is_heard_after_it() -> None:
    stage = called()
    stage.at(2.7, e.HoldChanged(True))
    stage.at(20, e.HoldChanged(False))
    stage.run(40)
    starts = [time for time, event in stage.events if isinstance(event, e.PlayoutStarted)]
    assert starts[0] >= 20
    assert stage.transcript()[-1] == f"assistant: {LONG}"


def test_an_end_on_hold_needs_no_last_words() -> None:
    stage = called(ask=False)
    stage.at(1, e.HoldChanged(True))
    stage.at(2, e.Instructed("end", "Goodbye."))
    stage.run(3)
    assert stage.log[-1] == (2, c.HangUp("api_end_call"))
    assert stage.spoken() == []


def test_a_call_on_hold_ends_at_its_limit() -> None:
    stage = called(Plan(max_duration=10, phrases=Phrases(goodbye="Bye.")), ask=False)
    stage.at(1, e.HoldChanged(True))
    stage.run(20)
    assert stage.log[-1] == (10, c.HangUp("max_duration"))


# hang-up


@pytest.mark.parametrize("when", [0.5, 1.5, 2.3, 2.7, 3.0, 4.0, 5.0, 20.0])
def test_a_hang_up_at_any_time_closes_the_books(when: float) -> None:
    stage = called(Plan(first_message="Hi."))
    stage.at(when, e.HungUp())
    stage.run(25)
    last = [time for time, _ in stage.log if time > when]
    assert not last
    assert stage.conversation.state is State.ENDED
    assert stage.conversation.deadline is None
    assert [turn.turn.number for turn in stage.turns()] == list(range(len(stage.turns())))


def test_a_hang_up_in_mid_sentence_remembers_what_was_heard() -> None:
    stage = called()
    stage.at(4.2, e.HungUp())
    stage.run(5)
    assert stage.transcript() == ["user: when are you open?", "assistant: We are open"]
    (turn,) = stage.turns()
    assert stage.conversation.history[1].interrupted
    assert turn.turn.heard == "We are open"
    assert turn.turn.interrupted


def test_a_hang_up_in_the_callers_own_words_remembers_them() -> None:
    stage = called()
    stage.at(2.0, e.HungUp())
    stage.run(5)
    assert stage.transcript() == ["user: when are"]
    assert stage.turns()[0].turn.said == "when are"
