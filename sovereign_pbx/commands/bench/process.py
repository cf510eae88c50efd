"""Processes that the bench starts and watches: vendors, the daemon, a bare echo."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sovereign_pbx.core.errors import SovereignError

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


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
