"""What users of other engines complain about where answers are begun early: cost, and things done twice or too soon."""

from dataclasses import replace

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, SpeculationPlan, Standing
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.core.workflow import EndNode, Graph, TalkNode, ToolNode, TransferNode, Way
from tests.core.scripted import Delays, Part, Stage

QUESTION = "what time do you open?"
ANSWER = "We open at nine, and we close at five."
AHEAD = Plan(
    messages=(Message("system", "You are a baker."),),
    speculation=SpeculationPlan(),
    reply_filler_after=30,
    tool_filler_after=30,
)


def count(stage: Stage, kind: type[c.Command]) -> int:
    return len(stage.commands(kind))


def test_an_ordinary_turn_is_asked_for_and_synthesised_once() -> None:
    """Cost doubled by preemptive generation: livekit 4219."""
    stage = Stage(AHEAD, lambda think: [ANSWER])
    stage.at(0, e.Answered())
    for number in range(10):
        stage.says(1 + 15 * number, QUESTION)
    stage.run(160)
    assert count(stage, c.Think) == 10
    assert count(stage, c.Adopt) == 10
    assert stage.prepared == {}  # all of it was spoken
    assert sum("dropped_replies" in turn.turn.usage for turn in stage.turns()) == 0


def test_what_a_restless_caller_costs_is_bounded_and_on_record() -> None:
    """Cost doubled by preemptive generation, with nothing to see of it: livekit 4219."""
    plan = replace(AHEAD, speculation=SpeculationPlan(tries=3, in_vain=5))
    stage = Stage(plan, lambda think: [ANSWER], delays=Delays(final=None))
    stage.at(0, e.Answered())
    for number in range(10):
        end = stage.says(1 + 15 * number, f"is it number {number}")
        for place, word in enumerate(("then", "now", "or", "today")):
            stage.at(end + 0.26 + place / 50, e.Interim(f"is it number {number} {word}"))
        stage.at(end + 0.39, e.Final(f"is it number {number} perhaps?"))
    stage.run(160)
    dropped = [turn.turn.usage.get("dropped_replies", 0) for turn in stage.turns()]
    assert max(dropped) <= 3
    assert sum(dropped) == 5
    assert all(turn.turn.usage["dropped_input_tokens"] > 0 for turn in stage.turns()[:2])


def test_hooks_run_once_a_turn_and_not_before_it_is_over() -> None:
    """`on_user_turn_completed` and tools run once for the guess and once for the turn: livekit 3414."""
    lookup = ToolCall("t1", "lookup", "{}")
    model = lambda think: [ANSWER] if think.messages[-1].role == "tool" else [lookup]  # noqa: E731 - a script's line
    stage = Stage(AHEAD, model, delays=Delays(final=1.2))
    stage.at(0, e.Answered())
    end = stage.says(1, QUESTION)
    stage.run(end + 1.15)
    assert count(stage, c.Think) == 1
    assert (count(stage, c.UseTool), count(stage, c.Remember), count(stage, c.Speak)) == (0, 0, 0)
    stage.run(30)
    assert count(stage, c.UseTool) == 1
    assert [message.role for message in stage.conversation.history] == ["user", "assistant", "tool", "assistant"]


def test_a_graph_is_walked_by_decided_turns_alone() -> None:
    """Frameworks that walk a graph have side effects when a guess is dropped: livekit 5924."""
    nodes: dict[str, TalkNode | ToolNode | TransferNode | EndNode] = {
        "entry": TalkNode(standing=Standing(), ways={"book": Way("booking")}),
        "booking": ToolNode(tool="book_table", way=Way("entry")),
    }
    plan = replace(AHEAD, messages=(), first_message="Good day.", workflow=Graph("entry", nodes))

    def model(think: c.Think) -> list[Part]:
        last = think.messages[-1]
        return [ToolCall("w", "book", "{}")] if last.content == "book a table for two." else ["As you wish."]

    stage = Stage(plan, model)
    stage.at(0, e.Answered())
    stage.says(3, "book a table for two. [0.3] no, rather not, thank you.")
    stage.run(30)
    assert "guess_dropped" in stage.notes()
    assert (count(stage, c.UseTool), count(stage, c.Enter)) == (0, 0)


def test_nothing_is_begun_while_a_tool_is_in_flight() -> None:
    """The guess is made without the result of a tool that still runs: agents-js 1365."""
    lookup = ToolCall("t1", "lookup", "{}")
    stage = Stage(AHEAD, lambda think: ["Let me see.", lookup] if think.reply == 1 else [ANSWER])
    stage.delays = Delays(tool=5.0)
    stage.at(0, e.Answered())
    end = stage.says(1, QUESTION)
    again = stage.says(end + 2.5, "and on Sunday?")
    stage.run(again + 0.7)
    assert count(stage, c.Think) == 1
    stage.run(30)
    (_, last) = stage.commands(c.Think)[-1]
    assert isinstance(last, c.Think)
    assert "tool" in [message.role for message in last.messages]
