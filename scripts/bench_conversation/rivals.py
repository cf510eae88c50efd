"""What others do, on the same detector events and the same scores: silence alone, and the turn model alone."""

from collections.abc import Callable, Sequence

from scripts.bench_conversation.hearing import Scoring, Told
from scripts.bench_conversation.item import Item
from scripts.bench_conversation.ours import SCORE_S, Decision

Rule = Callable[[Item, float], float]
"""(item, when speech ended by the detector) -> how long the silence must be, in seconds."""

VAD_STOP_S = 0.2  # the turn model's authors ask it once, after so much silence
INCOMPLETE_S = 3.0  # and wait so long if it says no


def decisions(item: Item, told: Sequence[Told], rule: Rule) -> list[Decision]:
    """The ends of turns by a rule that knows nothing but how long it has been silent."""
    found = []
    for place, (heard_at, event) in enumerate(told):
        if event.kind != "stopped":
            continue
        goes_on = told[place + 1][0] if place + 1 < len(told) else item.audio.size / 8000
        at = max(heard_at, event.at + rule(item, event.at))
        if at < goes_on:
            found.append(Decision(round(at, 3)))
    return found


def silence(threshold_s: float) -> Rule:
    """Plain voice detection: the turn is over after so much silence."""
    return lambda item, ended_at: threshold_s


def turn_model(scores: Scoring, threshold: float, incomplete_s: float = INCOMPLETE_S) -> Rule:
    """Smart Turn as its authors run it: one score at 200 ms; above the threshold the turn ends there and then."""

    def rule(item: Item, ended_at: float) -> float:
        return VAD_STOP_S + SCORE_S if scores.score(item, ended_at + VAD_STOP_S) > threshold else incomplete_s

    return rule


def two_delays(scores: Scoring, threshold: float, least_s: float = 0.5, most_s: float = 3.0) -> Rule:
    """A short delay if the turn model says yes and a long one if not, as LiveKit's fixed endpointing does."""

    def rule(item: Item, ended_at: float) -> float:
        return least_s if scores.score(item, ended_at + VAD_STOP_S) > threshold else most_s

    return rule
