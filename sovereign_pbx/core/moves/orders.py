"""Moves of those who give orders: the control API (contract §7) while the call is there to obey."""

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HandOver, HangUp
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.moves.ending import part_with
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

_CALLER_HAS_FLOOR = (State.LISTENING, State.ENDPOINTING, State.TRANSCRIBING, State.OVERLAP, State.DOUBT)


def instructed(talk: Talk, event: Instructed) -> State:
    match event.kind:
        case "say":
            return _say(talk, event)
        case "inject":
            return _inject(talk, event)
        case "transfer":
            return part_with(talk, event.text, _transfer(event))
        case _:
            return part_with(talk, event.text, HangUp("api_end_call"), cut=not event.then)


def _transfer(event: Instructed) -> HandOver:
    return HandOver(event.destination, "transferred", terms=event.terms)


def _say(talk: Talk, event: Instructed) -> State:
    """Exact words. Behind what is queued; behind the caller's turn when he has the floor, unless the call is to end."""
    text = event.text.strip()
    if event.then:
        return part_with(talk, text, HangUp("api_end_call"), cut=talk.state in _CALLER_HAS_FLOOR, kind="say")
    if not text:
        return talk.state
    if talk.state in _CALLER_HAS_FLOOR:
        talk.waiting.append(text)
        return talk.state
    talk.alarms.clear(Alarm.SILENCE)
    talk.say(text, "say")
    return floor.rest(talk)


def _inject(talk: Talk, event: Instructed) -> State:
    """The model is to know something; `then`: and to speak about it as soon as the floor is free."""
    if event.text.strip():
        talk.history.add_system(event.text.strip())
    if not event.then:
        return talk.state
    talk.owed = True
    if talk.state in _CALLER_HAS_FLOOR:
        return talk.state
    if talk.state is State.THINKING and not (talk.turn and talk.turn.audible):
        return _think_again(talk)
    talk.alarms.clear(Alarm.SILENCE)
    return floor.rest(talk) if talk.reply and talk.reply.streaming else floor.answer(talk)


def _think_again(talk: Talk) -> State:
    """Nothing of the answer has been heard yet: it may as well know."""
    if not talk.tools and not talk.ledger.queue:
        talk.cut()
        return floor.answer(talk)
    return floor.rest(talk)


def instructed_early(talk: Talk, event: Instructed) -> State:
    """Before the conversation proper: what can wait waits, what ends the call ends it."""
    text = event.text.strip()
    if event.kind == "transfer":
        talk.cut()
        return talk.part(_transfer(event))
    if event.kind == "end" or (event.kind == "say" and event.then):
        return talk.end(HangUp("api_end_call"))
    if event.kind == "inject":
        talk.owed |= event.then
    if text and event.kind == "inject":
        talk.history.add_system(text)
    elif text:
        talk.waiting.append(text)
    return talk.state


def instructed_late(talk: Talk, event: Instructed) -> State:
    """The call is ending already; only an order to end it at once adds to that."""
    if event.kind == "end" and not event.text:
        return talk.end(HangUp("api_end_call"))
    talk.note("instructed_too_late", kind=event.kind)
    return talk.state


MOVES = {move.__name__: move for move in (instructed, instructed_early, instructed_late)}
