"""Back-pressure: when the machine can't keep up, nobody new is taken before those who talk hear it.

Looked at once a second. What begins to refuse does not end at the same mark, so that it does not flap.
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final, Protocol

import structlog

from sovereign_pbx.calls.admission import Full

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
_SECONDS: Final = 5  # looked back at
_LATE: Final = 3  # of them must be late: a single pause of the machine turns nobody away
_CALM: Final = 3  # seconds in a row
_CALM_SHARE: Final = 0.5  # of the limit of lag, below which a second counts as calm
_ROOM_SHARE: Final = 0.05  # of the limit of memory, that must have become free again

_PAGES = Path("/proc/self/statm")
_MACHINE = Path("/proc/meminfo")
_PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StrainLimits:
    """`[limits]`, as far as it is about what the machine bears; 0: no limit of this kind."""

    max_lag_ms: float = 100.0
    max_memory_mb: int = 0
    min_free_memory_mb: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process holds, and what the machine has left to give; None where that is not known."""

    resident_mb: float | None = None
    free_mb: float | None = None


class Ticking(Protocol):
    """The media clock."""

    def take_lags(self) -> list[float]:
        """By how many seconds each tick since the last question was late, those given up included."""


class Strain:
    """Why nobody should be taken: `full`, None while all is well. `limits` may be replaced."""

    def __init__(self, limits: StrainLimits) -> None:
        self.limits = limits
        self.lag_p95_ms = 0.0  # of the last second
        self._seconds: deque[float] = deque(maxlen=_SECONDS)
        self._late = False
        self._short = ""

    @property
    def full(self) -> Full | None:
        if self._late:
            return Full("lag", f"p95 {self.lag_p95_ms:.0f} ms")
        return Full("memory", self._short) if self._short else None

    def observe(self, lags_s: Sequence[float], memory: Memory) -> None:
        """A second has gone by."""
        before = self.full
        self.lag_p95_ms = _p95(lags_s) * 1000
        self._seconds.append(self.lag_p95_ms)
        self._late = self._is_late()
        self._short = self._is_short(memory)
        after = self.full
        if (before is None) != (after is None):
            log.warning("admission.held_back" if after else "admission.open_again", why=str(after or before))

    def _is_late(self) -> bool:
        limit = self.limits.max_lag_ms
        if not limit:
            return False
        if self._late:
            return any(second > limit * _CALM_SHARE for second in list(self._seconds)[-_CALM:])
        return sum(second > limit for second in self._seconds) >= _LATE

    def _is_short(self, memory: Memory) -> str:
        limits, more = self.limits, _ROOM_SHARE if self._short else 0.0
        held, free = memory.resident_mb, memory.free_mb
        if limits.max_memory_mb and held is not None and held > limits.max_memory_mb * (1 - more):
            return f"the daemon holds {held:.0f} MB"
        if limits.min_free_memory_mb and free is not None and free < limits.min_free_memory_mb * (1 + more):
            return f"the machine has {free:.0f} MB left"
        return ""


async def watch(strain: Strain, clock: Ticking) -> None:
    """Look once a second, until cancelled."""
    clock.take_lags()  # of starting, when much is loaded and nobody talks
    while True:
        await asyncio.sleep(EVERY_S)
        limits = strain.limits
        wanted = limits.max_memory_mb or limits.min_free_memory_mb
        strain.observe(clock.take_lags(), memory_now() if wanted else Memory())


def memory_now() -> Memory:
    """From /proc, which is no disk: both files take 0.1 ms together."""
    try:
        resident = int(_PAGES.read_text("ascii").split()[1]) * _PAGE_KB / 1024
        lines = _MACHINE.read_text("ascii").splitlines()
    except (OSError, ValueError, IndexError):
        return Memory()
    free = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
    return Memory(resident, int(free) / 1024 if free.isdecimal() else None)


def _p95(values: Sequence[float]) -> float:
    """Nearest rank; 0 of nothing."""
    return sorted(values)[ceil(len(values) * 0.95) - 1] if values else 0.0
