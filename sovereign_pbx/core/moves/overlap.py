"""Moves while both want the floor: barge-in in two steps, and the way back from a false one.

Step one holds playout. Step two needs words, because coughs, doors and televisions last as long as words do:
as long as none have come the assistant can go on where it stopped, with nothing lost. Words that only show that he
listens don't interrupt either, an order does at once (`interjection`). Where the administrator
has switched that off (`false_interruption_timeout` is None) there is no step one, and speech of
`interruption_min_duration` cuts for good.
"""

from typing import Final as Constant

from sovereign_pbx.core import floor, interjection
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.ear import LATE_WORDS_S
from sovereign_pbx.core.events import (
    Final,
    Interim,
    NothingHeard,
    PlayoutFinished,
    PlayoutFlushed,
    ReplyDone,
    SpeechStarted,
    SpeechStopped,
    Tick,
)
from sovereign_pbx.core.moves import listening, speaking, thinking
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State

# Two windows of the voice detector (32 ms each): a click fills one, a syllable never less than two. The detector
# reports an onset later than this, so that in practice playout is held at the very event.
PAUSE_AFTER_S: Constant = 0.06
# Words of a sound shorter than an interruption come within this time of its end or not at all: the slowest of the
# measured streaming recognisers has its final text out after 0.36 s (p95).
SHORT_DOUBT_S: Constant = 0.6
OWN_PHRASE_WORDS: Constant = 5  # nobody repeats more than this to ask whether he has understood


def overlap_begins(talk: Talk, event: SpeechStarted) -> State:
    talk.ear.begin(event.at)
    talk.ear.mark()
    floor.watch_for_stall(talk)
    policy = talk.plan.turn_taking
    audible = talk.turn is not None and talk.turn.audible
    if policy.false_interruption_timeout is None and policy.interruption_min_words == 0:
        talk.alarm(Alarm.CONFIRM, policy.interruption_min_duration, since=event.at)
    if not audible:
        talk.pause()  # nothing audible is lost by it, and the answer must not start over his words
    elif policy.false_interruption_timeout is not None:
        _pause_after_a_syllable(talk, event.at)
    return State.OVERLAP


def _pause_after_a_syllable(talk: Talk, onset: float) -> None:
    if talk.now - onset >= PAUSE_AFTER_S:
        talk.pause()
    else:
        talk.alarm(Alarm.PAUSE, PAUSE_AFTER_S, since=onset)


def overlap_again(talk: Talk, event: SpeechStarted) -> State:
    talk.ear.begin(event.at)
    talk.alarms.clear(Alarm.DOUBT)
    floor.watch_for_stall(talk)
    return State.OVERLAP


def pause_due(talk: Talk, _: Tick) -> State:
    talk.pause()
    return State.OVERLAP


def overlap_ends(talk: Talk, event: SpeechStopped) -> State:
    talk.ear.stop(event.at)
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.STALL)
    if not talk.ledger.paused:
        return go_on(talk)
    if talk.turn is not None and talk.turn.audible and talk.ear.new_text:
        talk.state = State.DOUBT  # words are there already: what he said is weighed as a whole now that he is silent
        state = weigh_words(talk)
        if state is not State.DOUBT:
            return state
    timeout = talk.plan.turn_taking.false_interruption_timeout
    wait = SHORT_DOUBT_S if timeout is None else timeout
    short = event.at - talk.ear.onset < talk.plan.turn_taking.interruption_min_duration
    if short and talk.ear.streams:  # a recogniser without interims is slower, but says when it found nothing
        wait = min(wait, SHORT_DOUBT_S)
    talk.alarm(Alarm.DOUBT, wait, since=event.at)
    return State.DOUBT


def words_in_overlap(talk: Talk, event: Interim | Final) -> State:
    return weigh_words(talk) if listening.hear(talk, event) else talk.state


def words_over_reply(talk: Talk, event: Interim | Final) -> State:
    """Words of which the voice detector heard nothing, or that come after the assistant went on."""
    return weigh_words(talk) if listening.hear(talk, event) else talk.state


def weigh_words(talk: Talk) -> State:
    """What has been said over the assistant: does it stop, is it answered, or does it go on? (`interjection`)

    Before the assistant is audible any word is a continuation of the turn. After that an order counts whatever
    `interruption_min_words` says, assent only where it answers a question, and all else by its number of words.
    """
    ear = talk.ear
    if talk.turn is None or not talk.turn.audible:
        return _take(talk, "more") if ear.new_text else talk.state
    kind = interjection.kind(ear.new_text, talk.plan.language)
    heard, ahead = talk.ledger.spoken(talk.turn.segments, talk.now)
    if kind != "command" and _own_words(talk, heard):
        return _dismiss(talk, "own_words")
    if kind == "command":
        return _take(talk, "order")
    answers = _prompted(talk) or interjection.answers(heard, ahead)
    if kind == "backchannel" and answers:
        return _take(talk, "answer")
    if kind in ("backchannel", "sound"):
        return talk.state if talk.state is State.OVERLAP else _dismiss(talk, kind)
    if (answers or not _short(talk)) and ear.new_words >= max(1, talk.plan.turn_taking.interruption_min_words):
        return _take(talk, "words")
    if talk.state is State.DOUBT and ear.settled:
        talk.note("words_too_few", words=ear.new_words)
        return go_on(talk)
    return talk.state


def _prompted(talk: Talk) -> bool:
    """He is being asked whether he is there, or to say it again: whatever he says is what was asked for."""
    return any(segment.kind == "prompt" for segment in talk.ledger.queue)


def _take(talk: Talk, why: str) -> State:
    if talk.state not in floor.DISPUTED:
        talk.note("words_without_speech")
    talk.note("interruption", why=why, words=talk.ear.new_words)
    return floor.take_floor(talk)


def _own_words(talk: Talk, heard: str) -> bool:
    """The recogniser heard the assistant. Where the voice detector, which knows what is played, heard a caller, he
    may be repeating something: then it takes a whole phrase to believe it."""
    least = 1 if talk.state not in floor.DISPUTED else OWN_PHRASE_WORDS
    return talk.ear.new_words >= least and interjection.echoes(talk.ear.new_text, heard)


def _short(talk: Talk) -> bool:
    """The voice detector heard the whole of it, and it was shorter than an interruption: a sneeze, whatever the
    recogniser makes of it."""
    ear = talk.ear
    if ear.speaking or not ear.voiced or ear.ended_at is None:
        return False
    return ear.ended_at - ear.onset < talk.plan.turn_taking.interruption_min_duration - floor.ROUNDING_S


def _dismiss(talk: Talk, what: str) -> State:
    """It asks for nothing: it is put on record, leaves no message for the model, and the assistant goes on.

    Assent that falls on the last words of all is kept: if they are over in time, it is the caller's turn.
    """
    ear = talk.ear
    if what == "backchannel" and _over_the_end(talk):
        _as_if_said_now(talk)
    else:
        if not ear.interim:  # once, with the final words
            talk.note(what, words=ear.new_words, after=round(talk.now - ear.onset, 3))
        ear.unsay()
    return go_on(talk) if talk.state is State.DOUBT else talk.state


def _over_the_end(talk: Talk) -> bool:
    left, ended_at = talk.ledger.left_s(talk.now), talk.ear.ended_at
    if left is None or ended_at is None or talk.streaming or talk.tools:
        return False
    return talk.now + left - (talk.now if talk.state is State.DOUBT else ended_at) <= LATE_WORDS_S


def _as_if_said_now(talk: Talk) -> None:
    """The time for which the assistant was held does not make his words late."""
    ear = talk.ear
    if talk.state is State.DOUBT and ear.ended_at is not None:
        settled = ear.settled
        ear.shift(talk.now - ear.ended_at)
        if settled:
            ear.listened_at = talk.now


def interruption_confirmed(talk: Talk, _: Tick) -> State:
    """Only where going on again is switched off: if no words come, the model is asked to take up the thread."""
    if talk.turn is not None and talk.turn.audible:
        talk.owed = True
        talk.aside = floor.CUT_OFF
    return floor.take_floor(talk)


def false_interruption(talk: Talk, _: Tick | NothingHeard) -> State:
    talk.note("false_interruption", after=round(talk.now - talk.ear.onset, 3))
    return go_on(talk)


def overlap_stalled(talk: Talk, _: Tick) -> State:
    talk.note("speech_without_words")
    return go_on(talk)


def go_on(talk: Talk) -> State:
    """It was no interruption: play on where it stopped, and do what was put off meanwhile."""
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT, Alarm.STALL)
    talk.ear.mark()
    talk.resume()
    state = thinking.use_held_tools(talk)
    if state is None:
        state = floor.rest(talk)
    if state is State.THINKING and not talk.alarms.is_set(Alarm.FILLER) and not talk.ledger.queue:
        talk.cover_wait()
    return state


def reply_done_held(talk: Talk, event: ReplyDone) -> State:
    thinking.finish_reply(talk, event)
    return talk.state


def playout_ran_out(talk: Talk, event: PlayoutFinished | PlayoutFlushed) -> State:
    """The assistant may come to its end while the caller speaks: then he is not interrupting any more."""
    speaking.close_segment(talk, event)
    if talk.ledger.queue or talk.streaming or talk.tools or talk.owed or _tools_held(talk):
        return talk.state
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT)
    talk.resume()
    talk.reply = None
    talk.close_turn()
    talk.open_turn(talk.ear.onset)
    if talk.ear.speaking:
        return State.LISTENING
    return floor.silence_falls(talk, talk.ear.ended_at if talk.ear.ended_at is not None else talk.now)


def _tools_held(talk: Talk) -> bool:
    return talk.reply is not None and bool(talk.reply.held_tools or talk.reply.parting)


MOVES = {
    move.__name__: move
    for move in (
        overlap_begins,
        overlap_again,
        pause_due,
        overlap_ends,
        words_in_overlap,
        words_over_reply,
        interruption_confirmed,
        false_interruption,
        overlap_stalled,
        reply_done_held,
        playout_ran_out,
    )
}
