"""What callers of other systems complain about where the history is not what was heard: an assistant that repeats
itself, or thinks that it was understood; tools whose results are lost in an interruption.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Phrases, Plan, TurnTaking
from sovereign_pbx.core.values import Message, ToolCall
from tests.core.scripted import WORD_S, Delays, Part, Stage
from tests.core.test_tools import Scripted

LONG = "We are open every weekday from nine in the morning until six in the evening, and on Saturday until four."
BOOK = ToolCall("t1", "book", "{}")
STOCK = ToolCall("t2", "stock", "{}")
TOLERANCE_MS = 20.0  # a frame


class Listener:
    """The caller's ear: notes each word that the link has played to its end, in the order of playing."""

    def __init__(self, stage: Stage) -> None:
        self.texts: dict[int, str] = {}
        self.order: list[int] = []
        self.heard: dict[int, list[str]] = {}
        self._stage = stage
        self._feed = stage.feed
        stage.feed = self.feed  # type: ignore[method-assign]  # an ear at every event

    def feed(self, event: e.Event) -> None:
        if isinstance(event, e.HungUp):
            if not self._stage.line.paused:
                self._stage._hold_position()  # the line is cut here
            if (playing := self._stage.line.playing) is not None:
                self._note(playing, self._stage.line.played * 1000)
        if isinstance(event, e.PlayoutStarted) and event.segment not in self.order:  # else it goes on after a pause
            self.order.append(event.segment)
        if isinstance(event, e.PlayoutFinished):
            self._note(event.segment, math.inf)
        if isinstance(event, e.PlayoutFlushed):
            self._note(event.segment, event.played_ms)
        self._feed(event)

    def _note(self, segment: int, played_ms: float) -> None:
        texts = {speak.segment: speak.text for _, speak in self._stage.log if isinstance(speak, c.Speak)}
        words = texts[segment].split()
        self.heard[segment] = [
            word for at, word in enumerate(words) if WORD_S * 1000 * (at + 1) <= played_ms + TOLERANCE_MS
        ]

    @property
    def words(self) -> list[str]:
        return [word for segment in self.order for word in self.heard.get(segment, [])]


def remembered(stage: Stage) -> list[Message]:
    return [command.message for _, command in stage.log if isinstance(command, c.Remember)]


def words_of(messages: Sequence[Message]) -> list[str]:
    return " ".join(message.content for message in messages if message.role == "assistant").split()


@dataclass(frozen=True)
class Act:
    """One thing that happens, `after` the one before."""

    after: float
    kind: str
    words: int
    length: float


ACTS = st.lists(
    st.builds(
        Act,
        after=st.floats(0.3, 7).map(lambda value: round(value, 2) + 0.0037),  # beside every boundary of a word
        kind=st.sampled_from(["speaks", "speaks", "speaks", "noise", "say", "inject", "answer now"]),
        words=st.integers(1, 5),
        length=st.sampled_from([0.1, 0.4, 1.2]),
    ),
    max_size=8,
)
DELAYS = st.builds(
    Delays,
    final=st.sampled_from([0.1, 0.25, 0.7]),
    first_token=st.sampled_from([0.1, 0.6, 3.0]),
    token=st.sampled_from([0.01, 0.2]),
    first_audio=st.sampled_from([0.05, 0.4, 2.5]),
    tool=st.sampled_from([0.2, 3.0, 12.0]),
)
PLANS = st.builds(
    Plan,
    first_message=st.sampled_from(["", "Hello there, how can I help you?"]),
    turn_taking=st.builds(TurnTaking, false_interruption_timeout=st.sampled_from([None, 1.5])),
    phrases=st.sampled_from([Phrases(), Phrases(filler="")]),
)


def model(think: c.Think) -> list[Part]:
    """Every reply is unlike every other; some use a tool, some two at once."""
    number = think.reply
    if number % 3 == 0 and think.messages[-1].role != "tool":
        tools = [ToolCall(f"a{number}", "book", "{}"), ToolCall(f"b{number}", "stock", "{}")]
        return [f"Let me see, number {number}.", *tools[: 1 + number % 2]]
    words = " ".join(f"r{number}w{at}" for at in range(12))
    return [f"Answer {number} is this, {words}. And that was number {number}, in two sentences."]


def perform(acts: list[Act], delays: Delays, plan: Plan, hang_up_after: float) -> tuple[Stage, Listener]:
    stage = Stage(plan, model, delays=delays)
    listener = Listener(stage)
    stage.at(0, e.Answered())
    time = 1.0
    for number, act in enumerate(acts):
        time += act.after
        if act.kind == "speaks":
            time = stage.says(time, " ".join(f"c{number}w{at}" for at in range(act.words)))
        elif act.kind == "noise":
            time = stage.noise(time, act.length)
        elif act.kind == "say":
            stage.at(time, e.Instructed("say", f"Said {number}, exactly so."))
        else:
            stage.at(time, e.Instructed("inject", f"Known {number}.", then=act.kind == "answer now"))
    stage.run(time + hang_up_after)
    if not stage.over:
        stage.feed(e.HungUp())
    return stage, listener


@settings(max_examples=150, deadline=None)
@given(ACTS, DELAYS, PLANS, st.sampled_from([0.3, 2.0, 5.0, 60.0]))
def test_the_assistants_words_in_the_history_are_those_that_were_played_once_and_in_order(
    acts: list[Act], delays: Delays, plan: Plan, hang_up_after: float
) -> None:
    """pipecat 4996, 5426, 2791, 3627, 3023: on every path, fillers, control's own words and cut sentences included."""
    stage, listener = perform(acts, delays, plan, hang_up_after)
    assert words_of(remembered(stage)) == listener.words


@settings(max_examples=150, deadline=None)
@given(ACTS, DELAYS, PLANS, st.sampled_from([0.3, 2.0, 60.0]))
def test_every_tool_call_has_exactly_one_answer_and_none_runs_for_ever(
    acts: list[Act], delays: Delays, plan: Plan, hang_up_after: float
) -> None:
    """pipecat 5779: a cancelled call shown as running for ever."""
    stage, _ = perform(acts, delays, plan, hang_up_after)
    history = remembered(stage)
    asked = [call.id for message in history for call in message.tool_calls]
    answered = [message.tool_call_id for message in history if message.role == "tool"]
    assert sorted(asked) == sorted(filter(None, answered))
    assert len(set(asked)) == len(asked)
    used = [command.call.id for _, command in stage.log if isinstance(command, c.UseTool)]
    assert used == [call_id for call_id in asked if call_id in used]


# --- by name


def called(*replies: Sequence[Part], plan: Plan | None = None, delays: Delays | None = None) -> Stage:
    stage = Stage(plan or Plan(), Scripted(*(replies or ([LONG], ["All right."]))), delays=delays)
    stage.at(0, e.Answered())
    stage.says(1, "when are you open?")
    return stage


def first_sound(stage: Stage) -> float:
    while not any(isinstance(event, e.PlayoutStarted) for _, event in stage.events):
        assert stage.now < 10
        stage.run(stage.now + 0.01)
    return stage.now


def test_the_model_does_not_repeat_what_the_caller_has_heard() -> None:
    """pipecat 3627, 3023: told the whole sentence, or nothing of it, models say it again."""
    stage = called()
    stage.says(first_sound(stage) + 2.0, "and on sunday please")
    stage.run(20)
    last = [think for _, think in stage.log if isinstance(think, c.Think)][-1]
    told = next(message for message in last.messages if message.role == "assistant")
    assert told.interrupted
    assert LONG.startswith(told.content)
    assert 5 <= len(told.content.split()) <= 9


@pytest.mark.parametrize("length", [0.15, 0.6, 1.4])
def test_a_sentence_that_was_held_and_went_on_is_one_message_and_whole(length: float) -> None:
    """livekit 3418, 4039: silence after a false interruption, and half a sentence in the history."""
    stage = called()
    stage.noise(first_sound(stage) + 1.5, length)
    stage.run(30)
    assert [message.content for message in stage.conversation.history if message.role == "assistant"] == [LONG]


def test_words_from_outside_stand_where_they_were_heard() -> None:
    """peers.md C7: knowing what has really been played before anything is built on it."""
    stage = called()
    stage.at(first_sound(stage) + 0.5, e.Instructed("say", "Your taxi is here."))
    stage.run(20)
    said = [message.content for message in stage.conversation.history if message.role == "assistant"]
    assert said == [LONG, "Your taxi is here."]


def test_a_filler_is_in_the_transcript_and_the_model_does_not_hear_of_it() -> None:
    """A model that is told of "one moment, please" takes up the habit, or takes it for the answer begun."""
    stage = called([BOOK], ["Done."], delays=Delays(tool=4.0))
    stage.says(12, "thank you")
    stage.run(20)
    assert f"assistant: {Phrases().filler}" in stage.transcript()
    thinks = [think for _, think in stage.log if isinstance(think, c.Think)]
    assert all(Phrases().filler not in message.content for think in thinks for message in think.messages)


def test_of_two_tools_the_one_that_survives_an_interruption_is_answered_with_the_other() -> None:
    """pipecat 2787, livekit 1976: the results of tools that were interrupted are lost."""
    stage = called([BOOK, STOCK], ["Done."])
    stage.tool_results = {"book": None, "stock": "three left"}
    stage.at(9, e.ToolFinished("t1", "booked"))
    stage.says(4.5, "for eight people please")
    stage.run(20)
    results = [(each.tool_call_id, each.content) for each in stage.conversation.history if each.role == "tool"]
    assert results == [("t1", "booked"), ("t2", "three left")]
    last = [think for _, think in stage.log if isinstance(think, c.Think)][-1]
    assert {"booked", "three left"} <= {message.content for message in last.messages}


def test_a_result_that_comes_while_the_caller_speaks_is_used_in_the_answer_to_him() -> None:
    """pipecat 5823: dropped."""
    stage = called([BOOK], ["Done."], delays=Delays(tool=1.5))
    stage.says(3.6, "for eight people please if you can")
    stage.run(20)
    last = [think for _, think in stage.log if isinstance(think, c.Think)][-1]
    assert [message.role for message in last.messages] == ["user", "assistant", "tool", "user"]
    assert stage.transcript()[-1] == "assistant: Done."


def test_a_tool_that_never_answers_does_not_outlive_the_call() -> None:
    """pipecat 5779."""
    stage = called([BOOK], ["Done."])
    stage.tool_results = {"book": None}
    stage.run(40)
    stage.feed(e.HungUp())
    answers = [message for message in remembered(stage) if message.role == "tool"]
    assert len(answers) == 1
    assert answers[0].content


def test_a_transfer_waits_until_its_announcement_has_been_heard() -> None:
    """peers.md C7 (CyCore 29, bolna PR 936): by what the link reports, and not by how long it should take."""
    stage = called(["I will put you through to the workshop now.", ToolCall("t", "end_call", "{}")])
    stage.run(30)
    ended = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert stage.log[-1] == (pytest.approx(ended), c.HangUp("assistant_hangup"))  # type: ignore[comparison-overlap]  # approx compares


def test_the_fifth_answer_comes_as_quickly_as_the_first() -> None:
    """peers.md T5 (AVA 526): silence that grows over the call."""
    stage = Stage(Plan(), lambda think: ["We open at nine."])
    stage.at(0, e.Answered())
    ends = [stage.says(1 + 10 * number, "when are you open?") for number in range(30)]
    stage.run(310)
    starts = [time for time, event in stage.events if isinstance(event, e.PlayoutStarted)]
    waits = [start - end for start, end in zip(starts, ends, strict=True)]
    assert max(waits) - min(waits) < 0.01
