"""The bench from start to finish: start what is needed, place the calls, work out the vital signs."""

import asyncio
import json
import os
import platform
import re
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aiohttp
import click
import tomli_w
from rich.console import Console

from sovereign_pbx import __version__
from sovereign_pbx.commands.bench.load import PERIOD_S, Outcome, talk
from sovereign_pbx.commands.bench.process import (
    Cpu,
    ProcessFailed,
    cpu_of,
    first_line,
    idle_seconds,
    memory_mb,
    process,
)
from sovereign_pbx.commands.bench.signs import Signs, signs_of
from sovereign_pbx.commands.bench.table import markdown, table
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.audiosocket_leg import AudioSocketLeg
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.port_block import reserve_ports

_READY_S = 30.0
_SETTLE_S = 2.0
_PIPED_COLUMNS = 160  # rich would fold the table at 80
_ANSWER = "We open at nine in the morning, and we close at five in the afternoon. Is there anything else?"


@dataclass(frozen=True, slots=True)
class Target:
    """The daemon under test. `pid` None: its cost is not known. `http`: its metrics."""

    agi: tuple[str, int]
    audio: tuple[str, int]
    pid: int | None = None
    http: str = ""

    @classmethod
    def parse(cls, agi: str, audio: str, pid: int | None) -> Self:
        """From the command line. Raises ConfigError."""
        return cls(_address(agi, "--agi"), _address(audio, "--audio"), pid)


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{option} {text!r} is not HOST:PORT", remedy="write it like 127.0.0.1:4573")
    return host, int(port)


async def measure_all(
    counts: Sequence[int],
    seconds: float,
    target: Target | None,
    called: str,
    *,
    floor: bool,
    style: str | None,
    out: Path | None,
) -> int:
    """Every number of calls in turn; prints the table. Exit status 1 when calls were lost."""
    console = Console(stderr=True, highlight=False)
    rows: list[Signs] = []
    with tempfile.TemporaryDirectory(prefix="sovereign-bench-") as work:
        async with _target(Path(work), target, max(counts)) as found:
            await _measure(found, 1, 20.0, called)  # the first call loads what is loaded only once
            for count in counts:
                with console.status(f"{count} calls for {seconds:g} s"):
                    rows.append(await _measure(found, count, seconds, called))
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


def machine() -> dict[str, Any]:
    """What these figures were measured on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8", "replace"))
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


async def _measure(target: Target, count: int, seconds: float, called: str) -> Signs:
    idle_mb = memory_mb(target.pid) if target.pid else 0.0
    late_before, _ = await _ticks(target)
    with CallerTicker() as ticker:
        spread = min(PERIOD_S, count * 0.25)
        callers = [
            AudioSocketCaller(ticker, agi=target.agi, audio=target.audio, called=called, keep_audio=False)
            for _ in range(count)
        ]
        talks = [asyncio.create_task(talk(one, place * spread / count, seconds)) for place, one in enumerate(callers)]
        await asyncio.sleep(spread + _SETTLE_S)
        cpu, idle, began = cpu_of(target.pid) if target.pid else Cpu(), idle_seconds(), time.monotonic()
        await asyncio.sleep(max(1.0, seconds - spread - 2 * _SETTLE_S))
        lasted = time.monotonic() - began
        used = cpu_of(target.pid).share_since(cpu, lasted) if target.pid else Cpu()
        idle = (idle_seconds() - idle) / lasted / (os.cpu_count() or 1)
        busy_mb = memory_mb(target.pid) if target.pid else 0.0
        outcomes: list[Outcome] = await asyncio.gather(*talks)
        own_lag_ms = ticker.latest_s * 1000
    late, worst_s = await _ticks(target)
    signs = signs_of(count, outcomes, cpu=used, memory_mb=max(0.0, busy_mb - idle_mb))
    return replace(
        signs,
        ticks_late=int(late - late_before),
        tick_worst_ms=worst_s * 1000,
        own_lag_ms=own_lag_ms,
        idle=idle,
    )


async def _ticks(target: Target) -> tuple[float, float]:
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
async def _target(work: Path, given: Target | None, most: int) -> AsyncIterator[Target]:
    if given is not None:
        yield given
        return
    vendors_log, daemon_log = work / "vendors.log", work / "daemon.log"
    script = work / "script.json"
    script.write_text(json.dumps({"deepgram": ["What time do you open in the morning?"], "openai": [_ANSWER]}), "utf-8")
    vendors = ["-m", "sovereign_pbx.testing.providers", "--script", str(script), "--tokens-per-s", "1000"]
    async with process(vendors, vendors_log) as started:
        urls = await first_line(started, vendors_log)
        block = reserve_ports()
        try:
            agi, audio, http = (block.take(socket.SOCK_STREAM) for _ in range(3))
            config = _configuration(work, urls, agi, audio, http, most)
            async with process(["-m", "sovereign_pbx", "run", "-c", str(config)], daemon_log) as daemon:
                web = f"http://127.0.0.1:{http}"
                await _until_healthy(daemon, web, daemon_log)
                yield Target(("127.0.0.1", agi), ("127.0.0.1", audio), daemon.pid, web)
        finally:
            block.release()


def _configuration(work: Path, urls: dict[str, str], agi: int, audio: int, http: int, most: int) -> Path:
    settings = {
        "daemon": {"state_dir": str(work / "state"), "drain_seconds": 1},
        "http": {"port": http},
        "asterisk": {
            "max_connections": 2 * most + 16,
            "agi": {"port": agi},
            "audiosocket": {"port": audio},
        },
        "limits": {"max_calls": most + 1},
        "log": {"format": "json"},
        "providers": {
            "deepgram": {"api_key": "test-key", "base_url": urls["deepgram"]},
            "openai": {"api_key": "test-key", "base_url": urls["openai"]},
            "elevenlabs": {"api_key": "test-key", "base_url": urls["elevenlabs"]},
        },
        "assistants": {
            "bench": {
                "first_message": "Good morning, how can I help you?",
                "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "en"},
                "llm_config": {
                    "provider": "openai",
                    "model": "scripted",
                    "messages": [{"role": "system", "content": "You answer the telephone."}],
                },
                "tts_config": {"provider": "elevenlabs", "voice_id": "bench"},
                # as fast as the recogniser's own verdict allows: what is measured is the bridge, not a preference
                "speech_config": {"turn_taking": {"endpointing_min_delay": 0.1}},
            }
        },
        "numbers": [{"number": "*", "assistant": "bench"}],
    }
    path = work / "config.toml"
    path.touch(mode=0o600)
    path.write_text(tomli_w.dumps(settings), "utf-8")
    return path


async def _until_healthy(daemon: asyncio.subprocess.Process, web: str, log: Path) -> None:
    async with aiohttp.ClientSession() as session:
        deadline = time.monotonic() + _READY_S
        while daemon.returncode is None and time.monotonic() < deadline:
            try:
                async with session.get(f"{web}/api/v1/health") as response:
                    await response.read()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
    raise ProcessFailed(f"the daemon did not start; it said:\n{log.read_text('utf-8', 'replace')[-2000:]}")


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
