"""Moves of the caller's keys."""

from sovereign_pbx.core import floor, keypad
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.digits import key_of
from sovereign_pbx.core.events import DigitPressed, Tick
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

_HIS_TURN = (State.LISTENING, State.ENDPOINTING, State.TRANSCRIBING)
_OUR_TURN = (State.THINKING, State.SPEAKING)


def digit(talk: Talk, event: DigitPressed) -> State:
    key = key_of(event.digit)
    if not key:
        talk.note("not_a_digit")
        return talk.state
    talk.silence.reset()
    if not keypad.press(talk, key):
        return talk.state
    return _collected(talk) if talk.collecting is not None else _unasked(talk)


def _collected(talk: Talk) -> State:
    """A key for the tool that collects."""
    if keypad.completed(talk):
        return _go_on(talk)
    return _keyed(talk)


def _unasked(talk: Talk) -> State:
    keys = talk.plan.keys
    entry = talk.digits.complete(keys)
    return _keyed(talk) if entry is None else _entered(talk, entry or keys.finish)


def _keyed(talk: Talk) -> State:
    """One key of several: no turn yet, but the assistant has been told to be quiet."""
    keys = keypad.current(talk)
    talk.alarm(Alarm.DIGITS, keys.between)
    if talk.state is State.QUIET:
        talk.alarms.clear(Alarm.SILENCE)
    if keys.interrupt and talk.state is State.SPEAKING:
        keypad.hush(talk)
        return floor.rest(talk)
    return talk.state


def digits_complete(talk: Talk, _: Tick) -> State:
    """No further key came."""
    if talk.collecting is None:
        return _entered(talk, talk.digits.take())
    keypad.overdue(talk)
    return _go_on(talk)


def _go_on(talk: Talk) -> State:
    """The tool has its result: the model is next, unless the caller has the floor."""
    return floor.rest(talk) if talk.state in _OUR_TURN else talk.state


def _entered(talk: Talk, entry: str) -> State:
    """An entry that nobody has asked for is a turn of the caller, or part of the one that he is in."""
    talk.alarms.clear(Alarm.DIGITS)
    talk.note("digits", count=len(entry))
    talk.ear.add(talk.digits.message(talk.plan.keys, entry))
    if talk.state in _HIS_TURN:
        return talk.state
    if talk.state is State.QUIET:
        talk.alarms.clear(Alarm.SILENCE)
        talk.open_turn(talk.now)
        return floor.commit(talk)
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT, Alarm.STALL)
    talk.cut()
    talk.open_turn(talk.now)
    if talk.ear.speaking:
        floor.watch_for_stall(talk)
        return State.LISTENING
    return floor.commit(talk)


MOVES = {move.__name__: move for move in (digit, digits_complete)}
