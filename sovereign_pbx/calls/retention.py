"""What is kept of old calls, and for how long (contract §23): recordings by their age, content and metadata by the
call's, who a campaign's leads were by the campaign's end.

The sweeper works in small batches with pauses four times as long as a batch took, so that the calls of the moment find
the store's thread free.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Protocol

import structlog

from sovereign_pbx.calls.recording_audit import RecordingAudit
from sovereign_pbx.calls.recording_files import recordings_in
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.webhooks.envelope import utc_text

log = structlog.get_logger(__name__)

Kind = Literal["content", "metadata"]

_EVERY_S: Final = 3600.0
_LOOK_S: Final = 30.0  # how soon a changed setting is acted on
_DAY_S: Final = 86_400.0
_BATCH: Final = 50  # takes the store 5 ms; a batch that meets a checkpoint of its log, up to 300
_PAUSE_S: Final = 0.05
_REST: Final = 4


@dataclass(slots=True)
class Retention:
    """How many days content and metadata of a call are kept; 0: for ever. May be changed while the daemon runs."""

    content_days: int = 0
    metadata_days: int = 0

    def keep(self, content_days: int, metadata_days: int) -> None:
        """Keep calls so long from now on."""
        self.content_days, self.metadata_days = content_days, metadata_days

    def days(self, kind: Kind) -> int:
        return self.content_days if kind == "content" else self.metadata_days


class Calls(Protocol):
    """As much of the store as is needed."""

    async def expired(self, kind: Kind, since: str, before: str, limit: int) -> list[tuple[str, str, str | None]]:
        """Calls of that time with something left, oldest first: id, created_at, recording_path."""

    async def strip(self, kind: Kind, call_ids: Sequence[str]) -> None:
        """Take it from these calls."""

    async def ended_campaigns(self, since: str, before: str) -> list[str]:
        """Campaigns that were completed or cancelled in that time."""

    async def known_leads(self, campaign_id: str, after: int, limit: int) -> list[int]:
        """Leads of a campaign, behind this one, that still say who they were; in order."""

    async def strip_leads(self, leads: Sequence[int]) -> None:
        """Have these leads forget who they were."""


class Sweeper:
    """Removes what has been kept long enough. `run` is its life. `recording_days`: [recording] retention_days."""

    def __init__(
        self,
        calls: Calls,
        retention: Retention,
        *,
        recordings: Path | None = None,
        recording_days: int = 0,
        audit: RecordingAudit | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._calls = calls
        self._retention = retention
        self._recordings = recordings
        self._recording_days = recording_days
        self._audit = audit
        self._now = now
        self._done: dict[Kind, str] = {"content": "", "metadata": ""}  # nothing older has anything left
        self._leads_done = ""  # nor any lead of a campaign that ended earlier

    async def run(self) -> None:
        """Sweep at once, every hour, and soon after a setting was changed, until cancelled."""
        while True:
            settings = (self._retention.content_days, self._retention.metadata_days)
            try:
                await self.sweep()
            except SovereignError as exc:  # the disk may be well again in an hour
                log.warning("retention.not_swept", error=str(exc))
            until = time.monotonic() + _EVERY_S
            while time.monotonic() < until:
                await asyncio.sleep(_LOOK_S)
                if settings != (self._retention.content_days, self._retention.metadata_days):
                    break

    async def sweep(self) -> dict[Kind, int]:
        """Remove what is too old now; how many calls were stripped."""
        stripped: dict[Kind, int] = {"content": await self._strip("content"), "metadata": await self._strip("metadata")}
        if any(stripped.values()):
            log.info("calls.stripped", **stripped)
        if leads := await self._strip_leads():
            log.info("leads.stripped", leads=leads)
        await self._sweep_recordings()
        await self._audit_recordings()
        return stripped

    async def _strip(self, kind: Kind) -> int:
        days, count = self._retention.days(kind), 0
        if not days:
            return 0
        before = self._days_ago(days)
        while batch := await self._calls.expired(kind, self._done[kind], before, _BATCH):
            began = time.monotonic()
            if kind == "content":
                await asyncio.to_thread(_remove, [Path(path) for _, _, path in batch if path])
            await self._calls.strip(kind, [call_id for call_id, _, _ in batch])
            count += len(batch)
            self._done[kind] = batch[-1][1]
            await asyncio.sleep(max(_PAUSE_S, _REST * (time.monotonic() - began)))
        self._done[kind] = max(self._done[kind], before)
        return count

    async def _strip_leads(self) -> int:
        count = 0
        if not self._retention.metadata_days:
            return 0
        before = self._days_ago(self._retention.metadata_days)
        for campaign_id in await self._calls.ended_campaigns(self._leads_done, before):
            last = 0
            while batch := await self._calls.known_leads(campaign_id, last, _BATCH):
                began = time.monotonic()
                await self._calls.strip_leads(batch)
                count += len(batch)
                last = batch[-1]
                await asyncio.sleep(max(_PAUSE_S, _REST * (time.monotonic() - began)))
        self._leads_done = max(self._leads_done, before)
        return count

    def _days_ago(self, days: int) -> str:
        return utc_text(datetime.fromtimestamp(self._now() - days * _DAY_S, UTC))

    async def _sweep_recordings(self) -> None:
        """Files of calls that the store knows nothing of are removed by their own age."""
        days = self._days_of_recordings()
        if self._recordings is None or not days:
            return
        removed = await asyncio.to_thread(sweep, self._recordings, self._now() - days * _DAY_S)
        if removed:
            log.info("recordings.removed", recordings=removed, older_than_days=days)

    async def _audit_recordings(self) -> None:
        if self._audit is None:
            return
        days = self._days_of_recordings()
        try:
            await self._audit.audit(self._days_ago(days - 1) if days else "")  # a call may last until the next day
        except OSError as exc:
            log.warning("recordings.not_audited", error=exc.strerror)

    def _days_of_recordings(self) -> int:
        return min((days for days in (self._recording_days, self._retention.content_days) if days), default=0)


def sweep(folder: Path, before: float) -> int:
    """Remove the recordings last written before `before` (Unix seconds); how many. Blocks."""
    old = []
    for recording in _all_in(folder):
        try:
            if recording.stat().st_mtime < before:
                old.append(recording)
        except OSError as exc:
            log.warning("recording.not_removed", path=str(recording), error=exc.strerror)
    return _remove(old)


def _all_in(folder: Path) -> list[Path]:
    try:
        return list(recordings_in(folder))
    except OSError as exc:
        log.warning("recordings.not_listed", path=str(folder), error=exc.strerror)
        return []


def _remove(recordings: Sequence[Path]) -> int:
    removed = 0
    for recording in recordings:
        try:
            recording.unlink()
            removed += 1
        except FileNotFoundError:
            pass
        except OSError as exc:
            log.warning("recording.not_removed", path=str(recording), error=exc.strerror)
    return removed
