"""Tools: used, waited for, covered, and never lost."""

import json
from collections.abc import Sequence

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.destinations import NO_DESTINATION
from sovereign_pbx.core.moves.thinking import NO_MORE_TOOLS
from sovereign_pbx.core.plan import Phrases, Plan, ToolMessage, Transfer, TurnTaking
from sovereign_pbx.core.values import Message, ToolCall
from tests.core.scripted import WORD_S, Delays, Part, Stage

BOOK = ToolCall("t1", "book", '{"table": 2}')
STOCK = ToolCall("t2", "stock", "{}")
FELL_SILENT = 1 + 4 * WORD_S  # "book me a table"


class Scripted:
    """A model with one list of parts for each reply; the last one again when they run out."""

    def __init__(self, *replies: Sequence[Part]) -> None:
        self.replies = list(replies)
        self.asked: list[c.Think] = []

    def __call__(self, think: c.Think) -> Sequence[Part]:
        self.asked.append(think)
        return self.replies[min(len(self.asked), len(self.replies)) - 1]


def called(model: Scripted, plan: Plan | None = None, **options: object) -> Stage:
    stage = Stage(plan or Plan(), model, **options)  # type: ignore[arg-type]  # passed on as they are
    stage.at(0, e.Answered())
    stage.says(1, "book me a table")
    return stage


def times(stage: Stage, kind: type[c.Command]) -> list[float]:
    return [time for time, _ in stage.commands(kind)]


def test_a_tool_is_used_and_its_result_answered() -> None:
    model = Scripted([BOOK], ["Done, table two is yours."])
    stage = called(model).run(10)
    assert [command for _, command in stage.commands(c.UseTool)] == [c.UseTool(BOOK)]
    assert model.asked[1].messages == (
        Message("user", "book me a table"),
        Message("assistant", "", (BOOK,)),
        Message("tool", "done", tool_call_id="t1"),
    )
    assert stage.conversation.history == (
        *model.asked[1].messages,
        Message("assistant", "Done, table two is yours."),
    )


def test_what_was_said_before_the_tool_is_kept() -> None:
    model = Scripted(["Let me see.", BOOK], ["Done."])
    stage = called(model).run(10)
    assert stage.conversation.history[1] == Message("assistant", "Let me see.", (BOOK,))
    assert stage.spoken() == ["Let me see.", "Done."]


def test_the_model_is_asked_again_as_soon_as_the_result_is_there_not_when_the_announcement_ends() -> None:
    model = Scripted(["Let me see whether there is still a table for you.", BOOK], ["Done."])
    stage = called(model, delays=Delays(tool=0.1)).run(10)
    first_end = next(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert times(stage, c.Think)[1] < first_end


def test_tools_run_side_by_side_and_their_results_stand_in_the_order_of_the_calls() -> None:
    model = Scripted([BOOK, STOCK], ["Done."])
    stage = called(model)
    stage.tool_results = {"book": None, "stock": None}
    stage.at(4, e.ToolFinished("t2", "three left"))
    stage.at(4.5, e.ToolFinished("t1", "booked"))
    stage.run(10)
    assert times(stage, c.UseTool) == pytest.approx([times(stage, c.UseTool)[0]] * 2)
    assert times(stage, c.Think)[1] == pytest.approx(4.5)
    assert [message.content for message in model.asked[1].messages[2:]] == ["booked", "three left"]


def test_a_failed_tool_is_told_to_the_model() -> None:
    model = Scripted([BOOK], ["That did not work."])
    stage = called(model)
    stage.tool_results = {"book": None}
    stage.at(3.5, e.ToolFinished("t1", "no table left", failed=True))
    stage.run(10)
    assert stage.transcript()[-2:] == ["tool: no table left", "assistant: That did not work."]
    assert "tool_failed" in stage.notes()


def test_a_slow_tool_is_covered_by_one_filler() -> None:
    stage = called(Scripted([BOOK], ["Done."]), delays=Delays(tool=8)).run(20)
    assert stage.spoken() == [Phrases().filler, "Done."]
    assert times(stage, c.Speak)[0] == pytest.approx(times(stage, c.UseTool)[0] + Plan().tool_filler_after)
    assert stage.transcript()[1:] == [
        "assistant: ",
        "tool: done",
        f"assistant: {Phrases().filler}",
        "assistant: Done.",
    ]


def test_a_quick_tool_is_not_covered() -> None:
    assert called(Scripted([BOOK], ["Done."]), delays=Delays(tool=0.9)).run(20).spoken() == ["Done."]


def test_a_filler_is_not_the_answer_that_the_timing_measures() -> None:
    stage = called(Scripted([BOOK], ["Done."]), delays=Delays(tool=8)).run(20)
    timing = stage.turns()[0].turn.timing
    assert timing is not None
    assert timing.tool_ms == pytest.approx(8000)
    decided_ms = (times(stage, c.Think)[0] - FELL_SILENT) * 1000
    assert timing.total_ms == pytest.approx(decided_ms + 300 + 8000 + 300 + 150 + 0, abs=20)


def test_a_slow_model_is_covered_by_a_filler_too() -> None:
    stage = called(Scripted(["Done."]), delays=Delays(first_token=5)).run(20)
    assert stage.spoken() == [Phrases().filler, "Done."]
    assert times(stage, c.Speak)[0] == pytest.approx(FELL_SILENT + Plan().reply_filler_after)


def test_a_model_that_never_stops_asking_for_tools_is_stopped() -> None:
    calls = [[ToolCall(f"t{number}", "book", "{}")] for number in range(50)]
    stage = called(Scripted(*calls), Plan(max_tool_rounds=3), delays=Delays(tool=0.1)).run(30)
    assert len(stage.commands(c.UseTool)) == 3
    assert f"tool: {NO_MORE_TOOLS}" in stage.transcript()
    assert stage.spoken()[-1] == Phrases().apology


def test_calls_without_a_number_of_their_own_get_one() -> None:
    same = ToolCall("", "book", "{}")
    stage = called(Scripted([same, same], [same], ["Done."])).run(10)
    ids = [command.call.id for _, command in stage.commands(c.UseTool) if isinstance(command, c.UseTool)]
    assert len(set(ids)) == 3
    assert stage.transcript()[-1] == "assistant: Done."


def test_the_result_of_an_unknown_tool_changes_nothing() -> None:
    stage = called(Scripted(["Done."]))
    stage.at(2, e.ToolFinished("nobody", "asked"))
    assert stage.run(10).transcript() == ["user: book me a table", "assistant: Done."]


# interruptions (the caller speaks while a tool runs)


def test_a_tool_in_flight_survives_an_interruption_and_its_result_is_used() -> None:
    model = Scripted(["One second, let me look that up for you in the book.", BOOK], ["Table two at eight."])
    stage = called(model, delays=Delays(tool=6))
    stage.says(4.5, "make it eight")
    stage.run(20)
    assert len(stage.commands(c.UseTool)) == 1
    assert [message.role for message in model.asked[-1].messages] == ["user", "assistant", "tool", "user"]
    assert model.asked[-1].messages[-2].content == "done"
    assert stage.transcript()[-1] == "assistant: Table two at eight."


def test_a_result_that_comes_while_the_caller_speaks_is_not_lost() -> None:
    model = Scripted([BOOK], ["Table two at eight."])
    stage = called(model, delays=Delays(tool=1.0))
    stage.says(3.5, "and make it eight o'clock please thank you")
    stage.run(20)
    assert stage.transcript()[2:] == [
        "tool: done",
        "user: and make it eight o'clock please thank you",
        "assistant: Table two at eight.",
    ]


def test_a_result_that_comes_while_a_cough_is_doubted_is_answered_after_it() -> None:
    model = Scripted([BOOK], ["Done."])
    stage = called(model, delays=Delays(tool=1.0))
    stage.noise(3.7, 0.4)
    stage.run(20)
    assert stage.transcript()[-1] == "assistant: Done."


def test_a_tool_asked_for_while_the_caller_interrupts_waits_until_he_has_not() -> None:
    model = Scripted(["I will book it then, at eight.", BOOK], ["Done."])
    stage = called(model, delays=Delays(first_token=0.3, token=0.1))
    stage.noise(3.2, 0.4)
    stage.run(20)
    assert times(stage, c.UseTool)[0] >= times(stage, c.Resume)[0]
    assert stage.transcript()[-1] == "assistant: Done."


def test_a_tool_asked_for_while_the_caller_takes_it_back_is_never_used() -> None:
    model = Scripted(["I will book it then, at eight.", BOOK], ["All right."])
    stage = called(model, delays=Delays(first_token=0.3, token=0.1))
    stage.says(3.2, "no wait")
    stage.run(20)
    assert not stage.commands(c.UseTool)
    assert all(not message.tool_calls for message in stage.conversation.history)


def test_a_call_that_ends_leaves_no_tool_running_in_the_history() -> None:
    stage = called(Scripted([BOOK]), delays=Delays(tool=60))
    stage.at(5, e.HungUp())
    stage.run(6)
    assert stage.transcript()[-2:] == [
        "tool: The call ended before the tool answered.",
        f"assistant: {Phrases().filler}",
    ] or (stage.transcript()[2] == "tool: The call ended before the tool answered.")


# the conversation's own tools


def test_end_call_hangs_up_when_the_goodbye_has_been_heard() -> None:
    stage = called(Scripted(["Thank you, goodbye.", ToolCall("t", "end_call", "{}")])).run(20)
    ended = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert stage.log[-1] == (pytest.approx(ended), c.HangUp("assistant_hangup"))  # type: ignore[comparison-overlap]  # approx compares
    assert "assistant: Thank you, goodbye." in stage.transcript()


def test_end_call_without_words_says_the_configured_goodbye() -> None:
    plan = Plan(phrases=Phrases(goodbye="Bye now."))
    stage = called(Scripted([ToolCall("t", "end_call", "")]), plan).run(20)
    assert stage.spoken() == ["Bye now."]
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")


def test_end_call_without_any_words_hangs_up_at_once() -> None:
    stage = called(Scripted([ToolCall("t", "end_call", "")])).run(20)
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")


def test_the_goodbye_is_not_interrupted_and_what_the_caller_says_over_it_is_on_record() -> None:
    stage = called(Scripted(["Thank you for calling us, goodbye.", ToolCall("t", "end_call", "{}")]))
    stage.says(3.7, "bye")
    stage.run(20)
    assert not stage.commands(c.Flush)
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")
    assert stage.transcript()[-1] == "user: bye"


SALES = Plan(transfers=(Transfer("+31201234567", "Sales will help you."), Transfer("100")))


def transfer(destination: str) -> ToolCall:
    return ToolCall("t", "transfer_call", json.dumps({"destination": destination}))


def test_a_transfer_follows_what_the_model_said() -> None:
    stage = called(Scripted(["I am connecting you.", transfer("100")]), SALES).run(20)
    ended = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert stage.log[-1] == (pytest.approx(ended), c.HandOver("100", "transferred"))  # type: ignore[comparison-overlap]  # approx compares
    assert not stage.commands(c.UseTool)


def test_the_destinations_own_message_is_said_before_the_transfer() -> None:
    stage = called(Scripted(["One moment.", transfer("+31201234567")]), SALES).run(20)
    assert stage.spoken() == ["One moment.", "Sales will help you."]
    assert stage.log[-1][1] == c.HandOver("+31201234567", "transferred")


def test_a_destination_may_be_written_as_people_write_numbers() -> None:
    stage = called(Scripted([transfer("+31 20-123 45 67")]), SALES).run(20)
    assert stage.log[-1][1] == c.HandOver("+31201234567", "transferred")


def test_the_model_can_not_be_talked_into_a_destination_of_the_callers() -> None:
    model = Scripted([transfer("+31900123456")], ["I can't do that."])
    stage = called(model, SALES).run(20)
    assert f"tool: {NO_DESTINATION}" in stage.transcript()
    assert not stage.commands(c.HandOver)


def test_built_in_tools_may_have_names_of_their_own() -> None:
    plan = Plan(end_call_tools=("goodbye",), transfer_tools=("connect",), transfers=(Transfer("100"),))
    stage = called(Scripted([ToolCall("t", "connect", '{"destination": "100"}')]), plan).run(20)
    assert stage.log[-1][1] == c.HandOver("100", "transferred")
    stage = called(Scripted([ToolCall("t", "goodbye", "{}")]), plan).run(20)
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")


def test_a_tools_own_message_is_said_as_soon_as_it_runs() -> None:
    plan = Plan(tool_messages=(ToolMessage("book", "I am booking it."),))
    model = Scripted([BOOK], ["Done."])
    stage = called(model, plan, delays=Delays(tool=4)).run(20)
    assert stage.spoken() == ["I am booking it.", "Done."]
    assert times(stage, c.Speak)[0] == times(stage, c.UseTool)[0]
    assert [message.role for message in model.asked[1].messages] == ["user", "assistant", "tool"]


def test_tools_that_run_together_say_the_same_message_once() -> None:
    same = tuple(ToolMessage(name, "One moment.") for name in ("book", "stock"))
    stage = called(Scripted([BOOK, STOCK], ["Done."]), Plan(tool_messages=same)).run(20)
    assert stage.spoken() == ["One moment.", "Done."]


@pytest.mark.parametrize("arguments", ["", "nonsense", "[1]", '{"destination": 7}', '{"destination": " "}', "[" * 9999])
def test_a_transfer_to_nowhere_is_told_to_the_model(arguments: str) -> None:
    model = Scripted([ToolCall("t", "transfer_call", arguments)], ["Whom do you want?"])
    stage = called(model, SALES).run(20)
    assert f"tool: {NO_DESTINATION}" in stage.transcript()
    assert stage.transcript()[-1] == "assistant: Whom do you want?"


def test_an_interruption_of_a_long_tool_needs_no_duration_to_be_kept() -> None:
    plan = Plan(turn_taking=TurnTaking(false_interruption_timeout=None))
    model = Scripted([BOOK], ["Done."])
    stage = called(model, plan, delays=Delays(tool=3))
    stage.says(4, "hello are you there")
    stage.run(20)
    assert [message.role for message in model.asked[-1].messages] == ["user", "assistant", "tool", "user"] or (
        model.asked[-1].messages[-1].content == "hello are you there"
    )


def test_a_caller_who_spoke_meanwhile_is_told_to_wait_again() -> None:
    stage = called(Scripted([BOOK], ["Done."]), delays=Delays(tool=15))
    stage.says(6, "hello are you there")
    stage.run(30)
    phrases = Phrases()
    assert stage.spoken() == [phrases.filler, phrases.more_fillers[0], phrases.still_waiting[0], "Done."]
