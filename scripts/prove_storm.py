#!/usr/bin/env python3
"""More callers than may call, all within seconds: what those hear who are let in, and what the others meet.

    .venv/bin/python scripts/prove_storm.py --offered 500 --limit 100 --within 10

Starts a daemon of its own with scripted vendors and the limit, twice: once only as many call as may, at the same pace,
and once all of them. The callers play the dialplan towards the daemon (FastAGI, AudioSocket). Those who are let in talk
for `--seconds`, ask, and interrupt; the others go to the dialplan's fallback. Prints both runs beside each other, and
ends with status 1 when more or fewer were let in than may, or somebody waited longer than a second for the fallback.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import uvloop

from sovereign_pbx.commands.bench.load import Outcome, talk
from sovereign_pbx.commands.bench.machine import machine
from sovereign_pbx.commands.bench.process import cpu_of, idle_seconds, memory_mb
from sovereign_pbx.commands.bench.run import ticks_of
from sovereign_pbx.commands.bench.signs import Signs, percentile, signs_of
from sovereign_pbx.commands.bench.table import ROWS
from sovereign_pbx.commands.bench.target import Setting, Target, assistant, daemon
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.caller_ticker import CallerTicker

ANSWER = "We open at nine in the morning, and we close at five in the afternoon. Is there anything else?"
LATEST_MS = 1000.0  # for the dialplan to be told to go on by itself
_OF_THE_LIMIT = ("calls refused / lost / turns unanswered / not cut",)


@dataclass(frozen=True, slots=True)
class Run:
    """One of the two. `waited_ms`: how long each waited for the fallback who was not let in."""

    offered: int
    let_in: int
    actions: frozenset[str]
    waited_ms: tuple[float, ...]
    signs: Signs
    decided_ms: tuple[float, ...]  # those who were let in

    def faults(self, limit: int) -> list[str]:
        """What should not be."""
        found = []
        if self.let_in != min(limit, self.offered):
            found.append(f"{self.let_in} were let in, not {min(limit, self.offered)}")
        if self.actions - {"fallback"}:
            found.append(f"some met {', '.join(sorted(self.actions))} instead of the fallback")
        late = sum(ms > LATEST_MS for ms in self.waited_ms)
        if late:
            found.append(f"{late} waited longer than {LATEST_MS:g} ms for the fallback")
        if self.signs.lost_calls:
            found.append(f"{self.signs.lost_calls} calls were lost")
        return found


async def storm(target: Target, offered: int, within_s: float, seconds: float) -> Run:
    """`offered` callers, evenly within `within_s`; whoever is let in talks for `seconds`."""
    pid = target.pid or 0  # ours, so that it is known
    idle_mb, (late_before, _) = memory_mb(pid), await ticks_of(target)
    with CallerTicker() as ticker:
        callers = [
            AudioSocketCaller(ticker, agi=target.agi, audio=target.audio, keep_audio=False) for _ in range(offered)
        ]
        talks = [
            asyncio.create_task(talk(one, place * within_s / offered, seconds)) for place, one in enumerate(callers)
        ]
        cpu, idle, began = cpu_of(pid), idle_seconds(), time.monotonic()
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        used, busy_mb = cpu_of(pid).share_since(cpu, lasted), memory_mb(pid)
        idle = (idle_seconds() - idle) / lasted / (os.cpu_count() or 1)
        outcomes: list[Outcome] = await asyncio.gather(*talks)
        own_lag_ms = ticker.latest_s * 1000
    late, worst_s = await ticks_of(target)
    inside = [one for one in outcomes if not one.refused]
    signs = signs_of(max(1, len(inside)), inside, cpu=used, memory_mb=max(0.0, busy_mb - idle_mb))
    turned = [caller for caller, one in zip(callers, outcomes, strict=True) if one.refused]
    taken = [caller for caller, one in zip(callers, outcomes, strict=True) if not one.refused]
    return Run(
        offered=offered,
        let_in=len(inside),
        actions=frozenset(caller.variables.get("SOVEREIGN_ACTION", "nothing") for caller in turned),
        waited_ms=tuple(caller.decision_s * 1000 for caller in turned),
        decided_ms=tuple(caller.decision_s * 1000 for caller in taken),
        signs=replace(
            signs,
            ticks_late=int(late - late_before),
            tick_worst_ms=worst_s * 1000,
            own_lag_ms=own_lag_ms,
            idle=idle,
        ),
    )


async def started(limit: int, offered: int, within_s: float, seconds: float) -> Run:
    """One run on a daemon of its own."""
    script = {"deepgram": ["What time do you open in the morning?"], "openai": [ANSWER]}
    direct = assistant(endpointing_min_delay=0.1, speculative_replies=0)
    setting = Setting(script, {"*": direct}, limits={"max_calls": limit})
    with tempfile.TemporaryDirectory(prefix="sovereign-storm-") as work:
        async with daemon(Path(work), setting, offered) as target:
            await storm(target, 1, 0.1, 14.0)  # the first call loads what is loaded only once
            await _until_empty(target)
            return await storm(target, offered, within_s, seconds)


async def _until_empty(target: Target) -> None:
    deadline = time.monotonic() + 20.0
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            async with session.get(f"{target.http}/metrics") as response:
                if "\nsovereign_calls_active 0.0" in await response.text():
                    return
            await asyncio.sleep(0.2)


Cell = Callable[[Run], str]
OWN_ROWS: tuple[tuple[str, Cell], ...] = (
    ("callers, within seconds", lambda run: str(run.offered)),
    ("let in", lambda run: str(run.let_in)),
    ("sent to the fallback", lambda run: str(len(run.waited_ms))),
    ("fallback told after p50 / p95 / worst, ms", lambda run: _three(run.waited_ms)),
    ("answered after p50 / p95 / worst, ms", lambda run: _three(run.decided_ms)),
)


def _three(values: tuple[float, ...]) -> str:
    if not values:
        return "-"
    return " / ".join(f"{value or 0:.0f}" for value in (percentile(values, 0.5), percentile(values, 0.95), max(values)))


def table(calm: Run | None, stormy: Run) -> str:
    """Both beside each other, as Markdown."""
    runs = [run for run in (calm, stormy) if run is not None]
    heads = ["", *(["without the storm"] if calm is not None else []), "in the storm"]
    lines = [heads, ["---", *("---:" for _ in runs)]]
    lines += [[name, *(cell(run) for run in runs)] for name, cell in OWN_ROWS]
    lines += [
        [name.strip(), *(cell(run.signs) for run in runs)] for name, cell in ROWS if name.strip() not in _OF_THE_LIMIT
    ]
    lost = [f"{run.signs.lost_calls} / {run.signs.unanswered} / {run.signs.not_cut}" for run in runs]
    lines.append(["calls lost / turns unanswered / not cut", *lost])
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine().items())
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{about}"


async def prove(options: argparse.Namespace) -> int:
    """Both runs, and what is wrong."""
    pace = options.within / options.offered
    calm = None
    if options.baseline:
        calm = await started(options.limit, options.limit, options.limit * pace, options.seconds)
    stormy = await started(options.limit, options.offered, options.within, options.seconds)
    print(table(calm, stormy))
    faults = stormy.faults(options.limit) + (calm.faults(options.limit) if calm is not None else [])
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offered", type=int, default=500)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--within", type=float, default=10.0, help="seconds in which all of them call")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long each of those talks who are let in")
    parser.add_argument("--no-baseline", dest="baseline", action="store_false", help="only the storm")
    options = parser.parse_args()
    if not 0 < options.limit < options.offered <= 2000 or options.seconds < options.within:
        parser.error("more callers than the limit, at most 2000, and they talk at least as long as others still call")
    return uvloop.run(prove(options))


if __name__ == "__main__":
    sys.exit(main())
