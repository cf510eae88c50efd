"""What the cells of the turn table do. One module for each side of the conversation."""

from collections.abc import Callable
from typing import Any

from sovereign_pbx.core.events import Event
from sovereign_pbx.core.moves import (
    away,
    ending,
    failing,
    guessing,
    keys,
    line,
    listening,
    opening,
    orders,
    overlap,
    speaking,
    thinking,
    waiting,
)
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import Column, State, decided

Move = Callable[[Talk, Any], State]  # each move takes the events of the columns that name it


def take(talk: Talk, column: Column, event: Event) -> None:
    """Do what the table says about `column` in the present state, and go where that leads."""
    cell = decided(talk.state, column)
    if cell.move:
        talk.state = MOVES[cell.move](talk, event)


def beneath(talk: Talk, event: Event) -> State:
    """On hold: what is not the caller's sound happens to the state that the hold lies over."""
    talk.state = talk.beneath
    take(talk, type(event), event)
    talk.beneath = talk.state
    return State.ENDED if talk.state is State.ENDED else State.HELD


MOVES: dict[str, Move] = {
    **listening.MOVES,
    **overlap.MOVES,
    **thinking.MOVES,
    **waiting.MOVES,
    **guessing.MOVES,
    **speaking.MOVES,
    **failing.MOVES,
    **line.MOVES,
    **keys.MOVES,
    **opening.MOVES,
    **orders.MOVES,
    **ending.MOVES,
    **away.MOVES,
    "beneath": beneath,
}
