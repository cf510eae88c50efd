"""The vital signs (DESIGN §6), worked out from what the callers met."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Final

from sovereign_pbx.commands.bench.load import Outcome
from sovereign_pbx.commands.bench.process import Cpu

PROVIDERS_MS: Final = 700.0
"""What the scripted vendors take by themselves: final text 250, first token 300, first audio 150."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """One row. Latencies in milliseconds at the caller's ear; `cpu` in fractions of one core for all calls together.

    `tick_worst_ms` is the daemon's latest tick since its start. `own_lag_ms` is how late the bench's own clock was at
    worst: nothing shorter than that was measured. `idle` is the share of the machine that nobody used meanwhile.
    """

    calls: int
    refused: int
    lost_calls: int
    turns: int
    unanswered: int
    not_cut: int
    turn_p50_ms: float | None
    turn_p95_ms: float | None
    turn_p99_ms: float | None
    cut_p50_ms: float | None
    cut_p95_ms: float | None
    first_sound_p50_ms: float | None
    first_sound_max_ms: float | None
    worst_burst: int
    worst_hole_ms: float
    real_time_ratio: float
    cpu: Cpu
    memory_mb: float
    ticks_late: int = 0
    tick_worst_ms: float = 0.0
    own_lag_ms: float = 0.0
    idle: float = 0.0
    link: str = "audiosocket"

    @property
    def lost(self) -> bool:
        """Did anybody not get what he called for?"""
        return bool(self.refused or self.lost_calls or self.unanswered or self.not_cut)

    @property
    def cpu_without_turn_model(self) -> float:
        """Media, voice detection, the sockets of providers, records: all but the turn model."""
        return self.cpu.whole - self.cpu.turn_model

    @property
    def other_threads(self) -> float:
        return self.cpu_without_turn_model - self.cpu.loop

    def overhead(self, latency_ms: float | None) -> float | None:
        """A turn's latency without the vendors' part."""
        return None if latency_ms is None else latency_ms - PROVIDERS_MS

    def as_json(self) -> dict[str, Any]:
        """With the overhead and the cost of one call worked out."""
        return {
            **asdict(self),
            "overhead_p50_ms": self.overhead(self.turn_p50_ms),
            "overhead_p95_ms": self.overhead(self.turn_p95_ms),
            "cpu_per_call": self.cpu.whole / self.calls,
            "cpu_per_call_without_turn_model": self.cpu_without_turn_model / self.calls,
            "memory_per_call_mb": self.memory_mb / self.calls,
        }


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the others lie (nearest rank); None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = ceil(share * len(ordered) - 1e-9)  # 0.07 · 100 is a little more than 7
    return ordered[min(len(ordered), max(1, rank)) - 1]


def signs_of(count: int, outcomes: Sequence[Outcome], *, cpu: Cpu, memory_mb: float) -> Signs:
    """Everything together."""
    latencies = [ms for one in outcomes for ms in one.latencies_ms]
    cuts = [ms for one in outcomes for ms in one.cuts_ms]
    reports = [one.report for one in outcomes if one.report is not None]
    first = [report.first_sound_ms for report in reports if report.first_sound_ms is not None]
    ratios = [report.real_time_ratio for report in reports]
    return Signs(
        calls=count,
        refused=sum(one.refused for one in outcomes),
        lost_calls=sum(one.lost for one in outcomes),
        turns=len(latencies),
        unanswered=sum(one.unanswered for one in outcomes),
        not_cut=sum(one.not_cut for one in outcomes),
        turn_p50_ms=percentile(latencies, 0.5),
        turn_p95_ms=percentile(latencies, 0.95),
        turn_p99_ms=percentile(latencies, 0.99),
        cut_p50_ms=percentile(cuts, 0.5),
        cut_p95_ms=percentile(cuts, 0.95),
        first_sound_p50_ms=percentile(first, 0.5),
        first_sound_max_ms=max(first, default=None),
        worst_burst=max((report.burst for report in reports), default=0),
        worst_hole_ms=max((report.hole_ms for report in reports), default=0.0),
        real_time_ratio=min(ratios, key=lambda ratio: -abs(ratio - 1), default=0.0),
        cpu=cpu,
        memory_mb=memory_mb,
    )
