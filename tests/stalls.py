"""Notices when the machine stands still for a test: a process that does nothing but wake up, and the kernel's accounts
of the time lost to the disk and to whoever else has the processor. A test that fails by the clock in such a moment says
nothing about what it tests."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

GAP_S: Final = 0.25  # the shortest that counts; most deadlines in tests are a second or more
DISK_PART: Final = 0.05  # of a test's time: what a long one loses bit by bit to a disk that is used is no stall
PROCESSOR_PART: Final = 0.2  # of a test's time: several runs of tests share the processors, so some wait is usual
_DISK: Final = Path("/proc/pressure/io")
_PROCESSOR: Final = Path("/proc/self/schedstat")
_WATCHER: Final = f"""
import os, sys, time
last = time.monotonic()
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.02)
    now = time.monotonic()
    if now - last > {GAP_S}:
        print(last, now, flush=True)
    last = now
"""


class StallWatch:
    """From `open` to `close`."""

    def open(self) -> None:
        """Begin. What the watcher tells is read only when somebody asks, and is little."""
        own = str(os.getpid())
        self._watcher = subprocess.Popen([sys.executable, "-S", "-c", _WATCHER, own], stdout=subprocess.PIPE)
        assert self._watcher.stdout is not None
        os.set_blocking(self._watcher.stdout.fileno(), False)
        self._gaps: list[tuple[float, float]] = []

    @property
    def pid(self) -> int:
        """Of the watcher."""
        return self._watcher.pid

    def close(self) -> None:
        self._watcher.terminate()
        self._watcher.wait()
        assert self._watcher.stdout is not None
        self._watcher.stdout.close()

    def longest(self, since: "Moment", until: float) -> float:
        """Seconds of the longest stall from `since` to `until` (of `time.monotonic`), or what the disk or the wait for
        a processor have cost since; 0.0 for one that does not count."""
        self._read()
        lasted = until - since.at
        gaps = [min(end, until) - max(start, since.at) for start, end in self._gaps]
        lost = (
            (disk_stalled_s() - since.disk_s, DISK_PART),
            (processor_awaited_s() - since.processor_s, PROCESSOR_PART),
        )
        worst = max([*gaps, *(seconds for seconds, part in lost if seconds >= part * lasted)], default=0.0)
        return worst if worst >= GAP_S else 0.0

    def _read(self) -> None:
        assert self._watcher.stdout is not None
        for line in (self._watcher.stdout.read() or b"").decode().splitlines():
            start, end = map(float, line.split())
            self._gaps.append((start, end))


def disk_stalled_s() -> float:
    """Seconds since the machine's start in which somebody waited for the disk; 0.0 where the kernel keeps no account
    (Documentation/accounting/psi: `some … total=` in microseconds)."""
    try:
        some = _DISK.read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6


def processor_awaited_s() -> float:
    """Seconds since its start in which this process, its first thread, could have run and others did; 0.0 where the
    kernel keeps no account (Documentation/scheduler/sched-stats: the second number, in nanoseconds)."""
    try:
        return int(_PROCESSOR.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Moment(NamedTuple):
    """A moment of `time.monotonic`, and the kernel's accounts of it."""

    at: float
    disk_s: float
    processor_s: float


def now() -> Moment:
    return Moment(time.monotonic(), disk_stalled_s(), processor_awaited_s())
