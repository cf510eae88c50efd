"""A turn's latency as text: its parts, which sum to the whole, and a bar of as many letters as they are long."""

from typing import Final

from sovereign_pbx.core.values import TurnTiming

PARTS: Final = (
    ("endpointing_ms", "e", "yellow"),
    ("stt_ms", "s", "cyan"),
    ("llm_ms", "m", "magenta"),
    ("tool_ms", "t", "blue"),
    ("clause_ms", "c", "bright_magenta"),
    ("tts_ms", "v", "green"),
    ("link_ms", "l", "white"),
)
"""Name (a field of TurnTiming), letter and colour of each part, in the order of time."""

LEGEND: Final = "e end of turn decided, s last words, m model, t tools, c first clause, v voice, l line"


def sum_of_parts(timing: TurnTiming) -> str:
    """`812 ms = endpointing 400 + llm 300 + tts 112`; parts of less than half a millisecond are left out."""
    parts = [f"{name.removesuffix('_ms')} {ms:.0f}" for name, ms in _parts(timing) if ms >= 0.5]
    return f"{timing.total_ms:.0f} ms = {' + '.join(parts)}" if parts else f"{timing.total_ms:.0f} ms"


def bar_width(timing: TurnTiming, longest_ms: float, widest: int) -> int:
    """Letters of this turn's bar, where the longest turn has `widest`."""
    if longest_ms <= 0:
        return 0
    return max(1, round(timing.total_ms / longest_ms * widest))


def shares(timing: TurnTiming, width: int) -> list[int]:
    """How many of `width` letters each part gets; they sum to `width`, the largest remainders rounded up."""
    total = timing.total_ms
    if total <= 0:
        return [0] * len(PARTS)
    exact = [ms / total * width for _, ms in _parts(timing)]
    whole = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: whole[place] - exact[place])
    for place in by_remainder[: width - sum(whole)]:
        whole[place] += 1
    return whole


def _parts(timing: TurnTiming) -> list[tuple[str, float]]:
    return [(name, getattr(timing, name)) for name, _, _ in PARTS]
