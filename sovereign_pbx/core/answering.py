"""The beginning of a call that we place: who has answered, and what is to be done before the conversation begins.

Nobody is greeted over a mailbox's or a screening service's words. What the PBX knows goes first
(`Voicemail.answered_by`), then tones, then the first words (contract §15.1: searched once). A screening service is told
who calls and why, and whatever it says until it has heard that is its own; only then a person, a mailbox or a refusal
is expected.
"""

from typing import Final, Literal

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HangUp, WatchTones
from sovereign_pbx.core.exchange import Parting
from sovereign_pbx.core.screening import who_says
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

Next = State | Literal["begin", "wait"]

MOST_INTRODUCTIONS: Final = 3  # a service that asks once more than that hears the model instead


def begin(talk: Talk) -> Next:
    """The call is answered: by whom?"""
    plan = talk.plan.voicemail
    if plan is None or not talk.unsearched:
        return "begin"
    if plan.answered_by == "person":
        _found(talk, "person", by="pbx")
        talk.unsearched = False
        return "begin"
    talk.out.append(WatchTones(True))
    return mailbox(talk, by="pbx") if plan.answered_by == "mailbox" else "wait"


def judge(talk: Talk, text: str) -> Next:
    """Whoever has answered has said `text`."""
    screened = bool(talk.introductions)
    who = who_says(text, screened=screened)
    if who == "mailbox":
        return mailbox(talk, by="words")
    if who == "screening" or (screened and who == "person" and not talk.introductions[-1].whole):
        return _introduce(talk)
    if who == "declined":
        return over(talk, HangUp("rejected"), "declined")
    if who == "waiting":
        talk.fetched = True
        talk.note("answered_by", who="waiting", by="words")
        talk.close_turn()  # nothing is said to that, and nothing is owed
        return "wait"
    _found(talk, "person", by="words")
    return _begin(talk)


def _introduce(talk: Talk) -> Next:
    """Say who calls and why; once more where it was cut."""
    plan = talk.plan.voicemail
    words = plan.introduction if plan is not None else ""
    if not words.strip() or len(talk.introductions) >= MOST_INTRODUCTIONS:
        return _begin(talk)
    if not talk.introductions:
        _found(talk, "screening", by="words")
    talk.fetched = True
    talk.introductions.append(talk.say(words, "prompt"))
    return "wait"


def _begin(talk: Talk) -> Next:
    talk.unsearched = False
    talk.out.append(WatchTones(False))
    return "begin"


def mailbox(talk: Talk, *, by: str) -> State:
    """It is one: hear it out, or hang up on it."""
    _found(talk, "mailbox", by=by)
    plan = talk.plan.voicemail
    talk.unsearched = False
    talk.cut()
    if plan is None or not plan.message.strip():
        return talk.end(HangUp("voicemail"))
    talk.alarms.keep((Alarm.LIMIT,))
    talk.mailbox_at = talk.now
    return hear_out(talk, speaking=talk.ear.speaking)


def hear_out(talk: Talk, *, speaking: bool = False) -> State:
    """Until its beep, or until it has been silent for a while; one that never is gets the message anyway."""
    plan = talk.plan.voicemail
    if plan is not None:
        latest = talk.mailbox_at + plan.longest
        talk.alarms.set(Alarm.MAILBOX, latest if speaking else min(talk.now + plan.pause, latest), talk.now)
    return State.MAILBOX


def patience(talk: Talk) -> float:
    """How long whoever has answered may say nothing."""
    plan = talk.plan.voicemail
    return 0.0 if plan is None else plan.fetching if talk.fetched else plan.patience


def over(talk: Talk, parting: Parting, who: str) -> State:
    """It comes to no conversation."""
    _found(talk, who, by="words" if who == "declined" else "tone" if who != "nobody" else "silence")
    talk.unsearched = False
    talk.cut()
    return talk.end(parting)


def _found(talk: Talk, who: str, *, by: str) -> None:
    talk.note("answered_by", who=who, by=by, screened=bool(talk.introductions))
