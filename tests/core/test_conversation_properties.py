"""Whatever happens, in whatever order: the promises of a conversation that hold in every call."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.moves import take
from sovereign_pbx.core.plan import (
    Consent,
    Phrases,
    Plan,
    SilencePlan,
    SpeculationPlan,
    Standing,
    ToolMessage,
    Transfer,
    TurnTaking,
    Voicemail,
)
from sovereign_pbx.core.turn import State, decided
from sovereign_pbx.core.values import Message, ToolCall, Word
from sovereign_pbx.core.workflow import EndNode, Graph, TalkNode, ToolNode, TransferNode, Way
from tests.core.scripted import assert_sane

PASSING = ProviderError("scripted", "llm", "stalled")
DENIED = ProviderError("scripted", "stt", "denied")
TEXTS = (
    "",
    "yes",
    "I would like",
    "we open at nine. Then, we close",
    "goodbye then",
    "um",
    "[laughs] *well* 🙂",
    "a mailbox",
)
# Numbers count back from the newest reply, or along the open segments and tools (see `Watch.aim`), so that most
# events hit something; some are left as they are, and miss.
REPLY = st.sampled_from([0, 0, 0, 1, -7])
SEGMENT = st.sampled_from([0, 0, 0, 1, 2, -7])
TOOL = st.builds(
    ToolCall,
    st.sampled_from(["", "a", "b", "c"]),
    st.sampled_from(["lookup", "end_call", "transfer_call", "on", "on", "look", "hand", "end"]),
    st.sampled_from(
        ["", "{}", "nonsense", "[]", '{"destination": "100"}', '{"destination": "100", "message": "Hold on"}']
    ),
)
TIME = st.floats(-1, 30, allow_nan=False)

EVENTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(e.SpeechStarted, TIME),
    st.builds(e.SpeechStopped, TIME),
    st.builds(e.Interim, st.sampled_from(TEXTS)),
    st.builds(e.Final, st.sampled_from(TEXTS)),
    st.sampled_from([e.UtteranceEnded(), e.NothingHeard(), e.Tick(), e.Tick(), e.Tick(), e.Answered()]),
    st.builds(e.TurnScored, st.floats(0, 1), TIME),
    st.builds(e.ReplyText, REPLY, st.sampled_from(TEXTS)),
    st.builds(e.ReplyTool, REPLY, TOOL),
    st.builds(e.ReplyDone, REPLY, st.sampled_from([{}, {"output_tokens": 3}, {"model": "x"}])),
    st.builds(e.ReplyFailed, REPLY, st.just(PASSING)),
    st.builds(e.ToolFinished, st.sampled_from(["0", "0", "1", "unknown"]), st.just("result"), st.booleans()),
    st.builds(e.SpeechAudio, SEGMENT, st.floats(0, 3000), st.sampled_from([(), (Word("we", 0, 0.2),)])),
    st.builds(e.SpeechDone, SEGMENT),
    st.builds(e.PlayoutStarted, SEGMENT),
    st.builds(e.PlayoutFinished, SEGMENT),
    st.builds(e.PlayoutFlushed, SEGMENT, st.floats(0, 3000)),
)
RARE: st.SearchStrategy[Any] = st.one_of(
    st.builds(e.HoldChanged, st.booleans()),
    st.builds(e.DigitPressed, st.sampled_from("0159*#Ax")),
    st.builds(e.HearingFailed, st.sampled_from([PASSING, DENIED])),
    st.builds(e.SpeechFailed, SEGMENT, st.just(PASSING)),
    st.builds(
        e.Instructed,
        st.sampled_from(["say", "inject", "end", "transfer"]),
        st.sampled_from(["", "One moment."]),
        st.booleans(),
        st.just("100"),
    ),
    st.builds(e.HungUp),
    st.builds(e.TransferEnded, st.sampled_from(["declined", "busy", "no_answer", "failed"])),
)
SCRIPT = st.lists(st.tuples(st.one_of(EVENTS, EVENTS, EVENTS, RARE), st.floats(0, 1.5)), max_size=60)
PLANS = st.builds(
    Plan,
    first_message=st.sampled_from(["", "Hello there."]),
    messages=st.just((Message("system", "Be brief."),)),
    turn_taking=st.builds(
        TurnTaking,
        endpointing_min_delay=st.sampled_from([0.1, 0.4]),
        endpointing_max_delay=st.sampled_from([0.1, 2.0]),
        interruption_min_words=st.sampled_from([0, 2]),
        false_interruption_timeout=st.sampled_from([None, 1.5]),
    ),
    silence=st.sampled_from([None, SilencePlan(), SilencePlan(messages=("Still there?",), final_message="Bye.")]),
    speculation=st.sampled_from([None, SpeculationPlan(), SpeculationPlan(in_vain=2)]),
    phrases=st.sampled_from([Phrases(), Phrases(filler="", apology="", unwell="", goodbye="Bye bye.", unheard="")]),
    end_call_phrases=st.sampled_from([(), ("goodbye",)]),
    max_duration=st.sampled_from([None, 20.0]),
    tool_filler_after=st.sampled_from([0.0, 1.5]),
    max_tool_rounds=st.sampled_from([0, 1, 5]),
    failures_before_handover=st.sampled_from([1, 2]),
    transfers=st.sampled_from([(), (Transfer("100", "I will connect you."),)]),
    tool_messages=st.sampled_from([(), (ToolMessage("lookup", "I am looking it up."),)]),
)


WAYS = {"on": Way("talk", "One moment."), "look": Way("look"), "hand": Way("hand", "Hold on."), "end": Way("end")}
STANDING = Standing(messages=(Message("system", "Be brief."),), end_call_tools=("end_call",))
GRAPH = Graph(
    "entry",
    {
        "entry": TalkNode(standing=STANDING, ways=WAYS, first_line="Here again."),
        "talk": TalkNode(standing=STANDING, ways={**WAYS, "on": Way("entry")}),
        "look": ToolNode(tool="lookup", way=Way("again", "Got it."), first_line="I am looking."),
        "again": ToolNode(tool="lookup", way=Way("talk")),
        "hand": TransferNode(destination="100", first_line="Here is somebody."),
        "end": EndNode(),
    },
)
OPENINGS: list[dict[str, Any]] = [
    {},
    {},
    {"workflow": GRAPH},
    {"consent": Consent(message="Press 1.")},
    {"voicemail": Voicemail(message="Call us back.")},
    {"voicemail": Voicemail(), "workflow": GRAPH},
    {"consent": Consent(message="Press 1.", key="5"), "workflow": GRAPH},
]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    return replace(draw(PLANS), **draw(st.sampled_from(OPENINGS)))


@dataclass
class Watch:
    """Checks the commands of one conversation as they come."""

    ended: bool = False
    open_reply: int | None = None
    guess: int | None = None
    guess_over: bool = False
    spoken: set[int] = field(default_factory=set)
    remembered: list[Message] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    replies: int = 0
    segments: list[int] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def aim(self, event: Any) -> Any:
        """The event with its number made to fit what is open at present."""
        if hasattr(event, "reply") and event.reply >= 0:
            return replace(event, reply=self.replies - event.reply)
        if hasattr(event, "segment") and 0 <= event.segment < len(self.segments):
            return replace(event, segment=self.segments[event.segment])
        if isinstance(event, e.ToolFinished) and event.call_id.isdigit() and int(event.call_id) < len(self.tools):
            return replace(event, call_id=self.tools.pop(int(event.call_id)))
        return event

    def event(self, event: Any) -> None:
        if isinstance(event, e.ReplyDone | e.ReplyFailed) and event.reply == self.open_reply:
            self.open_reply = None
        if isinstance(event, e.ReplyDone | e.ReplyFailed) and event.reply == self.guess:
            self.guess_over = True
        if isinstance(event, e.PlayoutFinished | e.PlayoutFlushed) and event.segment in self.segments:
            self.segments.remove(event.segment)

    def command(self, command: c.Command) -> None:
        assert not self.ended, f"{command} after the end"
        match command:
            case c.Speak():
                assert command.text.strip()
                assert command.segment not in self.spoken
                self.spoken.add(command.segment)
                self.segments.append(command.segment)
            case c.UseTool():
                assert command.call.id not in self.used
                self.used.add(command.call.id)
                self.tools.append(command.call.id)
            case c.Think():
                assert self.open_reply is None, "two open replies"
                assert self.guess is None, "two open replies"
                assert_sane(command)
                self.replies = command.reply
                self.guess_over = False
                self.guess = command.reply if command.speculative else None
                self.open_reply = None if command.speculative else command.reply
            case c.Adopt():
                assert self.guess == command.reply
                self.open_reply = None if self.guess_over else command.reply
                self.guess = None
            case c.Prepare():
                assert self.guess == command.reply
                assert command.text.strip()
            case c.DropReply():
                self.open_reply = None if self.open_reply == command.reply else self.open_reply
                self.guess = None if self.guess == command.reply else self.guess
            case c.Remember():
                self.remembered.append(command.message)
            case c.CloseTurn():
                self.turns.append(command.turn.number)
            case c.HangUp():
                self.ended = True
            case c.HandOver():
                self.ended = not command.destination
            case _:
                pass

    def at_the_end(self) -> None:
        """The history is whole: every tool call with its result, and the caller never twice in a row."""
        assert_sane(c.Think(0, tuple(self.remembered)))
        assert sorted(self.turns) == self.turns


def play(plan: Plan, script: list[tuple[Any, float]]) -> tuple[Conversation, list[c.Command]]:
    conversation, watch, now, log = Conversation(plan), Watch(), 0.0, []
    for event, wait in [(e.Answered(), 0.0), *script, (e.HungUp(), 0.1)]:
        now += wait
        before = conversation.state
        event = watch.aim(event)
        watch.event(event)
        commands = conversation.feed(event, now)
        _check_way(before, conversation.state, event)
        for command in commands:
            watch.command(command)
        watch.ended |= isinstance(event, e.HungUp)
        if conversation.away and not isinstance(event, e.HungUp):
            assert not [each for each in commands if isinstance(each, c.Speak | c.Think)]
        log += commands
        assert tuple(watch.remembered) == conversation.history
        assert repr(conversation).startswith("<Conversation [")
        if isinstance(event, e.Tick):
            assert conversation.deadline is None or conversation.deadline > now
    assert conversation.state is State.ENDED
    assert conversation.deadline is None
    watch.at_the_end()
    return conversation, log


def _check_way(before: State, after: State, event: Any) -> None:
    if not isinstance(event, e.Tick) and after is not before:
        assert after in decided(before, type(event)).to, (before, event, after)


@settings(max_examples=400, deadline=None)
@given(plans(), SCRIPT)
def test_no_sequence_of_events_breaks_a_promise(plan: Plan, script: list[tuple[Any, float]]) -> None:
    play(plan, script)


@settings(max_examples=100, deadline=None)
@given(plans(), SCRIPT)
def test_the_same_events_give_the_same_commands(plan: Plan, script: list[tuple[Any, float]]) -> None:
    assert play(plan, script)[1] == play(plan, script)[1]


@settings(max_examples=300, deadline=None)
@given(plans(), SCRIPT)
def test_every_alarm_leads_only_where_the_table_says(plan: Plan, script: list[tuple[Any, float]]) -> None:
    conversation, watch, now = Conversation(plan), Watch(), 0.0
    for event, wait in [(e.Answered(), 0.0), *script]:
        now += wait
        event = watch.aim(event)
        watch.event(event)
        for command in conversation.feed(event, now):
            watch.command(command)
        talk = conversation._talk
        while (ringing := talk.alarms.ring(now, ())) is not None:
            before = talk.state
            take(talk, ringing, e.Tick())
            assert talk.state is before or talk.state in decided(before, ringing).to, (before, ringing, talk.state)
            if talk.now > 1e6 or talk.alarms.deadline == now:
                break
