"""What a policy's decisions are worth: pauses it talked into, and how long callers waited."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from scripts.bench_conversation.item import Item
from scripts.bench_conversation.ours import Decision

NEVER_S = 4.5  # counted where a turn was not ended before the item was over


@dataclass(frozen=True, slots=True)
class Heard:
    """One item under one policy. `cut`: for each pause whether the turn ended in it; `elsewhere`: ends in speech."""

    item: Item
    cut: tuple[bool, ...]
    elsewhere: int
    wait: float | None


Setting = float | tuple[float, float]
"""A threshold, or the shortest and the longest delay in seconds."""


class Point(NamedTuple):
    """One setting of one policy. Percentages and seconds."""

    setting: Setting
    cut_offs: float
    turns_cut: float
    p50: float
    p90: float


def heard(item: Item, decisions: Sequence[Decision]) -> Heard:
    """`wait` counts from the last sample of speech; None where the turn had been cut and the rest was not noticed."""
    starts = [pause.start for pause in item.pauses]
    cut, elsewhere = [False] * len(starts), 0
    for at in (decision.at for decision in decisions if decision.at < item.speech_end):
        place = max((place for place, start in enumerate(starts) if start <= at), default=None)
        # a decision that comes while the detector has not yet heard him go on is one in the pause
        if place is not None and at <= item.pauses[place].end + 0.15:
            cut[place] = True
        else:
            elsewhere += 1
    after = [decision.at for decision in decisions if decision.at >= item.speech_end]
    early = any(cut) or elsewhere > 0
    wait = after[0] - item.speech_end if after else None if early else NEVER_S
    return Heard(item, tuple(cut), elsewhere, wait)


def point(setting: Setting, results: Sequence[Heard]) -> Point:
    """The figures of one setting over all items. A stretch of speech that a turn was ended in counts as one pause."""
    elsewhere = sum(result.elsewhere for result in results)
    cuts = sum(sum(result.cut) for result in results) + elsewhere
    pauses = sum(len(result.cut) for result in results) + elsewhere
    turns = sum(any(result.cut) or result.elsewhere > 0 for result in results)
    waits = sorted(result.wait for result in results if result.wait is not None) or [NEVER_S]
    return Point(
        setting,
        100 * cuts / pauses if pauses else 0.0,
        100 * turns / len(results),
        median(waits),
        waits[min(len(waits) - 1, int(0.9 * len(waits)))],
    )


def wait_at(points: Iterable[Point], cut_offs: float, *, p90: bool = False) -> float | None:
    """The wait at a share of cut-offs, read off the line between the two nearest points; None beyond either end."""
    return _read_off([(each.cut_offs, each.p90 if p90 else each.p50) for each in points], cut_offs)


def cut_offs_at(points: Iterable[Point], wait_s: float) -> float | None:
    """The share of cut-offs at a median wait, read off likewise."""
    return _read_off([(each.p50, each.cut_offs) for each in points], wait_s)


def _read_off(known: list[tuple[float, float]], at: float) -> float | None:
    for (low, first), (high, second) in pairwise(sorted(known)):
        if low <= at <= high:
            return first + ((at - low) / (high - low) if high > low else 0.0) * (second - first)
    return None
