"""`sovereign-pbx bench --conversation`: how soon turns are answered, with speculation and without."""

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from sovereign_pbx.commands.bench.course import COURSE, COURSE_S, STEP_S, Met, follow, script
from sovereign_pbx.commands.bench.machine import machine
from sovereign_pbx.commands.bench.process import cpu_of, idle_seconds
from sovereign_pbx.commands.bench.signs import percentile
from sovereign_pbx.commands.bench.target import Setting, Target, assistant, daemon
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.caller_ticker import CallerTicker

FEWEST_TURNS: Final = 6  # of each kind that a figure is made of; few calls at once go through the course again
_PLAIN, _AHEAD = "100", "101"  # who answers there waits for the end of the turn, or begins before it


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `lag_ms`: from the end of a word to the recogniser's telling it."""

    calls: int
    ahead: bool
    lag_ms: int
    met: Met
    idle: float
    own_lag_ms: float
    cpu: float

    @property
    def lost(self) -> bool:
        return bool(self.met.lost or self.met.unanswered)


async def measure_conversation(
    counts: Sequence[int], lags_ms: Sequence[int], *, style: str | None, out: Path | None
) -> int:
    """Measure and print. Exit status 1 when calls or answers were lost."""
    console = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    for lag in lags_ms:
        with tempfile.TemporaryDirectory(prefix="sovereign-bench-") as work:
            usual = assistant(endpointing_min_delay=0.1, speculative_replies=0)
            ahead = assistant()  # with the default delay: what is hidden behind it costs nothing
            setting = Setting(script(), {_PLAIN: usual, _AHEAD: ahead}, ("--interim-lag-ms", str(lag)))
            async with daemon(Path(work), setting, max(counts)) as found:
                await _measure(found, 1, _PLAIN, 1, steps=1)  # the first call loads what is loaded only once
                for count in counts:
                    for called in (_PLAIN, _AHEAD):
                        with console.status(f"{count} calls, interims {lag} ms behind, to {called}"):
                            row = await _measure(found, count, called, _rounds(count))
                        rows.append(Row(count, called == _AHEAD, lag, *row))
                        if out is not None:  # what has been measured is not lost with what has not
                            out.write_text(json.dumps(_kept(rows), indent=2) + "\n")
    _show(rows, style)
    return int(any(row.lost for row in rows))


def _rounds(count: int) -> int:
    return -(-FEWEST_TURNS // (3 * count))


async def _measure(
    target: Target, count: int, called: str, rounds: int, *, steps: int = len(COURSE)
) -> tuple[Met, float, float, float]:
    met, loop = Met(), asyncio.get_running_loop()
    began, idle = loop.time(), idle_seconds()
    cpu = cpu_of(target.pid) if target.pid else None
    with CallerTicker() as ticker:
        for _ in range(rounds):
            callers = [
                AudioSocketCaller(ticker, agi=target.agi, audio=target.audio, called=called, keep_audio=False)
                for _ in range(count)
            ]
            async with asyncio.timeout(2 * COURSE_S + STEP_S):
                courses = (follow(one, place * STEP_S / count, steps=steps) for place, one in enumerate(callers))
                for outcome in await asyncio.gather(*courses):
                    met.add(outcome)
        own_lag_ms = ticker.latest_s * 1000
    lasted = loop.time() - began
    used = cpu_of(target.pid).share_since(cpu, lasted).whole if target.pid and cpu else 0.0
    return met, (idle_seconds() - idle) / lasted / (os.cpu_count() or 1), own_lag_ms, used


def _ms(values: Sequence[float]) -> str:
    half, most = percentile(values, 0.5), percentile(values, 0.95)
    return "-" if half is None or most is None else f"{half:.0f} / {most:.0f}"


COLUMNS: Final[tuple[tuple[str, Callable[[Row], str]], ...]] = (
    ("interims behind", lambda row: f"{row.lag_ms} ms"),
    ("calls", lambda row: str(row.calls)),
    ("speculation", lambda row: "yes" if row.ahead else "no"),
    ("turn p50 / p95, ms", lambda row: _ms(row.met.question_ms)),
    ("one word p50 / p95, ms", lambda row: _ms(row.met.word_ms)),
    ("talked into pauses", lambda row: f"{row.met.talked_into} of {row.met.pauses}"),
    ('stopped by "oh"', lambda row: f"{row.met.stopped_by_oh} of {row.met.ohs}"),
    ("unanswered, lost", lambda row: f"{row.met.unanswered}, {row.met.lost}"),
    ("CPU, % of a core", lambda row: f"{row.cpu * 100:.0f}"),
    ("machine idle, %", lambda row: f"{row.idle * 100:.0f}"),
    ("own worst lag, ms", lambda row: f"{row.own_lag_ms:.0f}"),
)


def markdown(rows: Sequence[Row]) -> str:
    """A row for each measurement."""
    lines = [[name for name, _ in COLUMNS], ["---:"] * len(COLUMNS)]
    lines += [[cell(row) for _, cell in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(row: Row) -> dict[str, Any]:
    """With the percentiles worked out."""
    figures = {
        f"{kind}_p{share}_ms": percentile(values, share / 100)
        for kind, values in (("question", row.met.question_ms), ("word", row.met.word_ms))
        for share in (50, 95)
    }
    return {**asdict(row), **figures}


def _kept(rows: Sequence[Row]) -> dict[str, Any]:
    return {"machine": machine(), "rows": [as_json(row) for row in rows]}


def _show(rows: Sequence[Row], style: str | None) -> None:
    if style == "quiet":
        return
    if style == "json":
        click.echo(json.dumps(_kept(rows)))
    elif style == "markdown":
        click.echo(f"{markdown(rows)}\n\n{', '.join(f'{name} {value}' for name, value in machine().items())}")
    else:
        shown = Table(*(name for name, _ in COLUMNS), box=None, pad_edge=False)
        for row in rows:
            shown.add_row(*(cell(row) for _, cell in COLUMNS))
        Console(highlight=False, width=None if os.isatty(1) else 160).print(shown)
