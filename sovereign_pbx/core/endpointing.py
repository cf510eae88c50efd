"""When a silence ends the caller's turn: a delay, not a yes or no.

    from sovereign_pbx.core.endpointing import Evidence, delay, judge, next_score

    delay(limits, evidence) -> float                     seconds of silence, counted from the last speech sample
    judge(limits, evidence) -> Verdict                   the same with its reasons
    next_score(silence_s, evidence.scores) -> float      the silence at which to ask the turn model (again)

Pure, no state: whoever uses it asks again each time that something new is known, and the turn is over at the first
moment at which the silence is as long as `delay` says by what is known then. `limits` is the plan's `TurnTaking`
(contract §4.5); the delay always lies between `endpointing_min_delay` and `endpointing_max_delay`.

Each witness has a weight of evidence, in log-odds that the turn is over, and weights add up: how it sounded (turn
model), how the words end, what had been asked, the recogniser's own verdict, and how long this caller pauses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Final, Literal, NamedTuple

from sovereign_pbx.core.expectation import ANYTHING, Expected, Kind
from sovereign_pbx.core.plan import TurnTaking
from sovereign_pbx.core.wording import Shape, shape

Over = Literal["", "silence", "judged"]


class Score(NamedTuple):
    """The turn model's probability that the turn is over, from audio that ended `silence_s` after the last speech."""

    silence_s: float
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known while the caller is silent. All of it may be missing.

    `over`: the recogniser's own end of utterance, because it heard a silence (Nova) or because it judged (Flux).
    `stretch`: the caller's own habit, -1 (never pauses) to 1 (thinks long), 0 unknown; see `habit.Habit`.
    """

    text: str = ""
    settled: bool = True  # the words are final
    scores: Sequence[Score] = ()
    over: Over = ""
    expected: Expected = ANYTHING
    stretch: float = 0.0
    language: str = "en"


class Verdict(NamedTuple):
    """`weights`: what each witness adds to `odds`, in log-odds that the turn is over."""

    delay_s: float
    shape: Shape
    odds: float
    weights: dict[str, float]


COMPLETE: Final = 0.5  # smart-turn's own threshold
SCORE_AT_S: Final = (0.12, 0.25, 0.4, 0.7)  # silences that the turn model hears

# From these odds on the shortest delay is enough; at and below the others the longest is waited.
_SURE: Final = 2.0
_LOST: Final = -2.0

_BY_SHAPE: Final[dict[Shape, float]] = {
    "unknown": 0.0,
    "hesitation": -3.6,
    "opening": -1.0,
    "open": -3.1,
    "loose": -1.1,
    "digits": -2.0,
    "spelling": -2.4,
    "complete": 2.6,
    "answer": 2.6,
    "greeting": 1.8,
    "question": 2.2,
    "closed": 1.4,
    "plain": 0.4,
}
_INTERIM: Final = 0.6  # unfinished words may still change: what share of their weight for an end they have
_PLAIN: Final = 0.4
# One word is too little to hear an end in, and a question's end is in its words: share of the turn model's doubt.
_DOUBT: Final[dict[Shape, float]] = {"answer": 0.15, "complete": 0.3, "question": 0.5}
_EXPECTED: Final[dict[tuple[Kind, Shape], float]] = {
    ("yes_no", "answer"): 0.5,
    ("number", "plain"): -0.8,
    ("number", "closed"): -0.8,
    ("email", "plain"): -0.8,
    ("spelling", "plain"): -0.4,
    ("open", "plain"): -0.3,
}
_SOUND: Final = 0.75
_JUDGED: Final = 2.2
_SILENCE: Final = 0.6
_HABIT: Final = 1.2


def judge(limits: TurnTaking, evidence: Evidence) -> Verdict:
    """How long the silence must be, and why."""
    form = shape(evidence.text, evidence.language, evidence.expected)
    weights = {
        "words": _words(form, evidence),
        "expected": _EXPECTED.get((evidence.expected.kind, form), 0.0),
        "sound": _sound(form, evidence),
        "habit": -_HABIT * min(1.0, max(-1.0, evidence.stretch)),
    }
    odds = sum(weights.values())
    share = min(1.0, max(0.0, (_SURE - odds) / (_SURE - _LOST)))
    least = limits.endpointing_min_delay
    span = max(0.0, limits.endpointing_max_delay - least)
    return Verdict(least + span * share, form, odds, weights)


def delay(limits: TurnTaking, evidence: Evidence) -> float:
    """Seconds of silence, counted from the last speech sample, after which the turn has ended."""
    return judge(limits, evidence).delay_s


def next_score(silence_s: float, scores: Sequence[Score] = ()) -> float | None:
    """The next length of silence at which the turn model is to hear the turn; None when it has heard enough."""
    return next((at for at in SCORE_AT_S if at > silence_s), None)


def _words(form: Shape, evidence: Evidence) -> float:
    weight = _BY_SHAPE[form]
    if evidence.settled or weight <= _PLAIN:
        return weight
    return _PLAIN + _INTERIM * (weight - _PLAIN)


def _sound(form: Shape, evidence: Evidence) -> float:
    weight = _odds(evidence.scores[-1].probability) if evidence.scores else 0.0
    if weight < 0:
        weight *= _DOUBT.get(form, 1.0)
    if evidence.over == "judged":
        return max(weight, _JUDGED)
    return weight + (_SILENCE if evidence.over else 0.0)


def _odds(probability: float) -> float:
    bounded = min(0.98, max(0.02, probability))
    return _SOUND * log(bounded / (1 - bounded))
