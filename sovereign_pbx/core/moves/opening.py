"""Moves before the conversation proper: consent to be recorded, and a mailbox instead of a person.

Consent: nothing the caller says is listened to, kept or answered before he has pressed the key. Without it he is
given to the dialplan's fallback, where people answer who do not record.
Mailbox: it is heard to its beep, or to the end of what it says, and then left the message.
"""

from typing import Final as Constant

from sovereign_pbx.core import answering, floor, keypad
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HandOver, HangUp, Record
from sovereign_pbx.core.events import (
    Answered,
    DigitPressed,
    Final,
    Interim,
    PlayoutFinished,
    PlayoutFlushed,
    SpeechFailed,
    SpeechStarted,
    SpeechStopped,
    Tick,
    ToneHeard,
)
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.moves.failing import late_voice_failure
from sovereign_pbx.core.moves.listening import hear
from sovereign_pbx.core.moves.speaking import close_segment
from sovereign_pbx.core.plan import Consent
from sovereign_pbx.core.talk import LEAVE_SLACK_S, Talk
from sovereign_pbx.core.turn import State

SHORTEST_GREETING_S: Constant = 1.5  # "Leave a message" and its pause; a person's hello is half as long
LATE_BEEP_S: Constant = 4.0  # a beep later than that in a message ends its recording


def answered(talk: Talk, _: Answered) -> State:
    talk.answered_at = talk.now
    if talk.plan.max_duration is not None:
        talk.alarm(Alarm.LIMIT, talk.plan.max_duration)
    return floor.begin(talk) if talk.plan.consent is None else ask_consent(talk, talk.plan.consent)


def greet_late(talk: Talk, _: Tick) -> State:
    """Whoever answered waits to be spoken to; what he says first is searched all the same. Where a service screens
    calls nobody is there to be greeted."""
    if talk.introductions:
        return answering.over(talk, HangUp("no_answer"), "nobody")
    return floor.greet(talk)


# consent


def ask_consent(talk: Talk, consent: Consent) -> State:
    """Ask, or ask again."""
    talk.asked_consent += 1
    talk.cut()
    talk.open_turn(talk.now, greeting=True)
    talk.say(consent.message, "prompt")
    # until the link says that it was heard
    talk.alarm(Alarm.CONSENT, estimate_ms(consent.message) / 500 + LEAVE_SLACK_S + consent.answer_within)
    return State.CONSENT


def consent_asked(talk: Talk, event: PlayoutFinished | PlayoutFlushed) -> State:
    close_segment(talk, event)
    if talk.plan.consent is not None and not talk.ledger.queue:
        talk.alarm(Alarm.CONSENT, talk.plan.consent.answer_within)
    return State.CONSENT


def consent_key(talk: Talk, event: DigitPressed) -> State:
    consent = talk.plan.consent
    if consent is None or event.digit != consent.key:
        return _no_consent(talk)
    talk.note("recording_consent", given=True)
    talk.agreed = True
    talk.alarms.clear(Alarm.CONSENT)
    talk.stray_until = talk.now + keypad.STRAY_S  # "1#", as other systems want it
    talk.cut()
    talk.close_turn()
    talk.out.append(Record())
    return floor.begin(talk)


def consent_overdue(talk: Talk, _: Tick) -> State:
    return _no_consent(talk)


def consent_unasked(talk: Talk, event: SpeechFailed) -> State:
    """Nobody agrees to what he did not hear."""
    segment = talk.ledger.find(event.segment)
    late_voice_failure(talk, event)
    return State.CONSENT if segment is None or segment.flushing else _no_consent(talk)


def _no_consent(talk: Talk) -> State:
    consent = talk.plan.consent
    if consent is not None and talk.asked_consent < consent.attempts:
        return ask_consent(talk, consent)
    talk.note("recording_consent", given=False)
    talk.cut()
    if talk.plan.phrases.unwell and talk.held_at is None:
        talk.say(talk.plan.phrases.unwell, "apology")
    return talk.leave(HandOver("", "rejected"))


# a mailbox


def mailbox_speaks(talk: Talk, event: SpeechStarted) -> State:
    talk.ear.begin(event.at)
    return answering.hear_out(talk, speaking=True)


def mailbox_pauses(talk: Talk, event: SpeechStopped) -> State:
    talk.ear.stop(event.at)
    return answering.hear_out(talk)


def words_of_mailbox(talk: Talk, event: Interim | Final) -> State:
    hear(talk, event)
    return answering.hear_out(talk, speaking=talk.ear.speaking)


def leave_message(talk: Talk, _: Tick | ToneHeard) -> State:
    voicemail = talk.plan.voicemail
    text = talk.ear.take(talk.now)
    if text:
        talk.history.add_user(text)
        talk.open_turn(talk.now).said.append(text)
    if voicemail is not None:
        talk.message_left = talk.say(voicemail.message, "goodbye")
    return talk.leave(HangUp("voicemail"))


# tones


def tone(talk: Talk, event: ToneHeard) -> State:
    """Before the conversation: what needs no words to be known."""
    if not talk.unsearched:
        return talk.state
    talk.note("tone", kind=event.kind)
    if event.kind == "fax":
        return answering.over(talk, HangUp("error", "a fax machine answered"), "fax")
    if event.kind == "not_in_service":
        return answering.over(talk, HangUp("error", "the number is not in service"), "network")
    began_at = talk.ear.began_at
    if began_at is None or event.ended_at - began_at < SHORTEST_GREETING_S:
        return talk.state  # a recording's or a headset's beep; a mailbox has said something before
    state = answering.mailbox(talk, by="tone")
    return leave_message(talk, event) if state is State.MAILBOX else state


def tone_in_mailbox(talk: Talk, event: ToneHeard) -> State:
    """The beep: it records from here on. Whatever else sounds like a fax or a network is one of its tones."""
    talk.note("tone", kind=event.kind)
    talk.alarms.clear(Alarm.MAILBOX)
    return leave_message(talk, event)


def tone_in_message(talk: Talk, event: ToneHeard) -> State:
    """The beep came late, so that the beginning of the message was not recorded: once more, from the beginning."""
    message = talk.message_left
    if message is None or event.kind != "beep" or not message.open or message.flushing:
        return talk.state
    if message.started_at is not None and event.ended_at - message.started_at > LATE_BEEP_S:
        return talk.state
    talk.note("tone", kind=event.kind, late=True)
    talk.cut()
    return leave_message(talk, event)


MOVES = {
    move.__name__: move
    for move in (
        answered,
        greet_late,
        consent_asked,
        consent_key,
        consent_overdue,
        consent_unasked,
        mailbox_speaks,
        mailbox_pauses,
        words_of_mailbox,
        leave_message,
        tone,
        tone_in_mailbox,
        tone_in_message,
    )
}
