"""Whatever a caller does, and however slow the providers are: no word lost, no answer owed, nobody left in silence."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, TurnTaking
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from tests.core.scripted import Delays, Part, Stage


@dataclass(frozen=True)
class Act:
    """One thing that the caller does, `after` the one before."""

    after: float
    words: int  # 0: a noise
    length: float  # of the noise
    score: float
    vad: bool
    interims: bool


ACTS = st.lists(
    st.builds(
        Act,
        after=st.floats(0.5, 8).map(lambda value: round(value, 2)),
        words=st.integers(0, 6),
        length=st.sampled_from([0.1, 0.4, 1.2]),
        score=st.sampled_from([0.02, 0.6, 0.95]),
        vad=st.sampled_from([True, True, True, False]),
        interims=st.booleans(),
    ),
    max_size=8,
)
DELAYS = st.builds(
    Delays,
    final=st.sampled_from([0.1, 0.25, 0.7]),
    score=st.sampled_from([0.06, 10.0]),
    first_token=st.sampled_from([0.1, 0.6, 4.0]),
    first_audio=st.sampled_from([0.05, 0.4]),
    tool=st.sampled_from([0.2, 3.0]),
)
POLICIES = st.builds(
    TurnTaking,
    endpointing_min_delay=st.sampled_from([0.2, 0.4]),
    interruption_min_words=st.sampled_from([0, 2]),
    false_interruption_timeout=st.sampled_from([None, 1.5]),
)


def model(think: c.Think) -> list[Part]:
    """Every third reply uses a tool first; the others go on for a while."""
    if think.reply % 3 == 0 and think.messages[-1].role != "tool":
        return ["Let me see.", ToolCall(f"t{think.reply}", "lookup", "{}")]
    return ["This is an answer of some length, so that it can be interrupted. It has two sentences."]


def perform(acts: list[Act], delays: Delays, policy: TurnTaking) -> tuple[Stage, list[str]]:
    stage = Stage(Plan(first_message="Hello there, how can I help you?", turn_taking=policy), model, delays=delays)
    stage.at(0, e.Answered())
    time, said = 0.0, list[str]()
    for act in acts:
        time += act.after
        if act.words:
            words = [f"w{len(said) + number}w" for number in range(act.words)]
            said += words
            time = stage.says(time, " ".join(words), score=act.score, vad=act.vad, interims=act.interims)
        else:
            time = stage.noise(time, act.length)
    stage.run(time + 60)
    return stage, said


@settings(max_examples=150, deadline=None)
@given(ACTS, DELAYS, POLICIES)
def test_every_word_of_the_caller_is_in_the_history_once_and_in_order(
    acts: list[Act], delays: Delays, policy: TurnTaking
) -> None:
    stage, said = perform(acts, delays, policy)
    stage.feed(e.HungUp())
    heard = " ".join(message.content for message in stage.conversation.history if message.role == "user")
    assert heard.split() == said


@settings(max_examples=150, deadline=None)
@given(ACTS, DELAYS, POLICIES)
def test_the_assistant_always_comes_to_rest_with_nothing_held_or_owed(
    acts: list[Act], delays: Delays, policy: TurnTaking
) -> None:
    stage, _ = perform(acts, delays, policy)
    assert stage.conversation.state is State.QUIET, stage.conversation
    assert not stage.line.paused
    assert not stage.line.queue


@settings(max_examples=150, deadline=None)
@given(ACTS, DELAYS, POLICIES)
def test_the_assistant_has_the_last_word(acts: list[Act], delays: Delays, policy: TurnTaking) -> None:
    stage, said = perform(acts, delays, policy)
    if policy.interruption_min_words == 0 and said:
        assert stage.conversation.history[-1].role == "assistant"


@settings(max_examples=150, deadline=None)
@given(ACTS, DELAYS, POLICIES)
def test_what_the_turns_tell_is_what_the_history_tells(acts: list[Act], delays: Delays, policy: TurnTaking) -> None:
    stage, _ = perform(acts, delays, policy)
    stage.feed(e.HungUp())
    turns = [command.turn for command in stage.turns()]
    history = stage.conversation.history
    said = " ".join(turn.said for turn in turns).split()
    heard = " ".join(turn.heard for turn in turns).split()
    assert said == " ".join(message.content for message in history if message.role == "user").split()
    assert heard == " ".join(message.content for message in history if message.role == "assistant").split()
    assert [turn.number for turn in turns] == list(range(len(turns)))


@settings(max_examples=100, deadline=None)
@given(ACTS, DELAYS, POLICIES)
def test_speaking_means_sound_or_sound_on_its_way(acts: list[Act], delays: Delays, policy: TurnTaking) -> None:
    stage = Stage(Plan(first_message="Hello there, how can I help you?", turn_taking=policy), model, delays=delays)
    feed = stage.feed

    def watched(event: e.Event) -> None:
        feed(event)
        if stage.conversation.state is State.SPEAKING:
            assert stage.line.queue
            assert not stage.line.paused

    stage.feed = watched  # type: ignore[method-assign]  # a watch on every event
    stage.at(0, e.Answered())
    time = 0.0
    for act in acts:
        time = stage.says(time + act.after, "one two", vad=act.vad) if act.words else stage.noise(time + act.after, 0.4)
    stage.run(time + 60)
