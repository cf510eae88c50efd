"""Moves towards the end: silence that lasts, a call that lasts too long, last words and what follows them."""

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HangUp
from sovereign_pbx.core.events import Final, Interim, PlayoutFinished, PlayoutFlushed, SpeechFailed, Tick
from sovereign_pbx.core.exchange import Parting
from sovereign_pbx.core.moves.failing import late_voice_failure
from sovereign_pbx.core.moves.listening import hear
from sovereign_pbx.core.moves.speaking import close_segment
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import SpeechKind

CHECK_IN = (
    "The caller has been silent for a while. In one short sentence, and in the language of the conversation, ask"
    " whether he is still there or needs more time."
)
TAKE_LEAVE = (
    "The caller has not answered for a long time, and the call is being ended. In one short sentence, and in the"
    " language of the conversation, say so and say goodbye."
)


def silence_prompt(talk: Talk, _: Tick) -> State:
    """Ask, or take leave: he may still speak up until the last word of that has been heard (`floor.free`)."""
    prompt = talk.silence.prompt()
    talk.note("silence_prompt", last=prompt.last)
    talk.open_turn(talk.now)
    words = prompt.text or (talk.plan.phrases.goodbye if prompt.last else "")
    if words:
        talk.say(words, "goodbye" if prompt.last else "prompt")
        return State.THINKING
    talk.aside = TAKE_LEAVE if prompt.last else CHECK_IN
    return floor.answer(talk)


def limit_reached(talk: Talk, _: Tick) -> State:
    talk.note("max_duration")
    return part_with(talk, talk.plan.phrases.goodbye, HangUp("max_duration"))


def part_with(talk: Talk, words: str, parting: Parting, *, cut: bool = True, kind: SpeechKind | None = None) -> State:
    """Last words, then the end. What was being said gives way to them, unless `cut` is False and it is complete."""
    if cut or talk.streaming:
        talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT)
        talk.cut()
    if words and talk.held_at is None:
        talk.say(words, kind or ("goodbye" if isinstance(parting, HangUp) else "prompt"))
    return talk.leave(parting)


def leave_when_heard(talk: Talk, event: PlayoutFinished | PlayoutFlushed | SpeechFailed) -> State:
    if isinstance(event, SpeechFailed):
        late_voice_failure(talk, event)
    else:
        close_segment(talk, event)
    return State.LEAVING if talk.ledger.queue else talk.part(talk.parting)


def leave_now(talk: Talk, _: Tick) -> State:
    talk.note("last_words_overdue")
    return talk.part(talk.parting)


def last_words_heard(talk: Talk, event: Interim | Final) -> State:
    hear(talk, event)
    return talk.state


MOVES = {move.__name__: move for move in (silence_prompt, limit_reached, leave_when_heard, leave_now, last_words_heard)}
