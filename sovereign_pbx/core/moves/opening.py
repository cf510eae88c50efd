"""Moves before the conversation proper: consent to be recorded, and a mailbox instead of a person.

Consent: nothing the caller says is listened to, kept or answered before he has pressed the key. Without it he is
given to the dialplan's fallback, where people answer who do not record.
Mailbox: it is heard to its end, which takes the beep with it, and then left the message.
"""

from sovereign_pbx.core import floor
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
)
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.moves.failing import late_voice_failure
from sovereign_pbx.core.moves.listening import hear
from sovereign_pbx.core.moves.speaking import close_segment
from sovereign_pbx.core.plan import Consent
from sovereign_pbx.core.talk import LEAVE_SLACK_S, Talk
from sovereign_pbx.core.turn import State


def answered(talk: Talk, _: Answered) -> State:
    talk.answered_at = talk.now
    if talk.plan.max_duration is not None:
        talk.alarm(Alarm.LIMIT, talk.plan.max_duration)
    return floor.begin(talk) if talk.plan.consent is None else _ask_consent(talk, talk.plan.consent)


def greet_late(talk: Talk, _: Tick) -> State:
    """Whoever answered waits to be spoken to; what he says first is searched all the same."""
    return floor.greet(talk)


# consent


def _ask_consent(talk: Talk, consent: Consent) -> State:
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
    talk.alarms.clear(Alarm.CONSENT)
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
        return _ask_consent(talk, consent)
    talk.note("recording_consent", given=False)
    talk.cut()
    if talk.plan.phrases.unwell and talk.held_at is None:
        talk.say(talk.plan.phrases.unwell, "apology")
    return talk.leave(HandOver("", "rejected"))


# a mailbox


def mailbox_speaks(talk: Talk, event: SpeechStarted) -> State:
    talk.ear.begin(event.at)
    return floor.hear_mailbox_out(talk, speaking=True)


def mailbox_pauses(talk: Talk, event: SpeechStopped) -> State:
    talk.ear.stop(event.at)
    return floor.hear_mailbox_out(talk)


def words_of_mailbox(talk: Talk, event: Interim | Final) -> State:
    hear(talk, event)
    return floor.hear_mailbox_out(talk, speaking=talk.ear.speaking)


def leave_message(talk: Talk, _: Tick) -> State:
    voicemail = talk.plan.voicemail
    text = talk.ear.take(talk.now)
    if text:
        talk.history.add_user(text)
        talk.open_turn(talk.now).said.append(text)
    if voicemail is not None:
        talk.say(voicemail.message, "goodbye")
    return talk.leave(HangUp("voicemail"))


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
    )
}
