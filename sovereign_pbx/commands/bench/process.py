"""Processes that the bench starts and watches: vendors, the daemon, a bare echo."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.media import turn

_STOP_S = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class ProcessFailed(SovereignError):
    """A process of the bench did not start."""


@asynccontextmanager
async def process(arguments: Sequence[str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python with `arguments`; its errors go to `log`. Ended with SIGTERM, then SIGKILL."""
    with log.open("ab") as errors:
        started = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(started.wait(), _STOP_S)
            except TimeoutError:
                started.kill()
                await started.wait()


async def first_line(started: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    """The line of JSON that a process prints when it is ready."""
    assert started.stdout is not None
    async with asyncio.timeout(30):
        line = await started.stdout.readline()
    if not line:
        raise ProcessFailed(
            f"a process of the bench did not start; it said:\n{log.read_text('utf-8', 'replace')[-2000:]}"
        )
    found: dict[str, Any] = json.loads(line)
    return found


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor time in seconds: of the whole process, of its first thread (the event loop), of the turn model's."""

    whole: float = 0.0
    loop: float = 0.0
    turn_model: float = 0.0

    def share_since(self, before: "Cpu", seconds: float) -> "Cpu":
        """What was used since, as fractions of one core."""
        return Cpu(
            (self.whole - before.whole) / seconds,
            (self.loop - before.loop) / seconds,
            (self.turn_model - before.turn_model) / seconds,
        )


def cpu_of(pid: int) -> Cpu:
    """What a process has used so far, user and system time together."""
    turn_model = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            if (task / "comm").read_text().strip() == turn.THREAD_NAME:
                turn_model += _used(task / "stat")
    return Cpu(_used(Path(f"/proc/{pid}/stat")), _used(Path(f"/proc/{pid}/task/{pid}/stat")), turn_model)


def _used(stat: Path) -> float:
    """Fields 14 and 15 of proc_pid_stat(5)."""
    fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def idle_seconds() -> float:
    """Time in which the machine's processors, all together, have had nothing to do since it started."""
    first = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    return (int(first[4]) + int(first[5])) / _TICKS  # idle and iowait
