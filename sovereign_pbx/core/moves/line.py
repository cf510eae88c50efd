"""Moves of the line: hold, hang-up."""

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.events import Final, HoldChanged, HungUp, Interim
from sovereign_pbx.core.moves.listening import hear
from sovereign_pbx.core.moves.overlap import SHORT_DOUBT_S
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State


def hung_up(talk: Talk, event: HungUp) -> State:
    talk.note("hung_up", reason=event.reason, cause=event.cause, state=talk.state.name)
    return talk.end(None)


# hold


def held(talk: Talk, event: HoldChanged) -> State:
    if not event.held:
        return talk.state
    talk.beneath = talk.state
    talk.alarms.hold(talk.now)
    talk.pause()
    talk.held_at = talk.now
    return State.HELD


def words_on_hold(talk: Talk, event: Interim | Final) -> State:
    """Of what he said before the hold."""
    if talk.beneath is not State.CONSENT:
        hear(talk, event)
    return State.HELD


def released(talk: Talk, event: HoldChanged) -> State:
    """Back from hold. The time did not pass; speech that was going on has ended with it."""
    if event.held:
        return State.HELD
    talk.alarms.release(talk.now)
    if talk.held_at is not None:
        talk.ear.shift(talk.now - talk.held_at)
    talk.held_at = None
    state = talk.beneath
    if state not in (State.OVERLAP, State.DOUBT):
        talk.resume()
    talk.ear.speaking = False
    if state is State.LISTENING:
        return floor.silence_falls(talk, talk.now)
    if state in (State.OVERLAP, State.DOUBT):
        talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.STALL)
        talk.alarm(Alarm.DOUBT, SHORT_DOUBT_S)
        return State.DOUBT
    return state


MOVES = {move.__name__: move for move in (hung_up, held, released, words_on_hold)}
