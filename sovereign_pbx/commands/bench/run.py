"""The bench from start to finish: start what is needed, place the calls, work out the vital signs."""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import aiohttp
import click
from rich.console import Console

from sovereign_pbx import __version__
from sovereign_pbx.commands.bench.callers import Callers, Link
from sovereign_pbx.commands.bench.load import PERIOD_S, Outcome, talk
from sovereign_pbx.commands.bench.machine import machine
from sovereign_pbx.commands.bench.process import Cpu, cpu_of, first_line, idle_seconds, memory_mb, process
from sovereign_pbx.commands.bench.signs import Signs, signs_of
from sovereign_pbx.commands.bench.table import markdown, table
from sovereign_pbx.commands.bench.target import Setting, Target, assistant, daemon
from sovereign_pbx.testing.audiosocket_leg import AudioSocketLeg
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.heard import Heard

_SETTLE_S = 2.0
_PIPED_COLUMNS = 160  # rich would fold the table at 80
_ANSWER = "We open at nine in the morning, and we close at five in the afternoon. Is there anything else?"


async def measure_all(
    counts: Sequence[int],
    seconds: float,
    target: Target | None,
    called: str,
    *,
    links: Iterable[Link] = ("audiosocket",),
    floor: bool,
    style: str | None,
    out: Path | None,
) -> int:
    """Every number of calls in turn; prints the table. Exit status 1 when calls were lost."""
    console = Console(stderr=True, highlight=False)
    rows: list[Signs] = []
    with tempfile.TemporaryDirectory(prefix="sovereign-bench-") as work:
        for link in links:
            folder = Path(work, link)
            folder.mkdir()
            async with _found(folder, target, max(counts), link) as found:
                await _measure(found, link, 1, 20.0, called)  # the first call loads what is loaded only once
                for count in counts:
                    with console.status(f"{count} calls over {link} for {seconds:g} s"):
                        rows.append(await _measure(found, link, count, seconds, called))
        echo = []
        if floor:
            for count in counts:
                with console.status(f"the echo floor, {count} calls"):
                    echo.append((count, await _floor(Path(work), count)))
    result = {
        "machine": machine(),
        "version": __version__,
        "signs": [row.as_json() for row in rows],
        "echo_cpu": dict(echo),
    }
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    if style == "json":
        Console(soft_wrap=True, highlight=False).print_json(json.dumps(result))
    elif style == "markdown":
        click.echo(markdown(rows, dict(echo), machine(), scripted=target is None))
    else:
        shown = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
        shown.print(table(rows, dict(echo), machine(), scripted=target is None))
    return int(any(row.lost for row in rows))


async def _measure(target: Target, link: Link, count: int, seconds: float, called: str) -> Signs:
    idle_mb = memory_mb(target.pid) if target.pid else 0.0
    late_before, _ = await ticks_of(target)
    with CallerTicker() as ticker:
        async with Callers(target, link, called, ticker) as callers:
            spread = min(PERIOD_S, count * 0.25)
            talks = [
                asyncio.create_task(talk(callers.one(), place * spread / count, seconds)) for place in range(count)
            ]
            await asyncio.sleep(spread + _SETTLE_S)
            used, idle = await _cost(target, max(1.0, seconds - spread - 2 * _SETTLE_S))
            busy_mb = memory_mb(target.pid) if target.pid else 0.0
            outcomes: list[Outcome] = await asyncio.gather(*talks)
        own_lag_ms = ticker.latest_s * 1000
    late, worst_s = await ticks_of(target)
    signs = signs_of(count, outcomes, cpu=used, memory_mb=max(0.0, busy_mb - idle_mb))
    return replace(
        signs,
        link=link,
        ticks_late=int(late - late_before),
        tick_worst_ms=worst_s * 1000,
        own_lag_ms=own_lag_ms,
        idle=idle,
    )


async def _cost(target: Target, seconds: float) -> tuple[Cpu, float]:
    """What the daemon takes of one core in the next `seconds`, and the share of the machine that nobody uses then."""
    cpu, idle, began = cpu_of(target.pid) if target.pid else Cpu(), idle_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    lasted = time.monotonic() - began
    used = cpu_of(target.pid).share_since(cpu, lasted) if target.pid else Cpu()
    return used, (idle_seconds() - idle) / lasted / (os.cpu_count() or 1)


async def ticks_of(target: Target) -> tuple[float, float]:
    """How many ticks of the daemon's media clock came late, and by how many seconds at worst, since its start."""
    if not target.http:
        return 0.0, 0.0
    async with aiohttp.ClientSession() as session, session.get(f"{target.http}/metrics") as response:
        text = await response.text()
    late, worst = (
        re.search(rf"_media_{name} ([0-9.e+-]+)", text) for name in ("ticks_late_total", "tick_worst_lag_seconds")
    )
    return (float(late.group(1)) if late else 0.0), (float(worst.group(1)) if worst else 0.0)


@asynccontextmanager
async def _found(work: Path, given: Target | None, most: int, link: Link) -> AsyncIterator[Target]:
    if given is not None:
        yield given
        return
    script = {"deepgram": ["What time do you open in the morning?"], "openai": [_ANSWER]}
    # As fast as the recogniser's own verdict allows, and nothing hidden behind it: what is measured is the bridge.
    direct = assistant(endpointing_min_delay=0.1, speculative_replies=0)
    media = "websocket" if link == "websocket" else "audiosocket"
    async with daemon(work, Setting(script, {"*": direct}, media=media), most) as found:
        yield found


async def _floor(work: Path, count: int) -> float:
    """Fraction of one core that a bare echo takes with `count` callers."""
    log = work / "echo.log"
    loop = asyncio.get_running_loop()
    async with process(["-m", "sovereign_pbx.commands.bench.echo"], log) as started:
        port = (await first_line(started, log))["port"]
        with CallerTicker() as ticker:
            legs: list[AudioSocketLeg] = []
            for _ in range(count):
                _, leg = await loop.create_connection(
                    lambda: AudioSocketLeg(uuid4(), Heard(keep_audio=False)), "127.0.0.1", port
                )
                ticker.add(leg.tick)
                legs.append(leg)
            await asyncio.sleep(1.0)
            cpu, began = cpu_of(started.pid), time.monotonic()
            await asyncio.sleep(5.0)
            used = cpu_of(started.pid).share_since(cpu, time.monotonic() - began).whole
            for leg in legs:
                ticker.remove(leg.tick)
                leg.hang_up()
            await asyncio.gather(*(leg.ended.wait() for leg in legs))
    return used
