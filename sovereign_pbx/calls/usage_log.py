"""What was used, call by call and in sum, as the contract's usage log shows it (§23)."""

from dataclasses import asdict
from typing import Any, Protocol

from sovereign_pbx.store.usage import Usage, UsageSummary


class Used(Protocol):
    """The store, as far as it is read here."""

    async def usage(
        self, start: str | None = None, end: str | None = None, *, limit: int = 50, offset: int = 0
    ) -> Usage: ...


class UsageLog:
    """Reads what calls used."""

    def __init__(self, used: Used) -> None:
        self._used = used

    async def page(
        self, *, since: str | None, until: str | None, limit: int, offset: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """(the log of a page, newest first; the summary of all pages). `until` is included."""
        before = None if until is None else f"{until} "  # the first text after it
        found = await self._used.usage(since, before, limit=limit, offset=offset)
        return [asdict(entry) for entry in found.entries], usage_summary(found.summary)


def usage_summary(summary: UsageSummary) -> dict[str, Any]:
    """The sums, under the names of both generations. `total_cost` is null where nothing has a price, and where prices
    were in several currencies; `cost` has them apart."""
    shown = asdict(summary)
    return {
        **shown,
        "total_seconds": shown["total_duration_seconds"],
        "total_minutes": shown["total_duration_minutes"],
        "total_cost": next(iter(summary.cost.values())) if len(summary.cost) == 1 else None,
    }
