"""With speculation and without: the same history, the same tools used, the same words heard; only sooner."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Plan, SpeculationPlan, Standing
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.core.workflow import Graph, TalkNode, Way
from tests.core.scripted import Delays, Part, Stage

WORDS = ("yes.", "what time do you open?", "I want a cake and", "my number is one two three", "no", "thank you, bye.")
APART = 25.0  # every answer is over by then, fast or slow: only what is said, not when, may decide what is heard


@dataclass(frozen=True)
class Turn:
    """What the caller does in one turn: words, another spelling of them at the end, and things beside it."""

    text: str
    pause: float  # within it; 0: none
    final: str  # what the recogniser makes of it in the end
    beside: e.Event | None


TURNS = st.lists(
    st.builds(
        Turn,
        text=st.sampled_from(WORDS),
        pause=st.sampled_from([0.0, 0.0, 0.25, 0.3]),  # over before any turn is decided
        final=st.sampled_from(["same", "same", "spelt", "other"]),
        beside=st.sampled_from(
            [
                None,
                None,
                None,
                e.Instructed("say", "By the way."),
                e.Instructed("inject", "The shop is closed."),
                e.DigitPressed("#"),
                e.SpeechStarted(0.0),
            ]
        ),
    ),
    min_size=1,
    max_size=4,
)
DELAYS = st.builds(
    Delays,
    final=st.sampled_from([0.25, 0.8]),
    score=st.sampled_from([0.06, 60.0]),
    first_token=st.sampled_from([0.02, 0.3, 1.0]),
    first_audio=st.sampled_from([0.02, 0.15]),
    tool=st.sampled_from([0.2, 2.0]),
)
NODES = {
    "entry": TalkNode(standing=Standing(messages=(Message("system", "first"),)), ways={"on": Way("next")}),
    "next": TalkNode(standing=Standing(messages=(Message("system", "second"),)), ways={}),
}


def model(think: c.Think) -> list[Part]:
    """A function of the messages alone, tools, ways, failures and empty answers included."""
    last = think.messages[-1]
    if last.role == "tool":
        return ["Here is what I found, and it may be of use."]
    kind = sum(map(len, (message.content for message in think.messages))) % 7
    number = sum(len(message.tool_calls) for message in think.messages)
    if kind == 0:
        return ["Let me see, one moment.", ToolCall(f"t{number}", "lookup", "{}")]
    if kind == 1:
        return [ToolCall(f"t{number}", "lookup", "{}")]
    if kind == 2:
        return [""]
    if kind == 3:
        return [ToolCall(f"t{number}", "on", "{}")]
    return ["This is an answer, and it has two clauses. It also has a second sentence."]


def perform(turns: list[Turn], delays: Delays, plan: Plan) -> Stage:
    stage = Stage(plan, model, delays=delays)
    stage.at(0, e.Answered())
    for number, turn in enumerate(turns):
        begin = 5 + APART * number
        words = turn.text.split()
        half = len(words) // 2
        pause = f" [{turn.pause}] " if turn.pause and half else " "
        end = stage.says(begin, " ".join(words[:half]) + pause + " ".join(words[half:]))
        if turn.final != "same":
            text = turn.text.upper() if turn.final == "spelt" else f"{turn.text} please"
            stage.at(end + (delays.final or 0) - 0.005, e.Interim(text))
        if turn.beside is not None:
            beside = e.SpeechStarted(end + 0.25) if isinstance(turn.beside, e.SpeechStarted) else turn.beside
            stage.at(end + 0.3, beside)
            if isinstance(beside, e.SpeechStarted):
                stage.at(end + 0.5, e.SpeechStopped(end + 0.35))
    stage.run(5 + APART * len(turns))
    stage.feed(e.HungUp())
    return stage


def effects(stage: Stage) -> tuple[list[str], list[tuple[str, str]], list[Message], list[tuple[str, str]]]:
    said = [command for _, command in stage.log if isinstance(command, c.Speak)]
    turns = [command.turn for command in stage.turns()]
    return (
        [command.call.name for _, command in stage.log if isinstance(command, c.UseTool)],
        [(one.text, one.kind) for one in said],
        list(stage.conversation.history),
        [(turn.said, turn.heard) for turn in turns],
    )


@settings(max_examples=200, deadline=None)
@given(TURNS, DELAYS, st.booleans())
def test_what_happens_is_the_same_with_speculation_and_without(
    turns: list[Turn], delays: Delays, workflow: bool
) -> None:
    plan = Plan(
        first_message="Good day, how can I help you?",
        messages=(Message("system", "Be brief."),),
        failures_before_handover=99,
        reply_filler_after=30,  # a filler covers a wait, and there is less to wait
        tool_filler_after=30,
        workflow=Graph("entry", NODES) if workflow else None,
    )
    slow = perform(turns, delays, plan)
    fast = perform(turns, delays, replace(plan, speculation=SpeculationPlan(in_vain=999)))
    assert effects(fast) == effects(slow)


def test_the_scripts_of_this_page_do_speculate() -> None:
    turns = [Turn("what time do you open?", 0.0, "same", None), Turn("yes.", 0.0, "other", None)]
    stage = perform(turns, Delays(), Plan(speculation=SpeculationPlan()))
    outcomes = [note for note in stage.notes() if note.startswith("guess")]
    assert "guess_adopted" in outcomes
    assert "guess_dropped" in outcomes


def test_a_failing_model_is_not_a_function_of_the_messages_and_fails_the_caller_no_sooner() -> None:
    failing: list[Part] = [ProviderError("scripted", "llm", "stalled")]
    stage = Stage(Plan(speculation=SpeculationPlan()), lambda think: failing, delays=Delays(final=1.0))
    stage.at(0, e.Answered())
    stage.says(1, "what time do you open?")
    stage.run(20)
    apologies = [command for _, command in stage.log if isinstance(command, c.Speak) and command.kind == "apology"]
    assert len(apologies) == 1
