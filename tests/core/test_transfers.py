"""Callers who are put through in virtual time: before, meanwhile, and when nobody takes them."""

import json
from dataclasses import replace

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.destinations import LONGEST_SUMMARY, SAY_SO
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Collector, Consent, Phrases, Plan, SilencePlan, Transfer
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall, TransferOutcome, TransferTerms
from sovereign_pbx.core.workflow import ToolNode, Way
from tests.core.scripted import Stage
from tests.core.test_tools import Scripted
from tests.core.test_workflow import BILLING, graph, talking, to

SALES = Plan(first_message="Good day.", transfers=(Transfer("+31201234567", "Sales will help you."), Transfer("100")))
ATTENDED = TransferTerms(mode="attended", ring_s=12, briefing="Say that it is urgent.")


def transfer(destination: str, **arguments: str) -> ToolCall:
    return ToolCall("t", "transfer_call", json.dumps({"destination": destination, **arguments}))


def called(model: Scripted, plan: Plan = SALES, *outcomes: tuple[float, TransferOutcome]) -> Stage:
    """A caller who hears the greeting until 0.6 s, and says "sales please" from 2 s to 2.6 s."""
    stage = Stage(plan, model)
    stage.outcomes = list(outcomes)
    stage.at(0, e.Answered())
    stage.says(2, "sales please")
    return stage


def left(stage: Stage) -> list[float]:
    return [time for time, command in stage.log if isinstance(command, c.HandOver)]


def announced(stage: Stage) -> float:
    """Run until the announcement of SALES can be heard."""
    while stage.conversation.state is not State.LEAVING or stage.line.playing is None:
        assert stage.now < 10
        stage.run(stage.now + 0.02)
    return stage.now


def told(stage: Stage) -> list[str]:
    """The system messages that are part of the history."""
    return [message.content for message in stage.conversation.history if message.role == "system"]


# before


def test_nobody_is_put_through_before_the_announcement_has_been_heard() -> None:
    stage = called(Scripted(["One moment.", transfer("+31201234567")])).run(20)
    heard = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert left(stage) == [pytest.approx(heard)]
    assert stage.spoken()[-1] == "Sales will help you."


def test_what_the_caller_says_over_the_announcement_does_not_stop_it_and_is_on_record() -> None:
    model = Scripted([transfer("+31201234567")], ["I could not reach them."])
    stage = called(model, SALES, (5, "no_answer"))
    stage.says(announced(stage), "wait please")
    stage.run(30)
    assert not stage.commands(c.Flush)
    assert stage.transcript().index("user: wait please") < stage.transcript().index(
        "assistant: I could not reach them."
    )


def test_a_caller_who_hangs_up_during_the_announcement_is_not_put_through() -> None:
    stage = called(Scripted([transfer("+31201234567")]))
    stage.at(announced(stage) + 0.5, e.HungUp())
    stage.run(20)
    assert not left(stage)
    assert stage.conversation.history[-1].interrupted


def test_an_announcement_that_the_voice_fails_on_keeps_nobody_from_being_put_through() -> None:
    stage = called(Scripted([transfer("+31201234567")]))
    announced(stage)
    (speak,) = (each for _, each in stage.log if isinstance(each, c.Speak) and each.text == "Sales will help you.")
    stage.line.queue.remove(speak.segment)
    stage.feed(e.SpeechFailed(speak.segment, ProviderError("scripted", "tts", "dropped")))
    assert stage.log[-1][1] == c.HandOver("+31201234567", "transferred")


def test_the_model_learns_of_a_refusal_before_a_word_of_the_announcement_is_said() -> None:
    model = Scripted([transfer("+31201234567")], ["I may not call them."])
    stage = called(model, replace(SALES, refusal=lambda destination: f"{destination} is denied")).run(20)
    assert stage.spoken() == ["Good day.", "I may not call them."]
    assert "+31201234567 is denied" in model.asked[1].messages[-1].content
    assert not left(stage)


def test_a_summary_is_for_attended_transfers_and_bounded() -> None:
    attended = replace(SALES, transfers=(Transfer("100", terms=ATTENDED), Transfer("200")))
    stage = called(Scripted([transfer("100", summary="He  asks\nfor a quote. " * 99)]), attended).run(20)
    (command,) = (each for _, each in stage.log if isinstance(each, c.HandOver))
    assert command.terms.mode == "attended" and command.terms.ring_s == 12
    assert command.terms.summary.startswith("He asks for a quote. He asks")
    assert len(command.terms.summary) == LONGEST_SUMMARY
    stage = called(Scripted([transfer("200", summary="He asks.")]), attended).run(20)
    assert stage.log[-1][1] == c.HandOver("200", "transferred")


def test_an_order_says_how_somebody_is_put_through() -> None:
    stage = called(Scripted())
    stage.at(1, e.Instructed("transfer", "One moment.", destination="100", terms=ATTENDED))
    stage.run(5)
    assert stage.log[-1][1] == c.HandOver("100", "transferred", terms=ATTENDED)


# meanwhile


def test_while_he_is_away_nothing_is_waited_for() -> None:
    plan = replace(SALES, silence=SilencePlan(), max_duration=20)
    stage = called(Scripted([transfer("100")]), plan)
    stage.run(19)
    assert stage.conversation.away
    before = len(stage.log)
    stage.run(300)
    assert stage.conversation.away and len(stage.log) == before


def test_a_caller_who_gives_up_while_it_rings_has_hung_up() -> None:
    stage = called(Scripted([transfer("100")])).run(10)
    stage.feed(e.HungUp("user_hangup", 16))
    assert stage.conversation.state is State.ENDED


def test_somebody_who_is_taken_has_been_transferred() -> None:
    stage = called(Scripted([transfer("100")])).run(10)
    stage.feed(e.HungUp("transferred"))
    assert stage.conversation.state is State.ENDED


def test_what_the_model_is_to_know_waits_and_what_is_to_be_said_is_refused() -> None:
    model = Scripted([transfer("100")], ["Nobody is there."])
    stage = called(model, SALES, (10, "no_answer"))
    stage.at(8, e.Instructed("inject", "He is a good customer.", then=True), e.Instructed("say", "Still there?"))
    stage.run(30)
    assert "instructed_too_late" in stage.notes()
    assert told(stage)[0] == "He is a good customer."
    assert "Still there?" not in stage.spoken()


def test_an_order_to_end_the_call_ends_it_while_it_rings() -> None:
    stage = called(Scripted([transfer("100")])).run(10)
    stage.feed(e.Instructed("end", "Goodbye."))
    assert stage.log[-1][1] == c.HangUp("api_end_call")


def test_words_that_the_recogniser_had_not_finished_are_not_lost() -> None:
    model = Scripted([transfer("100")], ["Nobody is there."])
    stage = called(model, SALES, (10, "no_answer"))
    stage.at(8, e.Final("and thank you"))
    stage.run(30)
    assert "user: and thank you" in stage.transcript()


def test_a_tool_that_answers_meanwhile_is_known_when_he_is_back() -> None:
    model = Scripted([ToolCall("b", "book", "{}"), transfer("100")], ["Nobody is there."])
    stage = called(model, SALES, (10, "no_answer"))
    stage.delays = replace(stage.delays, tool=6)
    stage.run(30)
    assert "tool: done" in stage.transcript()
    assert stage.spoken()[-1] == "Nobody is there."


def test_keys_that_were_being_collected_end_with_the_line() -> None:
    plan = replace(SALES, collectors=(Collector(name="card", prompt="Key in your card."),))
    model = Scripted([ToolCall("k", "card", "{}")], ["Never mind."])
    stage = called(model, plan, (5, "busy")).run(6)
    stage.feed(e.Instructed("transfer", "", destination="100"))
    stage.run(30)
    assert stage.spoken()[-1] == "Never mind."


def test_hold_and_its_end_do_not_bring_him_back() -> None:
    stage = called(Scripted([transfer("100")], ["Nobody is there."]), SALES, (20, "no_answer"))
    stage.at(8, e.HoldChanged(True))
    stage.at(9, e.HoldChanged(False))
    stage.run(15)
    assert stage.conversation.state is State.AWAY
    assert stage.run(40).spoken()[-1] == "Nobody is there."


def test_who_is_on_hold_when_nobody_takes_him_is_told_so_afterwards() -> None:
    stage = called(Scripted([transfer("100")], ["Nobody is there."]), SALES, (20, "no_answer"))
    stage.at(8, e.HoldChanged(True))
    stage.at(60, e.HoldChanged(False))
    stage.run(20)
    assert stage.conversation.away and stage.conversation.state is State.HELD
    stage.run(80)
    (heard,) = [time for time, event in stage.events if isinstance(event, e.PlayoutFinished) and time > 50]
    assert heard > 60


# back


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("declined", "did not want to take the call"),
        ("busy", "was busy"),
        ("no_answer", "nobody answered"),
        ("failed", "could not be made"),
    ],
)
def test_the_model_knows_what_became_of_it_and_says_so_at_once(outcome: TransferOutcome, words: str) -> None:
    model = Scripted([transfer("+31201234567")], ["They did not answer, I am sorry."])
    stage = called(model, SALES, (15, outcome)).run(40)
    (back,) = [time for time, event in stage.events if isinstance(event, e.TransferEnded)]
    question = model.asked[1].messages
    assert words in question[-2].content and "+31201234567" in question[-2].content
    assert question[-1].content == SAY_SO
    assert words in told(stage)[0] and SAY_SO not in told(stage)
    heard = [time for time, event in stage.events if isinstance(event, e.PlayoutStarted) and time > back]
    assert heard[0] - back < 0.6
    assert stage.conversation.state is State.QUIET


def test_the_conversation_goes_on_as_if_it_had_never_been_away() -> None:
    model = Scripted([transfer("100")], ["Nobody is there."], ["We open at nine."])
    stage = called(model, SALES, (15, "no_answer"))
    stage.says(24, "when do you open")
    stage.run(40)
    assert stage.transcript()[-2:] == ["user: when do you open", "assistant: We open at nine."]
    assert [turn.turn.number for turn in stage.turns()] == sorted(turn.turn.number for turn in stage.turns())


def test_the_caller_may_interrupt_what_he_is_told() -> None:
    model = Scripted([transfer("100")], ["Nobody is there " + "and I am very sorry " * 5], ["Fine."])
    stage = called(model, SALES, (15, "no_answer"))
    stage.says(20, "then call me back please")
    stage.run(40)
    assert stage.commands(c.Flush)
    assert stage.spoken()[-1] == "Fine."


def test_another_one_may_be_tried_and_not_for_ever() -> None:
    tries = [[transfer("100")]] * 3
    model = Scripted(*tries, ["That is enough."])
    plan = replace(SALES, max_transfers=2)
    stage = called(model, plan, (5, "busy"), (5, "no_answer"), (5, "busy")).run(60)
    assert len(left(stage)) == 2
    assert "often enough" in model.asked[-1].messages[-1].content
    assert stage.spoken()[-1] == "That is enough."


def test_a_model_that_fails_on_his_return_apologises() -> None:
    model = Scripted([transfer("100")], [ProviderError("scripted", "llm", "stalled")])
    stage = called(model, SALES, (5, "busy")).run(30)
    assert stage.spoken()[-1] == Phrases().apology


def test_silence_after_the_return_is_handled_as_ever() -> None:
    plan = replace(SALES, silence=SilencePlan(messages=("Still there?",), max_attempts=1))
    stage = called(Scripted([transfer("100")], ["Nobody is there."]), plan, (15, "no_answer")).run(60)
    assert stage.spoken()[-2:] == ["Nobody is there.", "Still there?"]
    assert stage.log[-1][1] == c.HangUp("silence_timeout")


def test_a_limit_that_passed_while_it_rang_leaves_time_to_be_told() -> None:
    plan = replace(SALES, max_duration=10, phrases=Phrases(goodbye="Bye."))
    stage = called(Scripted([transfer("100")], ["Nobody is there."]), plan, (15, "no_answer")).run(90)
    (back,) = [time for time, event in stage.events if isinstance(event, e.TransferEnded)]
    assert stage.spoken()[-2:] == ["Nobody is there.", "Bye."]
    assert stage.log[-1][1] == c.HangUp("max_duration")
    assert stage.log[-1][0] >= back + 30


def test_who_had_not_agreed_to_be_recorded_is_asked_again() -> None:
    plan = replace(SALES, consent=Consent(message="Press 1."))
    stage = Stage(plan)
    stage.outcomes = [(5, "busy")]
    stage.at(0, e.Answered())
    stage.at(1, e.Instructed("transfer", "", destination="100"))
    stage.run(6.5)
    assert stage.conversation.state is State.CONSENT
    assert stage.spoken() == ["Press 1.", "Press 1."]


def test_without_a_transfer_there_is_none_to_end() -> None:
    stage = called(Scripted(["Hello."])).run(10)
    before = list(stage.log)
    stage.feed(e.TransferEnded("busy"))
    assert stage.log == before


# workflows


def test_a_workflow_says_its_sentence_and_goes_on_where_the_model_talked_last() -> None:
    model = Scripted([to("person")], ["What about your bill?"])
    plan = Plan(first_message="Good day.", workflow=graph())
    stage = called(model, plan, (5, "no_answer"))
    stage.says(20, "my bill please")
    stage.run(40)
    assert stage.spoken()[-2:] == [Phrases().transfer_failed, "What about your bill?"]
    assert not stage.commands(c.Enter)


def test_without_a_sentence_a_workflows_model_finds_the_words() -> None:
    plan = Plan(first_message="Good day.", workflow=graph(), phrases=Phrases(transfer_failed=""))
    stage = called(Scripted([to("person")], ["Nobody is there."]), plan, (5, "no_answer")).run(40)
    assert stage.spoken()[-1] == "Nobody is there."


def test_a_workflow_that_came_from_a_tool_has_the_tools_of_its_talk_again() -> None:
    ways = graph(look_up=ToolNode(tool="orders", way=Way("person")))
    stage = called(Scripted([to("look_up")]), Plan(first_message="Good day.", workflow=ways), (5, "busy")).run(40)
    assert [command for _, command in stage.commands(c.Enter)] == [c.Enter("look_up"), c.Enter("entry")]
    assert stage.spoken()[-1] == Phrases().transfer_failed


def test_a_way_to_somebody_who_may_not_be_called_is_refused_before_a_word() -> None:
    plan = Plan(
        first_message="Good day.", workflow=graph(message="I'll connect you."), refusal=lambda to: "it is denied"
    )
    model = Scripted([to("person")], ["I can't do that."])
    stage = called(model, plan).run(20)
    assert stage.spoken() == ["Good day.", "I can't do that."]
    assert "it is denied" in model.asked[1].messages[-1].content


def test_a_way_from_a_tool_to_somebody_who_may_not_be_called_is_refused_before_a_word() -> None:
    ways = graph(look_up=ToolNode(tool="orders", way=Way("person", "I'll connect you.")), billing=talking(BILLING))
    plan = Plan(first_message="Good day.", workflow=ways, refusal=lambda to: "it is denied")
    stage = called(Scripted([to("look_up")]), plan).run(20)
    assert stage.spoken()[-1] == Phrases().transfer_failed
    assert "I'll connect you." not in stage.spoken()
    assert not left(stage)
