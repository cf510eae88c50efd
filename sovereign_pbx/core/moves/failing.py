"""Moves when a provider has failed and no other took over: the caller hears so, and is never left alone with it."""

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HandOver
from sovereign_pbx.core.events import HearingFailed, SpeechFailed
from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

_PHRASES = ("apology", "goodbye")  # kinds that come from the phrase cache: if they fail, no voice will do
_LOST_S = 10.0  # a recogniser is reconnected to for five seconds, from when its answer was owed
_NOTHING_LOST = (State.RINGING, State.CONSENT, State.QUIET, State.THINKING, State.SPEAKING)


def voice_failed(talk: Talk, event: SpeechFailed) -> State:
    segment = talk.ledger.find(event.segment)
    if segment is None or segment.flushing or segment.kind == "filler":
        late_voice_failure(talk, event)
        return talk.state if talk.state in floor.DISPUTED else floor.rest(talk)
    error = str(event.error)
    talk.note("voice_failed", kind=segment.kind, error=error)
    _close(talk, segment)
    if segment.kind in _PHRASES:
        talk.cut()
        return talk.leave(HandOver("", "error", error))
    if talk.state not in floor.DISPUTED:
        talk.cut()
        return floor.apologise(talk, error)
    if floor.too_often(talk):
        return floor.hand_over(talk, error)
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
    talk.deaf = True
    if event.error.kind == "denied":  # no reconnect will change that
        return floor.hand_over(talk, error)
    spoke_at = talk.ear.silent_since
    lately = spoke_at is not None and talk.now - spoke_at <= _LOST_S
    if talk.state is State.QUIET and talk.unheard and lately:  # what he said was lost, and nobody has told him
        talk.unheard = 0
        talk.alarms.clear(Alarm.SILENCE)
        return floor.apologise(talk, error)
    if talk.state in _NOTHING_LOST:
        return floor.hand_over(talk, error) if floor.too_often(talk) else talk.state
    talk.alarms.clear(Alarm.ENDPOINT, Alarm.RESCORE, Alarm.FINAL, Alarm.STALL)
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT)
    talk.cut()
    talk.ear.speaking = False
    return floor.commit(talk) if talk.ear.text else floor.apologise(talk, error)


MOVES = {move.__name__: move for move in (voice_failed, late_voice_failure, hearing_failed)}
