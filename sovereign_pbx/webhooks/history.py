"""Webhooks that are settled stay for a while, to be looked at, and then go: they hold what callers said."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store import Store
from sovereign_pbx.webhooks.envelope import utc_text

log = structlog.get_logger(__name__)

_EVERY_S: Final = 3600.0
_BATCH: Final = 500  # removed in one transaction; calls write in between


async def keep_short(
    store: Store, days: int, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), every_s: float = _EVERY_S
) -> None:
    """Remove what was delivered or given up more than `days` ago, at once and then every hour, until cancelled."""
    while True:
        try:
            removed = await sweep(store, utc_text(now() - timedelta(days=days)))
            if removed:
                log.info("webhooks.removed", webhooks=removed, older_than_days=days)
        except SovereignError as exc:  # the disk may be well again in an hour
            log.warning("webhooks.not_removed", error=str(exc))
        await asyncio.sleep(every_s)


async def sweep(store: Store, before: str) -> int:
    """Remove what was settled before then; how many."""
    removed = 0
    while batch := await store.forget_webhooks(before, _BATCH):
        removed += batch
    return removed
