"""Callers whom a realtime model has put through, in virtual time: meanwhile, and when nobody takes them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.destinations import SAY_SO
from sovereign_pbx.core.plan import Consent, Transfer
from sovereign_pbx.core.realtime import signals as s
from sovereign_pbx.core.realtime.memory import Phase
from sovereign_pbx.core.values import Message, ToolCall, TransferOutcome, TransferTerms
from tests.core.test_realtime import LOST, Tape, answer, turn

SALES = "+31201234567"
NOBODY = f"The transfer to {SALES} did not succeed: nobody answered. The caller is back with you."


def asked(destination: str = SALES, **rest: str) -> ToolCall:
    return ToolCall("t1", "transfer_call", json.dumps({"destination": destination, **rest}))


def away(tape: Tape, call: ToolCall | None = None) -> Tape:
    """The caller asks for sales from 1 s on, and is put through at 4.6 s."""
    tape.at(0.0, e.Answered())
    turn(tape, 1.0, text="Sales please.")
    tape.at(2.6, *answer(text="I'll put you through.", calls=[call or asked()]))
    tape.at(2.6, e.PlayoutStarted(1))
    tape.at(4.6, e.PlayoutFinished(1))
    return tape


def sales(**plan: Any) -> Tape:
    return away(Tape(transfers=(Transfer(SALES),), **plan))


def test_the_call_goes_on_while_the_caller_is_put_through() -> None:
    tape = sales()
    assert tape.of(c.HandOver) == [c.HandOver(SALES, "transferred")]
    assert not tape.of(c.CloseTurn)[-1].turn.interrupted
    assert tape.talk.away
    assert tape.at(60.0) == []


@pytest.mark.parametrize(
    ("outcome", "became"),
    [
        ("no_answer", "nobody answered"),
        ("busy", "the line was busy"),
        ("declined", "the person called did not want to take the call"),
        ("failed", "the connection could not be made"),
    ],
)
def test_whoever_nobody_takes_is_told_so_by_the_model_at_once(outcome: TransferOutcome, became: str) -> None:
    tape = sales()
    back = tape.at(30.0, e.TransferEnded(outcome))
    told = f"The transfer to {SALES} did not succeed: {became}. The caller is back with you."
    assert s.Tell(Message("system", told)) in back
    assert s.Respond(SAY_SO) in back
    assert s.Hear(True) in back
    tape.at(30.5, *answer("r2", "They do not answer."))
    tape.at(30.6, e.PlayoutStarted(2))
    tape.at(32.6, e.PlayoutFinished(2))
    assert [role for role, _ in tape.said] == ["user", "assistant", "tool", "system", "assistant"]
    assert tape.said[-1] == ("assistant", "They do not answer.")


def test_the_model_is_not_asked_to_speak_while_nobody_hears_it() -> None:
    tape = sales()
    assert tape.at(10.0, s.ResponseBegun("r9")) == [s.StopResponse("r9")]


def test_a_model_that_says_nothing_to_who_is_back_is_replaced() -> None:
    tape = sales()
    tape.at(30.0, e.TransferEnded("busy"))
    tape.at(34.0)
    assert tape.of(s.Renew)


def test_a_session_that_is_lost_meanwhile_is_opened_anew_and_knows_what_became_of_it() -> None:
    tape = sales()
    lost = tape.at(10.0, s.SessionLost(LOST))
    assert any(isinstance(each, s.Renew) for each in lost)
    assert tape.talk.away
    tape.at(11.0, s.SessionOpened())
    assert s.Respond(SAY_SO) in tape.at(30.0, e.TransferEnded("no_answer"))


def test_a_session_that_can_not_be_had_meanwhile_is_tried_for_again_when_he_is_back() -> None:
    tape = sales()
    tape.at(10.0, s.SessionLost(LOST))
    tape.at(12.0, s.SessionLost(LOST))
    assert len(tape.of(s.Renew)) == 1
    back = tape.at(30.0, e.TransferEnded("no_answer"))
    assert len(tape.of(s.Renew)) == 2
    assert s.Respond(SAY_SO) not in back
    opened = tape.at(31.0, s.SessionOpened())
    assert s.Tell(Message("system", NOBODY)) in opened
    assert s.Respond(SAY_SO) in opened


def test_a_session_that_is_lost_over_the_announcement_is_opened_anew_while_it_rings() -> None:
    tape = Tape(transfers=(Transfer(SALES),))
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(text="I'll put you through.", calls=[asked()]))
    tape.at(2.6, e.PlayoutStarted(1))
    tape.at(3.0, s.SessionLost(LOST))
    assert not tape.of(s.Renew)
    tape.at(4.6, e.PlayoutFinished(1))
    assert tape.talk.away
    assert len(tape.of(s.Renew)) == 1
    tape.at(5.0, s.SessionOpened())
    assert s.Respond(SAY_SO) in tape.at(30.0, e.TransferEnded("busy"))
    assert len(tape.of(s.Renew)) == 1


@given(st.lists(st.floats(2.7, 33.0), max_size=4), st.lists(st.booleans(), max_size=6), st.floats(0.1, 1.7))
@settings(deadline=None)
def test_who_is_back_is_spoken_to_or_the_dialplans_whenever_sessions_are_lost(
    losses: list[float], opened: list[bool], takes_s: float
) -> None:
    """`opened`: whether each session that is asked for can be had; beyond those all can."""
    tape = Tape(transfers=(Transfer(SALES),))
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(text="I'll put you through.", calls=[asked()]))
    script: list[tuple[float, s.Event]] = [(each, s.SessionLost(LOST)) for each in losses]
    script += [(2.6, e.PlayoutStarted(1)), (4.6, e.PlayoutFinished(1)), (30.0, e.TransferEnded("no_answer"))]
    renewals = 0
    while script:
        script.sort(key=lambda each: each[0])
        now, event = script.pop(0)
        if now > 45.0:
            break
        tape.at(now, event)
        for _ in range(len(tape.of(s.Renew)) - renewals):
            works = opened[renewals] if renewals < len(opened) else True
            renewals += 1
            script.append((now + takes_s, s.SessionOpened() if works else s.SessionLost(LOST)))
    tape.at(45.0)
    spoken = any(at >= 30.0 and command == s.Respond(SAY_SO) for at, command in tape.log)
    assert spoken or tape.talk.phase in (Phase.ENDED, Phase.LEAVING)


def test_who_is_back_to_no_model_at_all_is_the_dialplans() -> None:
    tape = sales()
    tape.at(10.0, s.SessionLost(LOST), s.SessionLost(LOST))
    tape.at(30.0, e.TransferEnded("no_answer"))
    tape.at(32.0, s.SessionLost(LOST))
    assert tape.of(c.HandOver)[-1].destination == ""
    assert tape.talk.phase is Phase.ENDED


def test_a_caller_is_not_cut_off_while_he_is_put_through_however_long_the_call_may_last() -> None:
    tape = sales(max_duration=10.0)
    tape.at(25.0)
    assert not tape.of(c.HangUp)
    tape.at(30.0, e.TransferEnded("busy"))
    tape.at(30.5, *answer("r2", "They are busy.", ms=1000))
    tape.at(30.6, e.PlayoutStarted(2))
    tape.at(31.6, e.PlayoutFinished(2))
    assert not tape.of(c.HangUp)
    tape.at(62.0)
    assert [each.reason for each in tape.of(c.HangUp)] == ["max_duration"]


def test_a_caller_who_hangs_up_meanwhile_ends_the_call() -> None:
    tape = sales()
    tape.at(10.0, e.HungUp())
    assert tape.talk.phase is Phase.ENDED
    assert not tape.of(c.HangUp)


def test_it_is_tried_again_and_not_more_often_than_the_plan_says() -> None:
    tape = sales(max_transfers=2)
    tape.at(30.0, e.TransferEnded("busy"))
    tape.at(30.5, *answer("r2", "", calls=[asked()]))
    assert len(tape.of(c.HandOver)) == 2
    tape.at(60.0, e.TransferEnded("busy"))
    tape.at(60.5, *answer("r3", "", calls=[asked()]))
    assert len(tape.of(c.HandOver)) == 2
    assert tape.noted("transfer_refused")


def test_what_the_colleague_is_to_know_goes_along() -> None:
    terms = TransferTerms(mode="attended", ring_s=12.0)
    tape = away(Tape(transfers=(Transfer(SALES, terms=terms),)), asked(summary="He wants a bicycle."))
    (parting,) = tape.of(c.HandOver)
    assert (parting.terms.mode, parting.terms.summary) == ("attended", "He wants a bicycle.")


def test_a_tool_that_answers_while_he_is_away_is_told_to_the_model_without_a_word_from_it() -> None:
    tape = Tape(transfers=(Transfer(SALES),))
    tape.at(0.0, e.Answered())
    turn(tape, 1.0)
    tape.at(2.6, *answer(text="Sure.", ms=1000, calls=[ToolCall("w1", "order_status", "{}"), asked()]))
    tape.at(2.6, e.PlayoutStarted(1))
    tape.at(3.6, e.PlayoutFinished(1))
    assert tape.talk.away
    came = tape.at(9.0, e.ToolFinished("w1", "shipped"))
    assert s.AnswerTool("w1", "shipped") in came
    assert not [each for each in came if isinstance(each, s.Respond)]


def test_orders_from_outside_meanwhile_are_kept_for_the_model_or_end_the_call() -> None:
    tape = sales()
    assert s.Tell(Message("system", "He is a good customer.")) in tape.at(
        9.0, e.Instructed("inject", "He is a good customer.", then=True)
    )
    assert not [each for each in tape.at(10.0, e.Instructed("say", "Hello?")) if not isinstance(each, c.Note)]
    tape.at(11.0, e.Instructed("end"))
    assert tape.of(c.HangUp) == [c.HangUp("api_end_call")]


def test_who_has_not_agreed_to_be_recorded_is_asked_when_he_is_back() -> None:
    tape = Tape(voice=True, consent=Consent(message="May we record?"), transfers=(Transfer(SALES),))
    tape.at(0.0, e.Answered())
    tape.at(1.0, e.Instructed("transfer", "", destination=SALES))
    assert tape.talk.away
    back = tape.at(30.0, e.TransferEnded("busy"))
    assert tape.talk.phase is Phase.CONSENT
    assert [each.text for each in back if isinstance(each, c.Speak)] == ["May we record?"]
    assert not [each for each in back if isinstance(each, s.Hear) and each.caller]
