"""Workflows in virtual time: which node is next, what is said on the way, and what the model is told there."""

from collections.abc import Callable

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.moves.thinking import MOVED, ONE_WAY, TOO_FAR
from sovereign_pbx.core.plan import Phrases, Plan, SilencePlan, Standing, ToolMessage, Transfer
from sovereign_pbx.core.talk import NOT_MOVED
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.core.walk import TAKE_UP
from sovereign_pbx.core.workflow import MOST_STEPS, EndNode, Graph, Node, TalkNode, ToolNode, TransferNode, Way
from tests.core.scripted import Delays, Part, Stage
from tests.core.test_tools import Scripted

ENTRY, BILLING, ORDERS = (Message("system", text) for text in ("Find out what it is.", "Talk bills.", "Talk orders."))
LOOK_UP = '{"source": "telephone"}'


def to(node: str) -> ToolCall:
    return ToolCall("c1", f"go_to_{node}", "{}")


def talking(instructions: Message, ways: dict[str, Way] | None = None, **fields: object) -> TalkNode:
    named = {f"go_to_{name}": way for name, way in (ways or {}).items()}
    return TalkNode(standing=Standing(messages=(instructions,)), ways=named, **fields)  # type: ignore[arg-type]  # passed on as they are


def graph(*, message: str = "", first_line: str = "", **nodes: Node) -> Graph:
    usual: dict[str, Node] = {
        "entry": talking(
            ENTRY,
            {
                "billing": Way("billing", message),
                "look_up": Way("look_up", message),
                "person": Way("person", message),
                "end": Way("end", message),
            },
        ),
        "billing": talking(BILLING, {"entry": Way("entry")}, first_line=first_line),
        "look_up": ToolNode(tool="orders", arguments=LOOK_UP, way=Way("orders"), first_line="I am looking."),
        "orders": talking(ORDERS),
        "person": TransferNode(destination="+31201234567", first_line="Here is a colleague."),
        "end": EndNode(first_line="Goodbye."),
    }
    return Graph("entry", {**usual, **nodes})


def called(model: Scripted, workflow: Graph | None = None, *, delays: Delays | None = None, **plan: object) -> Stage:
    """A caller who hears the greeting until 0.6 s, and says "my bill" from 2 s to 2.6 s."""
    workflow = workflow or graph()
    settled = Plan(first_message="Good day.", workflow=workflow, **plan)  # type: ignore[arg-type]  # passed on as they are
    stage = Stage(settled, model, delays=delays)
    stage.at(0, e.Answered())
    stage.says(2, "my bill")
    return stage


def asked(model: Scripted, number: int) -> list[Message]:
    return list(model.asked[number].messages)


def values(stage: Stage, name: str) -> list[dict[str, object]]:
    return [command.values for _, command in stage.log if isinstance(command, c.Note) and command.name == name]


# conversation nodes


def test_the_call_begins_with_the_instructions_of_the_entry() -> None:
    model = Scripted(["Which bill?"])
    stage = called(model).run(10)
    assert asked(model, 0)[0] == ENTRY
    assert values(stage, "workflow_begins") == [{"node": "entry"}]


def test_an_entry_without_a_greeting_lets_the_model_begin() -> None:
    model = Scripted(["Good day."])
    stage = Stage(Plan(workflow=graph()), model)
    stage.at(0, e.Answered())
    stage.run(5)
    assert asked(model, 0) == [ENTRY]
    assert stage.transcript() == ["assistant: Good day."]
    assert stage.conversation.state is State.QUIET


def test_without_a_first_line_the_model_speaks_at_once_by_the_new_instructions() -> None:
    model = Scripted([to("billing")], ["Let us look at your bill."])
    stage = called(model).run(10)
    assert asked(model, 1)[0] == BILLING
    assert asked(model, 1)[-1] == Message("tool", MOVED, tool_call_id="c1")
    assert stage.spoken() == ["Good day.", "Let us look at your bill."]


def test_a_first_line_is_said_exactly_and_the_caller_is_next() -> None:
    model = Scripted([to("billing")], ["Thank you."])
    stage = called(model, graph(first_line="What is on your *bill*?"))
    stage.says(6, "ten euros")
    stage.run(12)
    assert stage.spoken() == ["Good day.", "What is on your *bill*?", "Thank you."]
    assert len(model.asked) == 2
    assert asked(model, 1)[0] == BILLING
    assert asked(model, 1)[-2:] == [Message("assistant", "What is on your *bill*?"), Message("user", "ten euros")]


def test_the_message_of_the_edge_is_said_before_the_node_is_entered() -> None:
    model = Scripted(["Sure.", to("billing")], ["Your bill then."])
    stage = called(model, graph(message="One moment.")).run(12)
    kinds = [command for _, command in stage.log if isinstance(command, c.Speak | c.Enter)][1:]
    assert [each.text if isinstance(each, c.Speak) else each for each in kinds] == [
        "Sure.",
        "One moment.",
        c.Enter("billing"),
        "Your bill then.",
    ]
    assert asked(model, 1)[-1] == Message("system", TAKE_UP)
    assert values(stage, "workflow_step") == [{"origin": "entry", "to": "billing"}]


def test_the_model_may_come_back() -> None:
    model = Scripted([to("billing")], ["Your bill?"], [to("entry")], ["Back again."])
    stage = called(model)
    stage.says(6, "no the other thing")
    stage.run(12)
    assert [asked(model, number)[0] for number in range(4)] == [ENTRY, BILLING, BILLING, ENTRY]
    assert stage.spoken()[-1] == "Back again."


def test_tools_of_one_node_are_not_those_of_another() -> None:
    standing = Standing(
        messages=(BILLING,),
        end_call_tools=("stop",),
        transfer_tools=("connect",),
        transfers=(Transfer("100"),),
        tool_messages=(ToolMessage("book", "I am booking."),),
    )
    model = Scripted([ToolCall("x", "stop", "{}")], [to("billing")], [ToolCall("y", "stop", "{}")])
    workflow = graph(billing=TalkNode(standing=standing, first_line="Bills."))
    stage = called(model, workflow)
    stage.says(8, "that is all")
    stage.run(20)
    assert [command.call.name for _, command in stage.log if isinstance(command, c.UseTool)] == ["stop"]
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")


def test_a_node_may_change_the_language_and_the_phrases_from_there_on() -> None:
    dutch = Phrases(apology="Pardon?")
    model = Scripted([to("billing")], ["Uw rekening?"], [ProviderError("scripted", "llm", "stalled")])
    stage = called(model, graph(billing=talking(BILLING, language="nl", phrases=dutch)))
    stage.says(6, "tien euro")
    stage.run(12)
    assert stage.spoken()[-1] == "Pardon?"
    assert stage.conversation._talk.plan.language == "nl"


# tool nodes


def test_a_tool_node_calls_its_tool_and_goes_on_with_the_result() -> None:
    model = Scripted([to("look_up")], ["It is on its way."])
    stage = called(model)
    stage.tool_results = {"orders": "shipped"}
    stage.run(12)
    (use,) = (command for _, command in stage.log if isinstance(command, c.UseTool))
    assert (use.call.name, use.call.arguments) == ("orders", LOOK_UP)
    told = asked(model, 1)
    assert told[0] == ORDERS
    assert told[-1] == Message("tool", "shipped", tool_call_id=use.call.id)
    assert stage.spoken() == ["Good day.", "I am looking.", "It is on its way."]
    assert [each.node for _, each in stage.log if isinstance(each, c.Enter)] == ["look_up", "orders"]


def test_a_tool_node_goes_on_when_its_tool_failed() -> None:
    model = Scripted([to("look_up")], ["I could not find it."])
    stage = called(model)
    stage.tool_results = {"orders": None}
    stage.at(5, e.ToolFinished("call-1", "no answer", failed=True))
    stage.run(12)
    assert asked(model, 1)[0] == ORDERS
    assert asked(model, 1)[-1].content == "no answer"


def test_a_caller_who_speaks_while_a_tool_node_works_is_heard_and_answered_at_the_next_node() -> None:
    model = Scripted([to("look_up")], ["It is on its way."])
    stage = called(model, graph(look_up=ToolNode(tool="orders", way=Way("orders"))), delays=Delays(tool=4))
    stage.says(4, "is it on its way")
    stage.run(20)
    assert asked(model, 1)[0] == ORDERS
    assert asked(model, 1)[-1] == Message("user", "is it on its way")
    assert stage.spoken()[-1] == "It is on its way."


def test_a_slow_tool_node_is_covered_by_the_filler() -> None:
    model = Scripted([to("look_up")], ["Done."])
    stage = called(model, graph(look_up=ToolNode(tool="orders", way=Way("orders"))), delays=Delays(tool=6)).run(20)
    assert stage.spoken() == ["Good day.", Phrases().filler, "Done."]


def test_a_tool_node_waits_for_its_tool_longer_than_for_its_first_line() -> None:
    stage = called(Scripted([to("look_up")], ["Done."]), delays=Delays(tool=6)).run(20)
    finished = next(time for time, event in stage.events if isinstance(event, e.ToolFinished))
    entered = [time for time, each in stage.log if isinstance(each, c.Enter)]
    assert entered[1] == pytest.approx(finished)


def test_a_caller_who_speaks_while_a_tool_node_works_may_be_at_the_end_afterwards() -> None:
    last = graph(look_up=ToolNode(tool="orders", way=Way("end")), end=EndNode())
    stage = called(Scripted([to("look_up")]), last)
    stage.tool_results = {"orders": None}
    stage.says(4, "is it on its way")
    stage.at(5, e.ToolFinished("call-1", "shipped"))
    stage.run(20)
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")
    assert len(stage.commands(c.HangUp)) == 1
    assert stage.conversation.state is State.ENDED


def test_a_long_call_may_take_as_many_ways_as_it_likes() -> None:
    around = graph(billing=talking(BILLING, {"entry": Way("entry")}), entry=talking(ENTRY, {"billing": Way("billing")}))

    def model(think: c.Think) -> list[Part]:
        if think.messages[-1].role != "user":
            return ["Yes?"]
        return [to("billing" if think.messages[0] == ENTRY else "entry")]

    stage = Stage(Plan(first_message="Good day.", workflow=around), model)
    stage.at(0, e.Answered())
    for turn in range(MOST_STEPS + 4):
        stage.says(2 + 5 * turn, "and now")
    stage.run(5 * MOST_STEPS + 30)
    assert len(values(stage, "workflow_step")) == MOST_STEPS + 4


def test_tool_nodes_in_a_circle_end_at_the_fallback() -> None:
    around = graph(look_up=ToolNode(tool="orders", way=Way("again")), again=ToolNode(tool="orders", way=Way("look_up")))
    stage = called(Scripted([to("look_up")]), around, delays=Delays(tool=0.01)).run(60)
    assert len([1 for _, each in stage.log if isinstance(each, c.UseTool)]) == MOST_STEPS
    assert stage.log[-1][1] == c.HandOver("", "error", "the workflow goes in circles")
    assert "workflow_circle" in stage.notes()


def test_a_model_that_goes_in_circles_without_a_word_has_to_talk() -> None:
    around = graph(billing=talking(BILLING, {"entry": Way("entry")}), entry=talking(ENTRY, {"billing": Way("billing")}))

    def model(think: c.Think) -> list[Part]:
        if think.messages[-1].content == TOO_FAR:
            return ["Let us talk."]
        return [to("billing" if think.messages[0] == ENTRY else "entry")]

    stage = Stage(Plan(first_message="Good day.", workflow=around), model)
    stage.at(0, e.Answered())
    stage.says(2, "my bill")
    stage.run(60)
    assert len(values(stage, "workflow_step")) == MOST_STEPS
    assert stage.spoken()[-1] == "Let us talk."


# transfer and end


def test_a_transfer_node_says_its_line_and_hands_the_caller_over() -> None:
    stage = called(Scripted([to("person")])).run(12)
    assert stage.spoken()[-1] == "Here is a colleague."
    assert stage.log[-1][1] == c.HandOver("+31201234567", "transferred")


def test_an_end_node_says_its_line_and_hangs_up() -> None:
    stage = called(Scripted([to("end")]), graph(message="Thank you.")).run(12)
    assert stage.spoken()[-2:] == ["Thank you.", "Goodbye."]
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")


def test_an_end_node_without_a_line_says_the_usual_goodbye() -> None:
    stage = called(Scripted([to("end")]), graph(end=EndNode()), phrases=Phrases(goodbye="Bye bye.")).run(12)
    assert stage.spoken()[-1] == "Bye bye."


# the caller, the line and what goes wrong


def test_a_caller_who_goes_on_before_the_reply_is_complete_keeps_the_node() -> None:
    """The model has chosen a way, but is still talking when it is interrupted."""
    slow = Delays(token=0.2)
    text = "Then I will connect you with the colleagues who know about bills and reminders and"
    model = Scripted([to("billing"), text], ["Here."])
    stage = called(model, delays=slow)
    stage.says(5, "no wait my order")
    stage.run(12)
    assert asked(model, 1)[0] == ENTRY
    assert NOT_MOVED in [message.content for message in asked(model, 1)]
    assert values(stage, "workflow_step") == []


def test_an_interrupted_first_line_is_in_the_history_as_far_as_it_was_heard() -> None:
    model = Scripted([to("billing")], ["Yes."])
    stage = called(model, graph(first_line="What exactly is it that you see on your bill?"))
    stage.says(4.5, "ten euros")
    stage.run(12)
    (line,) = [message for message in stage.conversation.history if message.content.startswith("What exactly")]
    assert line.interrupted
    assert line.content != "What exactly is it that you see on your bill?"
    assert asked(model, 1)[0] == BILLING


def test_a_second_way_in_one_reply_is_refused() -> None:
    model = Scripted([to("billing"), ToolCall("c2", "go_to_person", "{}")], ["Your bill?"])
    stage = called(model).run(12)
    assert [message.content for message in asked(model, 1) if message.role == "tool"] == [MOVED, ONE_WAY]
    assert [each["to"] for each in values(stage, "workflow_step")] == ["billing"]


def test_a_way_that_another_node_has_is_just_an_unknown_tool() -> None:
    model = Scripted([to("orders")], ["Sorry."])
    stage = called(model).run(12)
    assert [each.call.name for _, each in stage.log if isinstance(each, c.UseTool)] == ["go_to_orders"]
    assert values(stage, "workflow_step") == []


def test_a_reply_that_fails_after_choosing_a_way_still_goes_there() -> None:
    model = Scripted([to("billing"), ProviderError("scripted", "llm", "stalled")], ["Your bill?"])
    stage = called(model).run(12)
    assert stage.spoken()[-1] == "Your bill?"


def test_a_model_that_fails_in_a_node_apologises_there() -> None:
    model = Scripted([to("billing")], [ProviderError("scripted", "llm", "stalled")])
    assert called(model).run(12).spoken()[-1] == Phrases().apology


def test_silence_is_handled_at_every_node() -> None:
    silence = SilencePlan(messages=("Still there?",), final_message="Goodbye then.")
    model = Scripted([to("billing")])
    stage = called(model, graph(first_line="Which bill?"), silence=silence).run(60)
    assert stage.spoken() == ["Good day.", "Which bill?", "Still there?", "Still there?", "Goodbye then."]
    assert stage.log[-1][1] == c.HangUp("silence_timeout")


def test_max_duration_ends_the_call_at_every_node() -> None:
    stage = called(Scripted([to("billing")], ["Hm. " * 40]), max_duration=10.0).run(30)
    assert stage.log[-1][1] == c.HangUp("max_duration")


@pytest.mark.parametrize("order", ["way first", "tool first"])
def test_a_way_waits_for_a_tool_that_was_asked_for_beside_it(order: str) -> None:
    book = ToolCall("t1", "book", "{}")
    parts: list[Part] = [to("billing"), book] if order == "way first" else [book, to("billing")]
    model = Scripted(parts, ["Booked, and your bill?"])
    stage = called(model).run(12)
    finished = next(time for time, event in stage.events if isinstance(event, e.ToolFinished))
    assert [time for time, each in stage.log if isinstance(each, c.Enter)] == [pytest.approx(finished)]
    told = asked(model, 1)
    assert told[0] == BILLING
    assert {message.content for message in told if message.role == "tool"} == {MOVED, "done"}


def test_on_hold_a_tool_node_goes_on_and_is_heard_afterwards() -> None:
    model = Scripted([to("look_up")], ["It is on its way."])
    stage = called(model)
    stage.at(3.5, e.HoldChanged(True))
    stage.at(9, e.HoldChanged(False))
    stage.run(20)
    assert stage.transcript()[-1] == "assistant: It is on its way."


def feed_everything(build: Callable[[], Stage]) -> None:
    first, second = build().run(30), build().run(30)
    assert first.log == second.log


def test_the_same_call_walks_the_same_way() -> None:
    feed_everything(lambda: called(Scripted([to("look_up")], ["It is on its way."])))
