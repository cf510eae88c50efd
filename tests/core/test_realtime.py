"""Conversations with a realtime model in virtual time: signals in, commands out, no vendor and no clock."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Collector, Consent, Plan, SilencePlan, Transfer
from sovereign_pbx.core.realtime import signals as s
from sovereign_pbx.core.realtime.conversation import RealtimeConversation
from sovereign_pbx.core.realtime.memory import BEGIN_S, GAP_S, PROBE_S, Phase
from sovereign_pbx.core.realtime.turns import LAG_S
from sovereign_pbx.core.values import Message, ToolCall

LOST = ProviderError("openai_live", "realtime", "dropped", "scripted")
WORDS = "We are open from nine to five."


class Tape:
    """A conversation and everything it has commanded. `at` feeds; alarms that are due before ring by themselves."""

    def __init__(self, *, voice: bool = False, **plan: Any) -> None:
        self.talk = RealtimeConversation(Plan(**plan), voice=voice)
        self.log: list[tuple[float, Any]] = []

    def at(self, now: float, *events: s.Event) -> list[Any]:
        """What comes of `events` at `now`."""
        while (due := self.talk.deadline) is not None and due <= now and self.talk.phase is not Phase.ENDED:
            self._feed(e.Tick(), due)
        before = len(self.log)
        for event in events:
            self._feed(event, now)
        return [command for _, command in self.log[before:]]

    def _feed(self, event: s.Event, now: float) -> None:
        self.log += [(now, command) for command in self.talk.feed(event, now)]

    def of(self, kind: type) -> list[Any]:
        return [command for _, command in self.log if isinstance(command, kind)]

    def when(self, kind: type) -> float:
        return next(at for at, command in self.log if isinstance(command, kind))

    def noted(self, name: str) -> bool:
        return any(note.name == name for note in self.of(c.Note))

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(message.role, message.content) for message in self.talk.history]


def answer(
    response: str = "r1", text: str = WORDS, ms: float = 2000.0, calls: Sequence[ToolCall] = ()
) -> list[s.Event]:
    """A whole answer, made faster than it can be heard."""
    item = f"{response}-item"
    sound: list[s.Event] = [
        s.Spoken(response, item, text),
        s.Sound(response, item, b"..", ms),
        s.SoundEnded(response, item),
    ]
    return [
        s.ResponseBegun(response),
        *(sound if text else []),
        *(s.ToolAsked(response, call) for call in calls),
        s.ResponseEnded(response, "completed"),
    ]


def turn(tape: Tape, at: float, item: str = "u1", text: str = "When are you open?") -> None:
    """The caller speaks for a second from `at`; the vendor decides 0.3 s after his last word."""
    tape.at(at, e.SpeechStarted(at))
    tape.at(at + 0.1, s.CallerStarted())
    tape.at(at + 1.2, e.SpeechStopped(at + 1.0))
    tape.at(at + 1.3, s.CallerStopped(item))
    tape.at(at + 1.5, s.CallerSaid(item, text))


def test_a_turns_parts_sum_to_what_the_caller_waited() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer())
    tape.at(2.65, e.PlayoutStarted(1))
    tape.at(4.65, e.PlayoutFinished(1))
    (closed,) = tape.of(c.CloseTurn)
    timing = closed.turn.timing
    assert timing.total_ms == pytest.approx(650)
    assert (timing.endpointing_ms, timing.llm_ms, timing.link_ms) == pytest.approx((300, 300, 50))
    assert (closed.turn.number, closed.turn.said, closed.turn.heard) == (1, "When are you open?", WORDS)


def test_the_vendor_learns_how_much_of_its_answer_was_heard_and_so_does_the_history() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer())
    tape.at(2.6, e.PlayoutStarted(1))
    assert [type(each) for each in tape.at(3.6, s.CallerStarted())][:2] == [c.Note, c.Flush]
    assert s.Truncate("r1-item", 1000) in tape.at(3.6, e.PlayoutFlushed(1, 1000.0))
    assert tape.said == [("user", "When are you open?"), ("assistant", "We are open from")]
    assert not tape.of(s.StopResponse)  # it was made to its end already


def test_an_answer_that_is_still_being_made_is_stopped_and_its_rest_not_played() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, s.ResponseBegun("r1"), s.Spoken("r1", "i", "We are "), s.Sound("r1", "i", b"..", 400))
    tape.at(2.6, e.PlayoutStarted(1))
    assert s.StopResponse("r1") in tape.at(2.8, s.CallerStarted())
    tape.at(2.8, e.PlayoutFlushed(1, 200))
    assert not [each for each in tape.at(2.9, s.Sound("r1", "i", b"..", 400)) if isinstance(each, s.Play)]
    tape.at(3.0, s.ResponseEnded("r1", "cancelled"))
    assert tape.said[-1] == ("assistant", "We") or tape.said[-1][0] == "user"


def test_a_vendor_whose_ear_is_slow_is_not_asked_whether_it_lives() -> None:
    """The question would stop an answer that is just beginning."""
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.SpeechStarted(1.0))
    tape.at(1.8, e.SpeechStopped(1.6))
    tape.at(2.0, s.CallerStarted(), s.CallerStopped("u1"))
    tape.at(2.4, s.ResponseBegun("r1"))
    assert not tape.of(s.StopResponse)


def test_sound_without_its_words_makes_no_word_heard() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, s.ResponseBegun("r1"), s.Spoken("r1", "i", "We are "), s.Sound("r1", "i", b"..", 4000))
    tape.at(2.6, e.PlayoutStarted(1))
    tape.at(3.6, s.CallerStarted())
    tape.at(3.6, e.PlayoutFlushed(1, 1000))
    assert tape.said == [("user", "When are you open?")]


def test_a_cough_pauses_the_answer_and_lets_it_go_on() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer())
    tape.at(2.6, e.PlayoutStarted(1))
    assert tape.at(3.0, e.SpeechStarted(2.95)) == [c.Pause()]
    tape.at(3.15, e.SpeechStopped(3.05))
    tape.at(5.0)
    assert tape.of(c.Resume) and not tape.of(c.Flush)
    assert tape.noted("false_interruption")


def test_our_own_ear_cuts_where_the_vendor_hears_nobody_and_the_model_goes_on() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer())
    tape.at(2.6, e.PlayoutStarted(1))
    tape.at(3.0, e.SpeechStarted(2.95))
    tape.at(3.4)
    assert tape.when(c.Flush) == pytest.approx(3.25)
    tape.at(3.4, e.PlayoutFlushed(1, 400))
    tape.at(3.8, e.SpeechStopped(3.6))
    tape.at(6.0)
    assert any("cut off" in order.instructions for order in tape.of(s.Respond))


def test_a_tool_runs_when_the_answer_that_asked_for_it_is_complete() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    call = ToolCall("c1", "look_up", "{}")
    tape.at(2.6, *answer(text="One moment.", ms=500, calls=[call])[:-1])
    assert not tape.of(c.UseTool)
    tape.at(2.7, s.ResponseEnded("r1", "completed"))
    assert tape.of(c.UseTool) == [c.UseTool(call)]
    assert tape.at(3.5, e.ToolFinished("c1", "A table for two."))[:2] == [
        s.AnswerTool("c1", "A table for two."),
        s.Respond(),
    ]


def test_a_tool_of_an_answer_that_was_cut_is_not_used() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(calls=[ToolCall("c1", "look_up", "{}")])[:-1], s.ResponseEnded("r1", "cancelled"))
    assert not tape.of(c.UseTool)


def test_a_tool_that_ends_the_call_waits_until_the_last_words_were_heard() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(text="Goodbye.", ms=600, calls=[ToolCall("c1", "end_call", "{}")]))
    tape.at(2.6, e.PlayoutStarted(1))
    assert not tape.of(c.HangUp)
    assert c.HangUp("assistant_hangup") in tape.at(3.2, e.PlayoutFinished(1))


def test_the_model_transfers_only_to_those_it_may() -> None:
    tape = Tape(transfers=(Transfer("+31201234567", "I put you through."),))
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(text="", calls=[ToolCall("c1", "transfer_call", '{"destination": "+49666"}')]))
    assert tape.noted("transfer_refused") and not tape.of(c.HandOver)
    tape.at(3.0, *answer("r2", text="", calls=[ToolCall("c2", "transfer_call", '{"destination": "+31 20 1234567"}')]))
    assert tape.of(s.Recite) == [s.Recite("I put you through.")]
    tape.at(3.2, *answer("r3", "I put you through.", 900))
    tape.at(3.2, e.PlayoutStarted(1))
    assert c.HandOver("+31201234567", "transferred") in tape.at(4.1, e.PlayoutFinished(1))


@pytest.mark.parametrize("begun", [False, True])
def test_a_model_that_owes_an_answer_and_is_silent_is_replaced(begun: bool) -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    if begun:
        tape.at(2.5, s.ResponseBegun("r1"), s.Spoken("r1", "i", "We "), s.Sound("r1", "i", b"..", 100))
        tape.at(2.5, e.PlayoutStarted(1))
    tape.at(20.0)
    due = 2.6 + GAP_S if begun else 2.3 + BEGIN_S
    assert tape.when(s.Renew) == pytest.approx(due, abs=0.05)
    (renew,) = tape.of(s.Renew)
    assert Message("user", "When are you open?") in renew.history


def test_a_vendor_that_hears_nobody_while_we_do_is_asked_whether_it_lives() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.SpeechStarted(1.0))
    tape.at(2.2, e.SpeechStopped(2.0))
    tape.at(10.0)
    assert tape.when(s.StopResponse) == pytest.approx(2.2 + LAG_S)
    assert tape.when(s.Renew) == pytest.approx(2.2 + LAG_S + PROBE_S)
    (renew,) = tape.of(s.Renew)
    assert renew.replay_s == pytest.approx(3.0, abs=0.1)


def test_a_vendor_that_complains_lives() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.SpeechStarted(1.0))
    tape.at(2.2, e.SpeechStopped(2.0))
    tape.at(2.8, s.Complained("response_cancel_not_active", ""))
    tape.at(10.0)
    assert tape.of(s.StopResponse)
    assert not tape.of(s.Renew) and not tape.noted("model_complained")


def test_a_lost_session_is_replaced_and_the_answer_asked_for_again() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    assert [type(each) for each in tape.at(2.6, s.SessionLost(LOST))][-1] is s.Renew
    assert s.Respond() in tape.at(3.0, s.SessionOpened())


def test_a_session_that_can_not_be_replaced_gives_the_caller_to_the_dialplan() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, s.SessionLost(LOST))
    (handed,) = [each for each in tape.at(4.4, s.SessionLost(LOST)) if isinstance(each, c.HandOver)]
    assert (handed.destination, handed.reason) == ("", "error")


def test_with_another_voice_the_caller_is_told_before() -> None:
    tape = Tape(voice=True)
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, s.SessionLost(LOST))
    tape.at(4.4, s.SessionLost(LOST))
    assert [spoken.kind for spoken in tape.of(c.Speak)] == ["filler", "apology"]
    tape.at(4.4, e.PlayoutFlushed(1, 0.0))
    tape.at(4.5, e.SpeechAudio(2, 900.0), e.SpeechDone(2), e.PlayoutStarted(2))
    assert not tape.of(c.HandOver)
    assert any(isinstance(each, c.HandOver) for each in tape.at(5.4, e.PlayoutFinished(2)))


def test_an_old_session_is_renewed_in_a_pause_and_not_before() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer())
    tape.at(2.6, e.PlayoutStarted(1))
    tape.at(3.0, s.SessionAging())
    assert not tape.of(s.Renew)
    (renew,) = [each for each in tape.at(4.6, e.PlayoutFinished(1)) if isinstance(each, s.Renew)]
    assert renew.planned and renew.history[-1] == Message("assistant", WORDS)


def test_words_that_the_vendor_has_no_order_for_are_asked_of_the_model() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.Instructed("say", "One moment please."))
    assert tape.of(s.Recite)
    (order,) = [each for each in tape.at(1.1, s.Complained("words_refused", "")) if isinstance(each, s.Respond)]
    assert "One moment please." in order.instructions


def test_words_that_are_never_begun_cost_the_caller_nothing_but_the_words() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.Instructed("say", "One moment please."))
    tape.at(1.0 + BEGIN_S + 0.1, s.Complained("response_cancel_not_active", ""))
    tape.at(20.0)
    assert tape.noted("words_unsaid")
    assert not tape.of(s.Renew) and not tape.of(c.HandOver)


def test_what_comes_to_be_known_without_a_session_is_told_to_the_next_one() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(text="", calls=[ToolCall("c1", "look_up", "{}"), ToolCall("c2", "look_up", "{}")]))
    tape.at(3.0, s.SessionLost(LOST))
    (renew,) = tape.of(s.Renew)
    assert not any(message.tool_calls for message in renew.history)  # no call without its answer
    tape.at(3.1, e.ToolFinished("c1", "A table for two."))
    tape.at(3.2, e.Instructed("inject", "He is a friend."))
    assert not tape.of(s.Tell)
    tape.at(3.5, s.SessionOpened())
    assert [order.message.content for order in tape.of(s.Tell)] == [
        "The tool that was asked for before has answered: A table for two.",
        "He is a friend.",
    ]
    tape.at(3.6, e.ToolFinished("c2", "None for four."))
    assert not tape.of(s.AnswerTool)
    assert "None for four." in tape.of(s.Tell)[-1].message.content


def test_exact_words_wait_for_the_caller_and_are_not_lost_to_him() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, s.CallerStarted())
    tape.at(1.1, e.Instructed("say", "One moment please."))
    assert not tape.of(s.Recite)
    tape.at(2.0, s.CallerStopped("u1"))
    tape.at(2.1, *answer())
    assert tape.of(s.Recite) == [s.Recite("One moment please.")]
    tape.at(2.2, s.CallerStarted())  # before it began
    tape.at(3.0, s.CallerStopped("u2"))
    tape.at(3.1, *answer("r2"))
    assert len(tape.of(s.Recite)) == 2


def test_nothing_is_heard_by_the_model_before_the_caller_agreed() -> None:
    tape = Tape(voice=True, consent=Consent(message="Press 1."), first_message="Hello.")
    tape.at(0.0, e.Answered())
    assert [each.caller for each in tape.of(s.Hear)] == [False]
    tape.at(1.0, e.DigitPressed("1"))
    assert [each.caller for each in tape.of(s.Hear)] == [False, True]
    assert tape.of(c.Record) and tape.of(s.Recite) == [s.Recite("Hello.")]


def test_masked_keys_are_told_to_nobody_but_the_tool_that_they_are_for() -> None:
    tape = Tape(keys=Collector(name="card", least=1, most=16, mask=True))
    tape.at(0.0, e.Answered())
    for key in "4711#":
        tape.at(1.0, e.DigitPressed(key))
    assert "4711" not in str(tape.log)
    assert tape.said[-1][1].startswith("DTMF: ••••")
    assert tape.talk.keyed("card") == "4711"


def test_hold_is_silence_to_the_model_and_stops_the_clock() -> None:
    tape = Tape(silence=SilencePlan(first_check=3.0))
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.HoldChanged(True))
    tape.at(60.0, e.HoldChanged(False))
    assert [each.caller for each in tape.of(s.Hear)] == [True, False, True]
    assert not tape.noted("silence_prompt")
    tape.at(70.0)
    assert tape.noted("silence_prompt")


def test_words_that_were_written_down_late_stand_where_they_were_said() -> None:
    tape = Tape()
    tape.at(0.0, e.Answered())
    tape.at(1.0, s.CallerStarted())
    tape.at(2.0, s.CallerStopped("u1"))
    tape.at(2.1, *answer(ms=100))
    tape.at(2.1, e.PlayoutStarted(1))
    tape.at(2.2, e.PlayoutFinished(1))
    assert tape.said == []
    tape.at(3.0, s.CallerSaid("u1", "When?"))
    assert tape.said == [("user", "When?"), ("assistant", WORDS)]
    assert tape.of(c.CloseTurn)[0].turn.said == "When?"


_EVENTS = st.sampled_from(
    [
        e.SpeechStarted(0.0),
        e.SpeechStopped(0.0),
        e.DigitPressed("4"),
        e.DigitPressed("#"),
        e.HoldChanged(True),
        e.HoldChanged(False),
        e.Instructed("say", "Words."),
        e.Instructed("inject", "Facts.", then=True),
        e.PlayoutStarted(1),
        e.PlayoutFinished(1),
        e.PlayoutFlushed(1, 30.0),
        e.PlayoutStarted(2),
        e.PlayoutFlushed(2, 10.0),
        e.ToolFinished("c1", "Result."),
        s.CallerStarted(),
        s.CallerStopped("u1"),
        s.CallerSaid("u1", "Hello."),
        s.ResponseBegun("r1"),
        s.ResponseBegun("r2"),
        s.Spoken("r1", "i1", "Words "),
        s.Sound("r1", "i1", b"..", 50.0),
        s.SoundEnded("r1", "i1"),
        s.ToolAsked("r1", ToolCall("c1", "look_up", "{}")),
        s.ToolAsked("r2", ToolCall("c2", "end_call", "{}")),
        s.ToolAsked("r2", ToolCall("c3", "transfer_call", '{"destination": "100"}')),
        e.Instructed("transfer", "Wait.", destination="200"),
        e.TransferEnded("busy"),
        s.ResponseEnded("r1", "completed"),
        s.ResponseEnded("r2", "completed"),
        s.ResponseEnded("r1", "failed", error="scripted"),
        s.Complained("odd", "scripted"),
        s.SessionAging(),
        s.SessionLost(LOST),
        s.SessionOpened(),
    ]
)


@given(st.lists(st.tuples(_EVENTS, st.floats(0.01, 3.0)), max_size=60), st.booleans())
@settings(max_examples=200, deadline=None)
def test_whatever_comes_in_whatever_order_the_books_are_closed_once(
    script: list[tuple[Any, float]], voice: bool
) -> None:
    plan: dict[str, Any] = {"silence": SilencePlan(), "transfers": (Transfer("100"),), "max_duration": 300.0}
    tape = Tape(voice=voice, first_message="Hello.", **plan)
    tape.at(0.0, e.Answered())
    now = 0.0
    for event, pause in script:
        now += pause
        tape.at(now, event)
    tape.at(now + 400.0, e.HungUp())
    assert tape.talk.phase is Phase.ENDED
    assert tape.talk.deadline is None
    assert len(tape.of(c.HangUp)) + len([each for each in tape.of(c.HandOver) if not each.destination]) <= 1
    assert list(tape.talk.history) == [each.message for each in tape.of(c.Remember)]
    asked = {call.id for message in tape.talk.history for call in message.tool_calls}
    assert asked == {message.tool_call_id for message in tape.talk.history if message.role == "tool"}
    numbers = [closed.turn.number for closed in tape.of(c.CloseTurn)]
    assert numbers == sorted(numbers)
