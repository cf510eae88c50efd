"""The vital signs as a table for people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sovereign_pbx.commands.bench.signs import PROVIDERS_MS, Signs

Cell = Callable[[Signs], str]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f}"


SCRIPTED: Final[tuple[tuple[str, Cell], ...]] = (
    (
        "  overhead on a turn p50 / p95",
        lambda s: f"{_ms(s.overhead(s.turn_p50_ms))} / {_ms(s.overhead(s.turn_p95_ms))}",
    ),
)
ROWS: Final[tuple[tuple[str, Cell], ...]] = (
    ("turn latency p50 / p95 / p99, ms", lambda s: " / ".join(map(_ms, (s.turn_p50_ms, s.turn_p95_ms, s.turn_p99_ms)))),
    *SCRIPTED,
    ("barge-in cut p50 / p95, ms", lambda s: f"{_ms(s.cut_p50_ms)} / {_ms(s.cut_p95_ms)}"),
    ("greeting after answer p50 / worst, ms", lambda s: f"{_ms(s.first_sound_p50_ms)} / {_ms(s.first_sound_max_ms)}"),
    ("worst burst, frames", lambda s: str(s.worst_burst)),
    ("worst hole, ms", lambda s: _ms(s.worst_hole_ms)),
    ("real-time ratio, worst call", lambda s: f"{s.real_time_ratio:.3f}"),
    ("CPU, % of one core", lambda s: _percent(s.cpu.whole)),
    (
        "  event loop / turn model / other threads",
        lambda s: f"{_percent(s.cpu.loop)} / {_percent(s.cpu.turn_model)} / {_percent(s.other_threads)}",
    ),
    ("  a call", lambda s: f"{s.cpu.whole / s.calls * 100:.2f}"),
    ("  a call, the turn model left out", lambda s: f"{s.cpu_without_turn_model / s.calls * 100:.2f}"),
    ("memory a call, MB", lambda s: f"{s.memory_mb / s.calls:.2f}"),
    ("ticks late / the latest since the start, ms", lambda s: f"{s.ticks_late} / {_ms(s.tick_worst_ms)}"),
    ("turns measured", lambda s: str(s.turns)),
    (
        "calls refused / lost / turns unanswered / not cut",
        lambda s: f"{s.refused} / {s.lost_calls} / {s.unanswered} / {s.not_cut}",
    ),
    ("the bench's own worst lag, ms", lambda s: _ms(s.own_lag_ms)),
    ("the machine's processors idle, %", lambda s: _percent(s.idle)),
)


def markdown(rows: Sequence[Signs], echo: Mapping[int, float], machine: Mapping[str, Any], *, scripted: bool) -> str:
    """The same for docs/performance.md."""
    heads = ["", *_heads(rows)]
    lines = [heads, ["---", *("---:" for _ in rows)], *_lines(rows, echo, scripted=scripted)]
    text = "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)
    return f"{text}\n\n{_about(machine)}"


def table(
    rows: Sequence[Signs], echo: Mapping[int, float], machine: Mapping[str, Any], *, scripted: bool
) -> RenderableType:
    """A column for each number of calls."""
    shown = Table("", *_heads(rows), box=None, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    for line in _lines(rows, echo, scripted=scripted):
        shown.add_row(*line)
    lines: list[RenderableType] = [shown, Text(f"\n{_about(machine)}", style="dim")]
    if scripted:
        lines.append(Text(f"the scripted vendors take {PROVIDERS_MS:.0f} ms of each turn", style="dim"))
    return Group(*lines)


def _heads(rows: Sequence[Signs]) -> list[str]:
    """A column each; the link is named where there are several."""
    several = len({row.link for row in rows}) > 1
    return [f"{f'{row.link}, ' if several else ''}{row.calls} call{'s' * (row.calls > 1)}" for row in rows]


def _lines(rows: Sequence[Signs], echo: Mapping[int, float], *, scripted: bool) -> list[list[str]]:
    lines = [[name, *(cell(row) for row in rows)] for name, cell in ROWS if scripted or (name, cell) not in SCRIPTED]
    if echo:
        floor = (f"{echo[row.calls] / row.calls * 100:.2f}" if row.calls in echo else "-" for row in rows)
        lines.append(["a bare echo's CPU a call, % of one core", *floor])
    return lines


def _about(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
