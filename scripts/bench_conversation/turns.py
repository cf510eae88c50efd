"""When a turn ends: every policy on the same items, swept over its own setting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from scripts.bench_conversation.hearing import Scores, Told, speech_events
from scripts.bench_conversation.item import Item
from scripts.bench_conversation.ours import Call, Decision
from scripts.bench_conversation.outcome import Heard, Point, Setting, heard, point
from scripts.bench_conversation.rivals import VAD_STOP_S, Rule, decisions, silence, turn_model, two_delays
from sovereign_pbx.core.endpointing import SCORE_AT_S
from sovereign_pbx.core.plan import TurnTaking
from sovereign_pbx.testing.debian_packages import Progress, quiet

OURS: Final = "ours"
OURS_DEAF: Final = "ours, without words"
VAD: Final = "silence alone"
MODEL: Final = "turn model alone"
DELAYS: Final = "two delays"

Sweep = dict[Setting, list[Heard]]

# Shortest and longest delay, both of which the configuration gives; in the middle what is delivered.
DELIVERED: Final = (TurnTaking().endpointing_min_delay, TurnTaking().endpointing_max_delay)
LIMITS: Final = (
    *((0.0, 1.0), (0.0, 1.4), (0.1, 1.6), (0.2, 2.0), (0.3, 2.0)),
    DELIVERED,
    *((0.5, 2.2), (0.6, 2.6), (0.8, 3.0)),
)
SILENCES: Final = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.2, 1.4, 1.6, 2.0)
THRESHOLDS: Final = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
SETTINGS: Final[dict[str, Sequence[Setting]]] = {
    OURS: LIMITS,
    OURS_DEAF: LIMITS,
    VAD: SILENCES,
    MODEL: THRESHOLDS,
    DELAYS: THRESHOLDS,
}
USUAL: Final[dict[str, Setting]] = {OURS: DELIVERED, OURS_DEAF: DELIVERED, VAD: 0.8, MODEL: 0.5, DELAYS: 0.5}
"""The setting that is delivered: ours, and what others' documentation says."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Items with what the models say about them."""

    items: Sequence[Item]
    told: dict[str, list[Told]]
    scores: Scores

    def results(self, policy: str, setting: Setting) -> list[Heard]:
        """One policy with one setting on every item."""
        return [heard(item, self.decisions(policy, setting, item)) for item in self.items]

    def decisions(self, policy: str, setting: Setting, item: Item) -> list[Decision]:
        told = self.told[item.name]
        if isinstance(setting, tuple):
            limits = TurnTaking(endpointing_min_delay=setting[0], endpointing_max_delay=setting[1])
            return Call(item, told, self.scores, limits, words=policy == OURS).run()
        rules: dict[str, Callable[[float], Rule]] = {
            VAD: silence,
            MODEL: partial(turn_model, self.scores),
            DELAYS: partial(two_delays, self.scores),
        }
        return decisions(item, told, rules[policy](setting))

    def sweep(self, policy: str) -> Sweep:
        """The policy with each of its settings."""
        return {setting: self.results(policy, setting) for setting in SETTINGS[policy]}


def curve(sweep: Sweep, among: Callable[[Item], bool] = lambda item: True) -> list[Point]:
    """The figures of each setting, over the items that count."""
    chosen = {setting: [result for result in results if among(result.item)] for setting, results in sweep.items()}
    return [point(setting, results) for setting, results in chosen.items() if results]


def prepared(
    items: Sequence[Item], scores: Scores, policies: Sequence[str] = tuple(SETTINGS), progress: Progress = quiet
) -> Bench:
    """Let the models hear what `policies` are going to ask them about, on all processors."""
    ours = SCORE_AT_S if {OURS, OURS_DEAF} & set(policies) else ()
    others = (VAD_STOP_S,) if {MODEL, DELAYS} & set(policies) else ()
    told = speech_events(items, progress)
    asked = []
    for item in items:
        for place, (heard_at, event) in enumerate(told[item.name]):
            if event.kind == "stopped":
                goes_on = told[item.name][place + 1][0] if place + 1 < len(told[item.name]) else item.audio.size / 8000
                times = [*(heard_at for _ in ours[:1]), *(event.at + at for at in (*ours, *others))]
                asked += [(item, at) for at in times if heard_at <= at < goes_on]
    scores.scored(asked, progress)
    return Bench(items, told, scores)
