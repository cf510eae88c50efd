"""The turn policy at work in a conversation: what is known of the silence, how long it must be, and why it ended.

Why a turn ended when it did goes on record as the note `turn_decided` (never with the caller's words or digits):

silence    seconds from his last speech sample to the decision
delay      what the policy asked for, seconds
because    "sure" (the shortest delay was enough), "weighed" (between), "longest" (`endpointing_max_delay`),
           "final_late" (the policy was done; the recogniser owed its last words), "final_overdue" (they never came),
           "no_end" (the voice detector heard no end of it)
scores     [[silence, probability], ...] of the turn model; empty where it did not answer in time
shape      how the words end, see `wording.Shape`
expected   what the assistant had asked for, see `expectation.Kind`
pause      this caller's usual pause inside turns, seconds, None while unknown
weights    what each witness adds to the log-odds that the turn is over
unfinished the words are the recogniser's interim ones
"""

from typing import Any, Final

from sovereign_pbx.core.endpointing import Evidence, Verdict, judge
from sovereign_pbx.core.exchange import Turn
from sovereign_pbx.core.expectation import expectation
from sovereign_pbx.core.talk import Talk

SCORE_LOST_S: Final = 0.5  # the turn model's own deadline; what has not come by then does not come
# Who goes on so soon after the assistant has become audible was not interrupting it: he had not finished.
CUT_OFF_S: Final = 0.6
_ASKING: Final = ("greeting", "reply", "say")  # what was said in between ("one moment") leaves the question open
_EQUAL_S: Final = 1e-3


def recall_question(talk: Talk) -> None:
    """The caller's silence is to be judged: by what the assistant had asked, as far as he heard it."""
    turn = talk.turn if talk.turn is not None and talk.turn.audible else talk.exchange
    heard = _heard(turn) if turn is not None else ""
    if heard and heard != talk.question:
        talk.question, talk.expected = heard, expectation(heard)


def learn_pause(talk: Talk, onset: float) -> None:
    """The caller goes on with the turn that he had not ended."""
    ear = talk.ear
    if ear.ended_at is not None and (ear.text or ear.voiced):
        talk.habit.paused(onset - ear.ended_at)
        ear.pause(onset - ear.ended_at)


def learn_cut_off(talk: Talk) -> None:
    """The caller takes the floor back: was his turn taken for ended too early?"""
    turn = talk.turn
    if turn is None or turn.speech_ended_at is None or not turn.said:
        return
    audible_at = min((each.started_at for each in turn.segments if each.started_at is not None), default=None)
    if audible_at is None or talk.ear.onset - audible_at <= CUT_OFF_S:
        pause = talk.ear.onset - turn.speech_ended_at
        talk.habit.paused(pause)
        talk.note("turn_cut_off", pause=round(pause, 3))


def evidence(talk: Talk) -> Evidence:
    """What is known of the silence that is going on."""
    ear = talk.ear
    before = talk.turn.said if talk.turn is not None else []  # taken for all, and taken back
    return Evidence(
        text=" ".join([*before, ear.text]),
        settled=not ear.interim,
        scores=ear.scores,
        over=ear.over,
        expected=talk.expected,
        stretch=talk.habit.stretch,
        pauses=ear.pauses,
        language=talk.plan.language,
    )


def weigh(talk: Talk) -> Verdict:
    """How long this silence must be, by all that is known now."""
    talk.verdict = judge(talk.plan.turn_taking, evidence(talk))
    return talk.verdict


def reasons(talk: Talk, because: str = "") -> dict[str, Any]:
    """The values of `turn_decided`; to be asked before the ear is emptied."""
    ear, verdict = talk.ear, talk.verdict or weigh(talk)
    silence = None if ear.ended_at is None else round(talk.now - ear.ended_at, 3)
    return {
        "silence": silence,
        "delay": round(verdict.delay_s, 3),
        "because": because or _because(talk, verdict, silence),
        "scores": [[round(score.silence_s, 2), round(score.probability, 2)] for score in ear.scores],
        "shape": verdict.shape,
        "expected": talk.expected.kind,
        "pause": talk.habit.usual_s,
        "weights": {name: round(weight, 2) for name, weight in verdict.weights.items() if weight},
    }


def _heard(turn: Turn) -> str:
    return " ".join(each.heard for each in turn.segments if each.kind in _ASKING and each.heard)


def _because(talk: Talk, verdict: Verdict, silence: float | None) -> str:
    if talk.ear.speaking or silence is None:
        return "no_end"
    limits = talk.plan.turn_taking
    if talk.ear.interim:
        return "final_overdue"
    if silence > verdict.delay_s + _EQUAL_S and talk.ear.asked:
        return "final_late"
    if verdict.delay_s <= limits.endpointing_min_delay + _EQUAL_S:
        return "sure"
    return "longest" if verdict.delay_s >= limits.endpointing_max_delay - _EQUAL_S else "weighed"
