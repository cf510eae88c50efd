"""Speculation: when an answer is begun early, when it is dropped. `Talk.think` is where one is taken.

`review` looks at the conversation after every event, so that no move has to think of it.
"""

from typing import Final

from sovereign_pbx.core.commands import Prepare
from sovereign_pbx.core.events import Event, Interim, ReplyDone, ReplyFailed, ReplyText, ReplyTool
from sovereign_pbx.core.events import Final as FinalWords
from sovereign_pbx.core.speculation import equivalent
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.wording import Shape, shape

CALLER_HAS_FLOOR: Final = (State.LISTENING, State.ENDPOINTING, State.TRANSCRIBING)
# After so much silence even "my number is" may have been all; the turn goes on waiting, the model need not.
LONG_SILENCE_S: Final = 0.8
# Words that came before he fell silent lack the last one; the recogniser has until here to add it.
STALE_WORDS_S: Final = 0.3
_UNFINISHED: Final[tuple[Shape, ...]] = (
    "unknown",
    "hesitation",
    "opening",
    "open",
    "loose",
    "slight",
    "digits",
    "spelling",
)
_WHOLE: Final[tuple[Shape, ...]] = ("question", "closed", "complete", "answer", "greeting")
_FULL_STOPS: Final = (".", "?", "!", "。", "？", "！")


def review(talk: Talk, event: Event) -> None:
    """Drop the answer that no longer fits what the caller says, begin one where it is worth while."""
    if isinstance(event, Interim | FinalWords):
        talk.worded_at = talk.now
    if talk.state not in CALLER_HAS_FLOOR:
        talk.drop_guess()
        return
    if talk.guess is not None and not equivalent(talk.guess.words, talk.ear.text):
        talk.drop_guess()
    if talk.guess is None and _allowed(talk) and _likely(talk):
        talk.begin_guess()


def _allowed(talk: Talk) -> bool:
    """By the plan's limits, and because nothing is under way that would change what the model is asked."""
    plan, turn, ear = talk.plan.speculation, talk.turn, talk.ear
    if plan is None or turn is None or not ear.text or equivalent(turn.guessed, ear.text):
        return False
    tries = plan.tries - ear.speaking  # the last one is for the silence: what is guessed in speech is often wrong
    began_at = ear.began_at if ear.began_at is not None else talk.now
    affordable = turn.guesses < tries and talk.guessed_in_vain < plan.in_vain
    busy = talk.tools or talk.streaming or talk.way or talk.unsearched or len(talk.digits)
    return affordable and not busy and talk.now - began_at <= plan.longest_turn


def _likely(talk: Talk) -> bool:
    """Whether these may be the last of his words. In speech only where the recogniser has written a full stop."""
    ear, form = talk.ear, shape(talk.ear.text, talk.plan.language)
    if ear.speaking:
        return form in _WHOLE and ear.text.endswith(_FULL_STOPS)
    ended_at = ear.ended_at if ear.ended_at is not None else talk.now
    silence = talk.now - ended_at
    stable = talk.worded_at >= ended_at or silence >= STALE_WORDS_S
    return stable and (form not in _UNFINISHED or silence >= LONG_SILENCE_S)


def guessed(talk: Talk, event: ReplyText | ReplyTool | ReplyDone | ReplyFailed) -> State:
    """Of a reply whose turn is not decided yet: kept back. Its first words may be synthesised meanwhile."""
    guess = talk.guess
    if guess is not None and guess.number == event.reply and not guess.over:
        text = guess.hold(event)
        if text:
            talk.out.append(Prepare(guess.number, text))
        if guess.spoilt:
            talk.drop_guess()
    return talk.state


MOVES = {move.__name__: move for move in (guessed,)}
