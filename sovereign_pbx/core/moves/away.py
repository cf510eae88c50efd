"""Moves while the caller is being put through: nobody took him and he is back, or somebody outside gives orders.

How long it rings is the PBX's matter. The call's greatest length does not cut a caller off who waits for a person;
when he is back, he is given time to hear what became of it.
"""

from typing import Final

from sovereign_pbx.core import destinations, floor, walk
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HangUp
from sovereign_pbx.core.events import Instructed, Tick, TransferEnded
from sovereign_pbx.core.moves.opening import ask_consent
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

GRACE_S: Final = 30.0  # for a caller whose time ran out while it rang


def transfer_ended(talk: Talk, event: TransferEnded) -> State:
    """He is told at once, by the model or in the words of the plan; what he said as he left comes before that."""
    talk.note("transfer_ended", outcome=event.outcome, attempts=talk.transfers.attempts)
    talk.ear.speaking = False
    if talk.transfers.limit_passed:
        talk.transfers.limit_passed = False
        talk.alarm(Alarm.LIMIT, GRACE_S)
    consent = talk.plan.consent
    if consent is not None and not talk.agreed:
        talk.asked_consent = 0
        return ask_consent(talk, consent)
    talk.open_turn(talk.now)
    talk.take_last_words()
    talk.greeted = True
    talk.history.add_system(destinations.came_back(talk.transfers.bound_for, event.outcome))
    if talk.plan.workflow is not None:
        walk.back(talk)
        return floor.answer(talk) if talk.owed else floor.rest(talk)
    talk.aside = destinations.SAY_SO
    return floor.answer(talk)


def limit_while_away(talk: Talk, _: Tick) -> State:
    talk.transfers.limit_passed = True
    return talk.state


def instructed_away(talk: Talk, event: Instructed) -> State:
    """There is nobody to be spoken to. What the model is to know it will know when he is back."""
    if event.kind == "end" or (event.kind == "say" and event.then):
        return talk.end(HangUp("api_end_call"))
    if event.kind == "inject" and event.text.strip():
        talk.history.add_system(event.text.strip())
    else:
        talk.note("instructed_too_late", kind=event.kind)
    return talk.state


MOVES = {move.__name__: move for move in (transfer_ended, limit_while_away, instructed_away)}
