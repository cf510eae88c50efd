"""Moves of the voice and the link: what is sound by now, what has been heard."""

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.events import PlayoutFinished, PlayoutFlushed, PlayoutStarted, SpeechAudio, SpeechDone
from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State


def note_audio(talk: Talk, event: SpeechAudio) -> State:
    segment = talk.ledger.find(event.segment)
    if segment is not None:
        segment.ms = max(segment.ms, event.ms)
        if len(event.words) > len(segment.words):
            segment.words = event.words
        if event.ms > 0 and _stops_the_watch(talk, segment) and talk.turn and talk.turn.timeline:
            talk.turn.timeline.enter("link", talk.now)
    return talk.state


def note_synthesised(talk: Talk, event: SpeechDone) -> State:
    segment = talk.ledger.find(event.segment)
    if segment is not None:
        segment.complete = True
    return talk.state


def note_started(talk: Talk, event: PlayoutStarted) -> State:
    segment = talk.ledger.find(event.segment)
    if segment is not None:
        talk.ledger.start(segment, talk.now, event.played_ms)
        if segment.kind != "filler":
            talk.alarms.clear(Alarm.FILLER)
        if _stops_the_watch(talk, segment) and talk.turn:
            talk.turn.reply_started_at = talk.now
            if talk.turn.timeline:
                talk.turn.timeline.end(talk.now)
    return talk.state


def _stops_the_watch(talk: Talk, segment: Segment) -> bool:
    """Whether it is the first sound of the answer that the caller waits for."""
    turn = talk.turn
    return turn is not None and turn.reply_started_at is None and segment.kind != "filler" and segment in turn.segments


def playout_started(talk: Talk, event: PlayoutStarted) -> State:
    note_started(talk, event)
    return State.SPEAKING if talk.turn is not None and talk.turn.audible and talk.ledger.queue else talk.state


def close_segment(talk: Talk, event: PlayoutFinished | PlayoutFlushed) -> None:
    segment = talk.ledger.find(event.segment)
    if segment is None:
        return
    if segment.started_at is not None:
        talk.sounded_at = talk.now
    if isinstance(event, PlayoutFinished) and segment.started_at is None:
        talk.note("no_audio", kind=segment.kind)  # the voice delivered nothing: nothing was heard
        talk.ledger.cut(segment, 0.0)
    elif isinstance(event, PlayoutFinished):
        talk.ledger.finish(segment)
        talk.history.fix_users_before(segment)
    else:
        talk.history.mark_cut(segment)
        talk.ledger.cut(segment, event.played_ms)


def note_finished(talk: Talk, event: PlayoutFinished) -> State:
    close_segment(talk, event)
    return talk.state


def note_flushed(talk: Talk, event: PlayoutFlushed) -> State:
    close_segment(talk, event)
    return talk.state


def playout_finished(talk: Talk, event: PlayoutFinished) -> State:
    """What is still owed may keep the caller waiting, be it the next words or only their sound."""
    close_segment(talk, event)
    state = floor.rest(talk)
    if state in (State.THINKING, State.SPEAKING) and not talk.alarms.is_set(Alarm.FILLER):
        talk.cover_wait()
    return state


def playout_flushed(talk: Talk, event: PlayoutFlushed) -> State:
    close_segment(talk, event)
    return floor.rest(talk)


MOVES = {
    move.__name__: move
    for move in (
        note_audio,
        note_synthesised,
        note_started,
        note_finished,
        note_flushed,
        playout_started,
        playout_finished,
        playout_flushed,
    )
}
