"""Moves of the wait: whatever is late, the caller hears that he is not forgotten."""

from typing import Final

from sovereign_pbx.core.events import Tick
from sovereign_pbx.core.exchange import Turn
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

MOST_FILLERS: Final = 4  # in one turn: half a minute, the longest that a tool or a model is given
_NOT_COVERED: Final = ("goodbye", "apology")  # from the cache themselves: they are not late


def filler(talk: Talk, _: Tick) -> State:
    """Never on top of other words. A voice that gives no sound is covered as well: the filler goes before its words."""
    turn, queue = talk.open_turn(talk.now), talk.ledger.queue
    words = _words(talk, turn)
    sounding = any(segment.started_at is not None for segment in queue)
    # The caller keys something in, a mailbox may be speaking, or tones are on their way to a menu.
    quiet = talk.collecting is not None or talk.unsearched or turn.wordless
    if not words or sounding or quiet or any(each.kind in _NOT_COVERED for each in queue):
        return talk.state
    turn.filled += 1
    talk.fillers += 1
    talk.note("filler", waiting_for=_cause(talk), number=turn.filled)
    if queue:
        talk.say_ahead(words, "filler")
    else:
        talk.say(words, "filler")
    return talk.state


def _cause(talk: Talk) -> str:
    if talk.ledger.queue:
        return "voice"
    if talk.state is State.TRANSCRIBING:
        return "recogniser"
    return "tool" if talk.tools else "model"


def _words(talk: Talk, turn: Turn) -> str:
    """The next filler, another one than before; "" when there are none, or enough were said in this turn."""
    phrases = talk.plan.phrases
    if not phrases.filler or turn.filled >= MOST_FILLERS:
        return ""
    if turn.filled and phrases.still_waiting:
        return phrases.still_waiting[(turn.filled - 1) % len(phrases.still_waiting)]
    fillers = (phrases.filler, *phrases.more_fillers)
    return fillers[talk.fillers % len(fillers)]


MOVES = {move.__name__: move for move in (filler,)}
