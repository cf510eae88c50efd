"""This installation, as the API calls it: the organization (contract §23). One daemon is one of them."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sovereign_pbx.assistants.shelf import Keep
from sovereign_pbx.calls.retention import Retention

KIND: Final = "organization"
OWN: Final = "own"
"""Kept as `organizations.d/own.toml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is on disk: an id that stays, and how long calls are kept where the API said so (0: for ever)."""

    organization_id: str = ""
    content_retention_days: int | None = None
    metadata_retention_days: int | None = None

    @property
    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


class Spent(Protocol):
    """The store, as far as it adds up."""

    async def seconds_since(self, since: str) -> int:
        """How long the calls made since then lasted together."""


class Installation:
    """Its name, its numbers of today, and how long it keeps calls. `active_calls` counts those under way."""

    def __init__(
        self,
        kept: Kept,
        keep: Keep,
        *,
        name: str,
        spent: Spent,
        retention: Retention,
        active_calls: Callable[[], int],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kept = kept
        self._keep = keep
        self.name = name
        self._spent = spent
        self._retention = retention
        self._active_calls = active_calls
        self._now = now

    @property
    def id(self) -> str:
        return self._kept.organization_id

    @property
    def active_calls(self) -> int:
        return self._active_calls()

    @property
    def retention_days(self) -> Mapping[str, int]:
        """`{"content_retention_days", "metadata_retention_days"}`, as they count; 0: for ever."""
        kept = self._retention
        return {"content_retention_days": kept.content_days, "metadata_retention_days": kept.metadata_days}

    async def begin(self) -> None:
        """Give the installation its id, once, and use what was said about retention before the last restart.

        SovereignError when the disk refuses."""
        if not self._kept.organization_id:
            await self._write(replace(self._kept, organization_id=str(uuid.uuid4())))
        content, metadata = self._kept.content_retention_days, self._kept.metadata_retention_days
        if content is not None and metadata is not None:
            self._retention.content_days, self._retention.metadata_days = content, metadata

    async def keep_for(self, *, content_days: int, metadata_days: int) -> None:
        """Keep calls so long from now on, over restarts too. SovereignError when the disk refuses."""
        fresh = replace(self._kept, content_retention_days=content_days, metadata_retention_days=metadata_days)
        await self._write(fresh)
        self._retention.content_days, self._retention.metadata_days = content_days, metadata_days

    async def minutes_this_month(self) -> float:
        """Minutes of conversation since the first of the month, 00:00 UTC (contract §23)."""
        first = self._now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        since = first.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return round(await self._spent.seconds_since(since) / 60, 2)

    async def _write(self, kept: Kept) -> None:
        await self._keep.write(KIND, OWN, kept.fields)
        self._kept = kept
