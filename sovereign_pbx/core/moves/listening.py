"""Moves while the caller has the floor: he speaks, he falls silent, his words come in.

Every way in which a turn can end has a name among the notes, also where the voice detector (VAD) and the recogniser
disagree:

turn_decided           the turn is over; why, see `weighing`
turn_cut_off           he went on at once: it had not been over
words_without_speech   words of which the VAD heard nothing are a turn like any other
speech_without_end     the VAD hears no end, but no more words came: those that did are the turn
speech_without_words   the VAD hears speech, the recogniser not a word: no turn
nothing_heard          speech is over and no words came of it
late_final             the final text of words that a turn went ahead with
words_over_the_end     words over the assistant's last ones are the next turn
"""

from typing import Final as Constant

from sovereign_pbx.core import floor
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.ear import OVERDUE_S, same_words
from sovereign_pbx.core.endpointing import COMPLETE, next_score
from sovereign_pbx.core.events import (
    Final,
    Interim,
    NothingHeard,
    SpeechStarted,
    SpeechStopped,
    Tick,
    TurnScored,
    UtteranceEnded,
)
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.weighing import evidence, learn_pause

SLOW_RECOGNISER_S: Constant = 5.0  # one that reads whole utterances, on a busy machine


def hear(talk: Talk, event: Interim | Final) -> bool:
    """Take the words down. False when there are none that a turn did not have already."""
    talk.deaf = False
    final = isinstance(event, Final)
    text = _beyond_taken(talk, event.text, final) if talk.ear.took else event.text
    if not text.strip():
        return False
    if final:
        talk.ear.hear_final(text, talk.now)
    else:
        talk.ear.hear_interim(text, talk.now)
    return True


def _beyond_taken(talk: Talk, text: str, final: bool) -> str:
    """What these words add to the unfinished ones that a turn went ahead with; the rest corrects the history."""
    ear = talk.ear
    count, words = len(ear.took.split()), text.split()
    head, tail = " ".join(words[:count]), " ".join(words[count:])
    known = same_words(head, ear.took)
    if talk.now > ear.took_until or (not known and (ear.speaking or bool(ear.text))):
        ear.took = "" if talk.now > ear.took_until else ear.took
        return text
    if final:
        corrected = not known and talk.history.correct_user(ear.took, head)
        talk.note("late_final", corrected=corrected, more=bool(tail))
        ear.took = ""
    return tail


def speech_started(talk: Talk, event: SpeechStarted) -> State:
    talk.alarms.clear(Alarm.SILENCE)
    talk.open_turn(event.at)
    return speech_goes_on(talk, event)


def speech_goes_on(talk: Talk, event: SpeechStarted) -> State:
    if talk.ledger.queue:  # a filler, for words that were late
        talk.cut()
        talk.open_turn(event.at)
    learn_pause(talk, event.at)
    talk.ear.begin(event.at)
    talk.alarms.clear(Alarm.ENDPOINT, Alarm.RESCORE, Alarm.FINAL)
    floor.watch_for_stall(talk)
    return State.LISTENING


def speech_stopped(talk: Talk, event: SpeechStopped) -> State:
    return floor.silence_falls(talk, event.at)


def speech_stopped_late(talk: Talk, event: SpeechStopped) -> State:
    """The end of speech that had been given up on, or of speech whose beginning came before the call was taken."""
    if not talk.ear.speaking:
        return State.QUIET
    talk.alarms.clear(Alarm.SILENCE)
    return floor.silence_falls(talk, event.at)


def note_speech_stopped(talk: Talk, event: SpeechStopped) -> State:
    talk.ear.stop(event.at)
    return talk.state


def words_in_speech(talk: Talk, event: Interim | Final) -> State:
    if hear(talk, event):
        floor.watch_for_stall(talk)
    return State.LISTENING


def words_in_silence(talk: Talk, event: Interim | Final) -> State:
    if not hear(talk, event):
        return talk.state
    if talk.state is State.TRANSCRIBING and not talk.ear.settled:
        return State.TRANSCRIBING  # more words, not yet the last of them; the alarm bounds the wait
    return floor.reconsider(talk)


def words_without_speech(talk: Talk, event: Interim | Final) -> State:
    """The recogniser heard what the voice detector did not: a turn like any other."""
    if not hear(talk, event):
        return State.QUIET
    talk.alarms.clear(Alarm.SILENCE)
    talk.note("words_without_speech")
    silent_since = talk.ear.silent_since
    overdue = isinstance(event, Final) and silent_since is not None and talk.now - silent_since <= OVERDUE_S
    ended_at = silent_since if overdue and silent_since is not None else talk.now
    talk.open_turn(ended_at)
    return floor.silence_falls(talk, ended_at)


def utterance_ended(talk: Talk, event: UtteranceEnded) -> State:
    talk.ear.listened_at = talk.now
    talk.ear.over = "judged" if event.judged else "silence"
    return floor.reconsider(talk)


def utterance_ended_in_speech(talk: Talk, event: UtteranceEnded) -> State:
    """The recogniser is done while the voice detector still hears something: believe it if that lasts."""
    if talk.ear.text:
        talk.ear.over = "judged" if event.judged else "silence"
        talk.alarm(Alarm.STALL, talk.plan.turn_taking.endpointing_max_delay)
    return State.LISTENING


def nothing_heard(talk: Talk, _: NothingHeard) -> State:
    talk.deaf = False
    talk.ear.listened_at = talk.now
    return floor.reconsider(talk) if talk.ear.text else floor.nothing_understood(talk)


def turn_scored(talk: Talk, event: TurnScored) -> State:
    if event.speech_ended_at != talk.ear.ended_at:
        return talk.state
    talk.ear.score(event.probability)
    floor.score_again(talk)
    if event.probability > COMPLETE:
        floor.ask_for_final(talk)
    return talk.state if talk.state is State.TRANSCRIBING else floor.reconsider(talk)


def endpoint(talk: Talk, _: Tick) -> State:
    return floor.reconsider(talk)


def rescore(talk: Talk, _: Tick) -> State:
    ended_at = talk.ear.ended_at
    if ended_at is not None and next_score(talk.now - ended_at - floor.ROUNDING_S, evidence(talk)) is not None:
        floor.ask_score(talk)
    return State.ENDPOINTING


def final_overdue(talk: Talk, _: Tick) -> State:
    """Go on with the interim. Where there is none, a recogniser that never sends any may only be slow."""
    if talk.ear.text:
        return floor.commit(talk)
    if talk.deaf:
        return floor.hand_over(talk, "the recogniser failed and did not come back")
    waited = talk.now - (talk.ear.ended_at if talk.ear.ended_at is not None else talk.now)
    if not talk.ear.streams and waited < SLOW_RECOGNISER_S:
        talk.alarm(Alarm.FINAL, talk.plan.stt_final_timeout)
        return State.TRANSCRIBING
    return floor.nothing_understood(talk)


def speech_stalled(talk: Talk, _: Tick) -> State:
    """The voice detector hears speech without end, the recogniser no (more) words."""
    words = bool(talk.ear.text)
    talk.note("speech_without_end" if words else "speech_without_words")
    if words:
        return floor.commit(talk)
    talk.ear.forget()
    return floor.rest(talk)


MOVES = {
    move.__name__: move
    for move in (
        speech_started,
        speech_goes_on,
        speech_stopped,
        speech_stopped_late,
        note_speech_stopped,
        words_in_speech,
        words_in_silence,
        words_without_speech,
        utterance_ended,
        utterance_ended_in_speech,
        nothing_heard,
        turn_scored,
        endpoint,
        rescore,
        final_overdue,
        speech_stalled,
    )
}
