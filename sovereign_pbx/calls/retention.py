"""Recordings are kept as long as the administrator says, and not a day longer."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_EVERY_S: Final = 3600.0
_DAY_S: Final = 86_400.0


async def keep_swept(folder: Path, days: int, *, now: Callable[[], float] = time.time) -> None:
    """Remove recordings older than `days` at once and then every hour, until cancelled."""
    while True:
        removed = await asyncio.to_thread(sweep, folder, now() - days * _DAY_S)
        if removed:
            log.info("recordings.removed", recordings=removed, older_than_days=days)
        await asyncio.sleep(_EVERY_S)


def sweep(folder: Path, before: float) -> int:
    """Remove the recordings last written before `before` (Unix seconds); how many."""
    removed = 0
    for recording in folder.glob("*.wav"):
        try:
            if recording.stat().st_mtime < before:
                recording.unlink()
                removed += 1
        except OSError as exc:
            log.warning("recording.not_removed", path=str(recording), error=exc.strerror)
    return removed
