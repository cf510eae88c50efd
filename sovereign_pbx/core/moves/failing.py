"""Moves when a provider has failed and no other took over: the caller hears so, and is never left alone with it."""

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HandOver
from sovereign_pbx.core.events import HearingFailed, SpeechFailed
from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

_PHRASES = ("apology", "goodbye")  # kinds that come from the phrase cache: if they fail, no voice will do
_DISPUTED = (State.OVERLAP, State.DOUBT)
_NOTHING_LOST = (State.RINGING, State.QUIET, State.THINKING, State.SPEAKING)


def apologise(talk: Talk, error: str, *, stay: bool = False) -> State:
    """Say that something went wrong and go on, or hand the caller over when it went wrong too often.

    `stay`: the floor is disputed; the apology waits in the queue like the rest.
    """
    if _too_often(talk):
        return hand_over(talk, error)
    talk.owed = False
    talk.open_turn(talk.now).failed = True
    talk.alarms.clear(Alarm.FILLER)
    talk.say(talk.plan.phrases.apology, "apology")
    return talk.state if stay else floor.rest(talk)


def _too_often(talk: Talk) -> bool:
    talk.failures += 1
    return talk.failures >= talk.plan.failures_before_handover


def hand_over(talk: Talk, error: str) -> State:
    """The assistant can't go on: tell the caller, then let the dialplan have him."""
    talk.note("unwell", failures=talk.failures)
    if talk.state in _DISPUTED:
        talk.cut()
    if talk.plan.phrases.unwell and talk.answered_at is not None and talk.held_at is None:
        talk.say(talk.plan.phrases.unwell, "apology")
    return talk.leave(HandOver("", "error", error))


def voice_failed(talk: Talk, event: SpeechFailed) -> State:
    segment = talk.ledger.find(event.segment)
    if segment is None or segment.flushing or segment.kind == "filler":
        late_voice_failure(talk, event)
        return talk.state if talk.state in _DISPUTED else floor.rest(talk)
    error = str(event.error)
    talk.note("voice_failed", kind=segment.kind, error=error)
    _close(talk, segment)
    if segment.kind in _PHRASES:
        talk.cut()
        return talk.leave(HandOver("", "error", error))
    if talk.state not in _DISPUTED:
        talk.cut()
        return apologise(talk, error)
    if _too_often(talk):
        return hand_over(talk, error)
    talk.owed = True  # the caller has the floor; if he does not use it, the model answers once more
    return floor.take_floor(talk)


def late_voice_failure(talk: Talk, event: SpeechFailed) -> State:
    """Of a segment that was flushed already: nothing of it is owed any more."""
    segment = talk.ledger.find(event.segment)
    if segment is not None:
        _close(talk, segment)
    return talk.state


def _close(talk: Talk, segment: Segment) -> None:
    """A voice that failed says no more; what of the segment was heard is known by the clock alone."""
    talk.history.mark_cut(segment)
    at = segment.flushing_at_ms
    talk.ledger.cut(segment, talk.ledger.position_ms(segment, talk.now) if at is None else at)


def hearing_failed(talk: Talk, event: HearingFailed) -> State:
    """The recogniser is gone. Words that were under way are lost, so the caller is asked to say them again."""
    error = str(event.error)
    talk.note("hearing_failed", error=error)
    if event.error.kind == "denied":  # no reconnect will change that
        return hand_over(talk, error)
    if talk.state in _NOTHING_LOST:
        return hand_over(talk, error) if _too_often(talk) else talk.state
    talk.alarms.clear(Alarm.ENDPOINT, Alarm.RESCORE, Alarm.FINAL, Alarm.STALL)
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT)
    talk.cut()
    talk.ear.speaking = False
    return floor.commit(talk) if talk.ear.text else apologise(talk, error)


MOVES = {move.__name__: move for move in (voice_failed, late_voice_failure, hearing_failed)}
