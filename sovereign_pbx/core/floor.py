"""Who has the floor next: how the caller's turn ends, and what the assistant's side does when it is free to.

Every function returns the state that follows. They call one another in one direction only:
`silence_falls` → `reconsider` → `decide` → `commit` or `nothing_understood` → `answer` → `rest` → `free`.
A call begins with `begin` → `greet`; where a mailbox may have answered, `commit` → `_first_utterance`.
"""

import re
from typing import Final

from sovereign_pbx.core import answering, keypad, walk
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import FinalizeHearing, HandOver, HangUp, ScoreTurn
from sovereign_pbx.core.ear import LATE_WORDS_S
from sovereign_pbx.core.endpointing import next_score
from sovereign_pbx.core.exchange import Turn
from sovereign_pbx.core.speakable import untagged
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.timeline import Timeline
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.weighing import SCORE_LOST_S, evidence, learn_cut_off, reasons, recall_question, weigh

UNHEARD_IN_A_ROW: Final = 2  # one cough is not worth a word; after two the caller is told
CUT_OFF: Final = (
    "Your last answer was cut off by a sound on the line that held no words. Go on from where the caller stopped"
    " hearing you, without repeating what was heard."
)
STALL_WORDLESS_S: Final = 30.0  # nobody speaks so long without a breath that ends a VAD segment
STALL_STREAMING_S: Final = 5.0  # a recogniser that sends interims has none for what is no speech
STALL_WORDS_S: Final = 3.0  # words came and stopped, but the voice detector still hears something
# The same of a recogniser that sends interims, which are out within a second of the word: background talk, most likely.
STALL_PENDING_S: Final = 2.0
STALL_SETTLED_S: Final = 1.3
A_WORD_S: Final = 0.5  # from the onset of a word to the first interim that holds it
STALL_LEAST_S: Final = 0.1
SHOWN_WITHIN_S: Final = 0.35  # from a word to the first interim that holds it, at the slowest recogniser's p95
ROUNDING_S: Final = 1e-6  # an alarm rings at its time, give or take what adding floats costs
DISPUTED: Final = (State.OVERLAP, State.DOUBT)
_OVER: Final = (State.LEAVING, State.ENDED)
_NOT_WORD = re.compile(r"[\W_]+")


def begin(talk: Talk) -> State:
    """The conversation proper begins: with the greeting, unless whoever answered may be a mailbox and speaks first."""
    walk.begin(talk)
    following = answering.begin(talk)
    return greet(talk) if following == "begin" else rest(talk) if following == "wait" else following


def greet(talk: Talk) -> State:
    """The first message, or the model's own where a workflow has none. Who has spoken already is answered by it."""
    talk.greeted = True
    talk.alarms.clear(Alarm.GREET)
    spoken_to = talk.turn is not None and bool(talk.turn.said)
    if talk.plan.first_message.strip():
        turn = talk.open_turn(talk.now, greeting=True)
        turn.timeline = turn.timeline or Timeline(talk.now, "tts")
        talk.say(talk.plan.first_message, "greeting")
    elif spoken_to or talk.plan.workflow is not None:
        return answer(talk)
    talk.say_waiting()
    return rest(talk)


def watch_for_stall(talk: Talk) -> None:
    """Speech is going on; where the recogniser disagrees for long, do not wait for its end."""
    ear = talk.ear
    if not ear.text:
        talk.alarm(Alarm.STALL, STALL_STREAMING_S if ear.streams else STALL_WORDLESS_S)
    elif ear.streams and ear.wordless_since is not None:
        # sounds that come and go without a word (a television) are one sound
        due = ear.wordless_since + _wordless_for(talk)
        talk.alarms.set(Alarm.STALL, max(due, talk.now + STALL_LEAST_S), talk.now)
    else:
        talk.alarm(Alarm.STALL, max(STALL_WORDS_S, 1.5 * talk.plan.turn_taking.endpointing_max_delay))


def _wordless_for(talk: Talk) -> float:
    """How long a recogniser that sends words as they come may send none before his words are taken for all of them."""
    ear = talk.ear
    recall_question(talk)
    least = STALL_PENDING_S if ear.interim else STALL_SETTLED_S
    if ear.wordless_since == ear.onset:
        least = STALL_WORDS_S
    return max(least, weigh(talk).delay_s + A_WORD_S)


def silence_falls(talk: Talk, ended_at: float) -> State:
    """The caller fell silent at `ended_at`."""
    talk.ear.stop(ended_at)
    recall_question(talk)
    talk.restart_timeline(ended_at)
    talk.alarms.clear(Alarm.STALL)
    # What the voice detector did not hear has no prosody; beside the recogniser's judgement a score changes nothing.
    if talk.ear.voiced and talk.ear.over != "judged":
        ask_score(talk)
    return reconsider(talk)


def ask_score(talk: Talk) -> None:
    """Have the turn model hear the caller's last words and the silence so far; one question at a time."""
    ear = talk.ear
    if ear.ended_at is None:
        return
    if ear.scoring_since is not None and talk.now < ear.scoring_since + SCORE_LOST_S - ROUNDING_S:
        talk.alarm(Alarm.RESCORE, SCORE_LOST_S, since=ear.scoring_since)
        return
    ear.scoring_since = talk.now
    talk.out.append(ScoreTurn(ear.ended_at))
    score_again(talk)


def ask_for_final(talk: Talk) -> None:
    """Once a silence, and not before the turn looks complete: some recognisers end their own turn when asked."""
    if not talk.ear.asked and not talk.ear.settled:
        talk.ear.asked = True
        talk.out.append(FinalizeHearing())


def score_again(talk: Talk) -> None:
    """Have the turn model hear the longer silence too, as long as that may change anything."""
    ended_at = talk.ear.ended_at if talk.ear.ended_at is not None else talk.now
    following = next_score(talk.now - ended_at + ROUNDING_S, evidence(talk))
    if following is not None:
        talk.alarm(Alarm.RESCORE, following, since=ended_at)
    else:
        talk.alarms.clear(Alarm.RESCORE)


def reconsider(talk: Talk) -> State:
    """Is the silence long enough, by all that is known now?"""
    ended_at = talk.ear.ended_at if talk.ear.ended_at is not None else talk.now
    due = ended_at + weigh(talk).delay_s
    if talk.ear.text and talk.ear.streams and talk.ear.wordless_since is not None:
        # sounds without words begin no silence anew
        due = min(due, talk.ear.wordless_since + max(STALL_WORDS_S, talk.plan.turn_taking.endpointing_max_delay))
    if due <= talk.now:
        return decide(talk)
    talk.alarms.clear(Alarm.FINAL)
    talk.alarms.set(Alarm.ENDPOINT, due, talk.now)
    if talk.turn and talk.turn.timeline:
        talk.turn.timeline.enter("endpointing", talk.now)
    return State.ENDPOINTING


def decide(talk: Talk) -> State:
    """The turn is over. Answer it, or wait for the last of its words."""
    ear = talk.ear
    talk.alarms.clear(Alarm.ENDPOINT, Alarm.RESCORE, Alarm.STALL)
    turn = talk.open_turn(talk.now)
    if turn.timeline:
        turn.timeline.enter("stt", talk.now)
    if ear.settled:
        return commit(talk) if ear.text else nothing_understood(talk)
    if shown_all(talk):
        return commit(talk)
    ask_for_final(talk)
    if not talk.alarms.is_set(Alarm.FINAL):
        talk.alarm(Alarm.FINAL, talk.plan.stt_final_timeout)
        talk.cover_wait()
    return State.TRANSCRIBING


def shown_all(talk: Talk) -> bool:
    """Whether what the recogniser has finalised is all: it would have shown by now that there are more words."""
    ear = talk.ear
    silence = 0.0 if ear.ended_at is None else talk.now - ear.ended_at
    return bool(ear.text) and ear.streams and not ear.interim and silence >= SHOWN_WITHIN_S


def commit(talk: Talk) -> State:
    """The caller's words are the turn's; he is owed an answer."""
    keypad.spoken_over(talk)
    ear = talk.ear
    why = reasons(talk)
    text = ear.take(talk.now)
    talk.note("turn_decided", **why, unfinished=bool(ear.took))
    talk.alarms.clear(Alarm.ENDPOINT, Alarm.RESCORE, Alarm.FINAL, Alarm.STALL)
    turn = talk.open_turn(talk.now)
    turn.said.append(text)
    turn.rounds = 0
    talk.history.add_user(text)
    talk.silence.reset()
    talk.unheard = 0
    talk.steps = 0
    talk.aside = ""
    return _first_utterance(talk, text) if talk.unsearched else answer(talk)


def _first_utterance(talk: Talk, text: str) -> State:
    """Of a call that we have placed: the greeting is the answer to a person only."""
    following = answering.judge(talk, text)
    if following == "wait":
        return rest(talk)
    if following == "begin":
        return answer(talk) if talk.greeted else greet(talk)
    return following


def nothing_understood(talk: Talk) -> State:
    """There was speech, or something like it, and no words."""
    talk.alarms.clear(Alarm.ENDPOINT, Alarm.RESCORE, Alarm.FINAL, Alarm.STALL)
    talk.ear.forget()
    talk.unheard += 1
    unanswered = talk.turn is not None and bool(talk.turn.said)
    talk.note("nothing_heard", in_a_row=talk.unheard, unanswered=unanswered)
    if unanswered or talk.owed:
        return answer(talk)
    if talk.unheard >= UNHEARD_IN_A_ROW and talk.plan.phrases.unheard:
        talk.unheard = 0
        talk.say(talk.plan.phrases.unheard, "prompt")
    return rest(talk)


def answer(talk: Talk) -> State:
    """The caller is owed an answer, from the model as soon as no tool is in flight."""
    talk.owed = True
    talk.cover_wait()
    state = rest(talk)  # asks the model first, so that what is said meanwhile is not taken for its answer
    if state in _OVER:
        return state
    talk.say_waiting()
    return rest(talk)


def rest(talk: Talk) -> State:
    """What is next when the caller is silent: walk on, think, go on thinking or speaking, or leave the floor."""
    over = walk.go_on(talk)
    if over is not None:
        return over
    if talk.owed and not talk.streaming and not talk.tools:
        talk.think()
    if talk.ledger.queue and talk.turn is not None and talk.turn.audible:
        return State.SPEAKING
    if talk.ledger.queue or talk.streaming or talk.tools:
        keypad.prompt_heard(talk)
        return State.THINKING
    return free(talk)


def free(talk: Talk) -> State:
    """Nothing is owed any more: the exchange is over."""
    turn = talk.turn
    talk.reply = None
    talk.alarms.clear(Alarm.FILLER)
    keyed = len(talk.digits) > 0 or (turn is not None and turn.wordless)
    if turn is not None and turn.said and not turn.failed and not turn.heard and not keyed:
        return apologise(talk, "the voice gave no sound")
    talk.close_turn()
    if turn is not None and _says_goodbye(talk, turn):
        return talk.end(HangUp("assistant_hangup"))
    if talk.silence.given_up:
        return talk.end(HangUp("silence_timeout"))
    if turn is not None and any(segment.text != untagged(talk.plan.phrases.unheard) for segment in turn.segments):
        talk.silence.spoken()
    if talk.waiting:
        talk.say_waiting()
        return State.THINKING
    ended_at = talk.ear.ended_at
    if talk.ear.text and ended_at is not None and talk.now - ended_at <= LATE_WORDS_S:
        talk.note("words_over_the_end")  # "yes" while the question's last word was playing is its answer
        return silence_falls(talk, ended_at)
    wait_in_silence(talk)
    return State.QUIET


def wait_in_silence(talk: Talk) -> None:
    """From here on the caller's silence counts."""
    if not talk.greeted and talk.plan.voicemail is not None:
        talk.alarm(Alarm.GREET, answering.patience(talk))
    elif len(talk.digits) == 0 and (due := talk.silence.due(talk.now)) is not None:
        talk.alarms.set(Alarm.SILENCE, due, talk.now)


def take_floor(talk: Talk) -> State:
    """The caller interrupts: the assistant yields and listens."""
    ear = talk.ear
    talk.alarms.clear(Alarm.PAUSE, Alarm.CONFIRM, Alarm.DOUBT, Alarm.STALL)
    talk.note("interrupted", audible=talk.turn is not None and talk.turn.audible)
    learn_cut_off(talk)
    talk.cut()
    talk.open_turn(ear.onset if ear.speaking else ear.began_at or talk.now)
    if ear.speaking:
        watch_for_stall(talk)
        return State.LISTENING
    return silence_falls(talk, ear.ended_at if ear.ended_at is not None else talk.now)


def apologise(talk: Talk, error: str, *, stay: bool = False) -> State:
    """Say that something went wrong and go on, or hand the caller over when it went wrong too often.

    `stay`: the floor is disputed; the apology waits in the queue like the rest.
    """
    if too_often(talk):
        return hand_over(talk, error)
    talk.owed = False
    talk.open_turn(talk.now).failed = True
    talk.alarms.clear(Alarm.FILLER)
    if talk.plan.phrases.apology:
        talk.say(talk.plan.phrases.apology, "apology")
    return talk.state if stay else rest(talk)


def too_often(talk: Talk) -> bool:
    """Count a failure of a provider; whether it is the one too many."""
    talk.failures += 1
    return talk.failures >= talk.plan.failures_before_handover


def hand_over(talk: Talk, error: str) -> State:
    """The assistant can't go on: tell the caller, then let the dialplan have him."""
    talk.note("unwell", failures=talk.failures)
    if talk.state in DISPUTED or talk.streaming:
        talk.cut()
    if talk.plan.phrases.unwell and talk.answered_at is not None and talk.held_at is None:
        talk.say(talk.plan.phrases.unwell, "apology")
    return talk.leave(HandOver("", "error", error))


def _says_goodbye(talk: Talk, turn: Turn) -> bool:
    heard = f" {_plain(turn.heard)} "
    return any(f" {_plain(phrase)} " in heard for phrase in talk.plan.end_call_phrases if _plain(phrase))


def _plain(text: str) -> str:
    return _NOT_WORD.sub(" ", text).strip().casefold()
