"""When a silence ends the caller's turn: a delay, not a yes or no.

    from sovereign_pbx.core.endpointing import Evidence, delay, judge, next_score

    delay(limits, evidence) -> float                     seconds of silence, counted from the last speech sample
    judge(limits, evidence) -> Verdict                   the same with its reasons
    next_score(silence_s, evidence) -> float | None      the silence at which to ask the turn model (again)

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
    `pauses`: those that he has made in this very turn, seconds; groups of a number come in a rhythm.
    """

    text: str = ""
    settled: bool = True  # the words are final
    scores: Sequence[Score] = ()
    over: Over = ""
    expected: Expected = ANYTHING
    stretch: float = 0.0
    pauses: Sequence[float] = ()
    language: str = "en"


class Verdict(NamedTuple):
    """`weights`: what each witness adds to `odds`, in log-odds that the turn is over."""

    delay_s: float
    shape: Shape
    odds: float
    weights: dict[str, float]


COMPLETE: Final = 0.5  # smart-turn's own threshold
# The turn model hears the silence as soon as there is one; where that told it little, again when it is so long.
# On the training half of the corpus its first answer divides ends from pauses best (area under the curve 0.71; 0.70,
# 0.67, 0.64 with 250, 400, 700 ms of silence, which it takes for ends whatever was said), so that it is not worth
# asking again but about a word or two, of which it hears too little at first.
SCORE_AT_S: Final = (0.4, 0.7)
SCORE_EARLY_S: Final = 0.3

# From these odds on the shortest delay is enough; at and below the others the longest is waited.
_SURE: Final = 1.6
_LOST: Final = -0.7

_BY_SHAPE: Final[dict[Shape, float]] = {
    "unknown": -0.4,
    "hesitation": -2.6,
    "opening": -0.8,
    "open": -2.2,
    "loose": -1.8,
    "slight": -1.5,
    "digits": -1.3,
    "spelling": -0.9,
    "complete": 2.0,
    "answer": 2.2,
    "greeting": 1.8,
    "question": 1.8,
    "closed": 1.2,
    "plain": 0.3,
}
_INTERIM: Final = 0.6  # unfinished words may still change: what share of their weight for an end they have
_PLAIN: Final = 0.3
# One word is too little to hear an end in, and a question's end is in its words: share of the turn model's doubt.
_DOUBT: Final[dict[Shape, float]] = {"answer": 0.2, "greeting": 0.3, "complete": 0.3, "question": 0.5}
_EXPECTED: Final[dict[tuple[Kind, Shape], float]] = {
    ("yes_no", "answer"): 0.4,
    ("number", "plain"): -0.8,
    ("number", "closed"): -0.8,
    ("email", "plain"): -0.8,
    ("spelling", "plain"): -0.8,
}
# A sentence that has come far may be over, one of few words seldom is; an answer of a word or two ("tomorrow") is.
_LONG: Final = 1.4
_FEW_WORDS: Final = 4
_MANY_WORDS: Final = 9
_BRIEF: Final[dict[Kind, float]] = {"yes_no": 1.0, "fact": 0.7, "open": 0.3}
_BRIEF_WORDS: Final = 3
_UNHEARD: Final = 0.5  # what length tells where nobody has heard how it ended
_SOUND: Final = 0.25
_SHORT_WORDS: Final = 3
# The longer the silence, the surer of an end the turn model is, whatever was said: what it adds by itself.
_SILENCE_PER_S: Final = 2.5
_SILENCE_MOST: Final = 1.2
_FIRST_S: Final = 0.2
# Who dictates in a rhythm has finished when the next group is overdue.
_RHYTHMIC: Final = ("digits", "spelling")
_BEATS: Final = 2
_LONGER: Final = 2.0
_SPARE_S: Final = 0.3
_JUDGED: Final = 1.6
_SILENCE: Final = 0.3
_HABIT: Final = 0.5


def judge(limits: TurnTaking, evidence: Evidence) -> Verdict:
    """How long the silence must be, and why."""
    form = shape(evidence.text, evidence.language, evidence.expected)
    words = len(evidence.text.split())
    weights = {
        "words": _words(form, evidence.settled),
        "length": _length(form, words, evidence.expected) * (1.0 if evidence.scores else _UNHEARD),
        "expected": _EXPECTED.get((evidence.expected.kind, form), 0.0),
        "sound": _sound(form, words, evidence),
        "habit": -_HABIT * min(1.0, max(-1.0, evidence.stretch)),
    }
    odds = sum(weights.values())
    share = min(1.0, max(0.0, (_SURE - odds) / (_SURE - _LOST)))
    least = limits.endpointing_min_delay
    span = max(0.0, limits.endpointing_max_delay - least)
    wait = least + span * share
    if form in _RHYTHMIC and len(evidence.pauses) >= _BEATS:
        wait = min(wait, max(least, _LONGER * max(evidence.pauses) + _SPARE_S))
    return Verdict(wait, form, odds, weights)


def delay(limits: TurnTaking, evidence: Evidence) -> float:
    """Seconds of silence, counted from the last speech sample, after which the turn has ended."""
    return judge(limits, evidence).delay_s


def next_score(silence_s: float, evidence: Evidence) -> float | None:
    """The next length of silence at which the turn model is to hear the turn; None when it has heard enough."""
    early = bool(evidence.scores) and evidence.scores[0].silence_s <= SCORE_EARLY_S
    if evidence.over == "judged" or (early and len(evidence.text.split()) > _SHORT_WORDS):
        return None
    return next((at for at in SCORE_AT_S if at > silence_s), None)


def _words(form: Shape, settled: bool) -> float:
    weight = _BY_SHAPE[form]
    return weight if settled or weight <= _PLAIN else _PLAIN + _INTERIM * (weight - _PLAIN)


def _length(form: Shape, words: int, expected: Expected) -> float:
    if form not in ("plain", "closed") or expected.kind in ("number", "date", "spelling", "email"):
        return 0.0
    if words <= (1 if expected.kind == "open" else _BRIEF_WORDS):
        return _BRIEF.get(expected.kind, 0.0)
    return _LONG * min(1.0, max(0.0, (words - _FEW_WORDS) / (_MANY_WORDS - _FEW_WORDS)))


def _sound(form: Shape, words: int, evidence: Evidence) -> float:
    """The first score tells most: later ones hear more silence, which is worth it where they hear little speech."""
    heard = [_odds(score) for score in evidence.scores]
    weight = (max(heard) if words <= _SHORT_WORDS else heard[0]) if heard else 0.0
    if weight < 0:
        weight *= _DOUBT.get(form, 1.0)
    if evidence.over == "judged":
        return max(weight, _JUDGED)
    return weight + (_SILENCE if evidence.over else 0.0)


def _odds(score: Score) -> float:
    bounded = min(0.98, max(0.02, score.probability))
    late = min(_SILENCE_MOST, _SILENCE_PER_S * max(0.0, score.silence_s - _FIRST_S))
    return _SOUND * (log(bounded / (1 - bounded)) - late)
