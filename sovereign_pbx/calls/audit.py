"""The PBX, the desk and the books against each other, from time to time: nothing is left open that is over.

The PBX's own audit compares it with its lines (`pbx.asterisk.audit`). This one finds calls that the desk has and the
PBX does not, and rows that say of a call that it goes on although nobody has it. What differs must be seen twice: a
call that begins or ends just now differs for a moment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Protocol

import structlog

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store import CallRow

log = structlog.get_logger(__name__)

NO_CHANNEL: Final = "the PBX no longer had this call"
NO_END: Final = "the end of this call was never written"
CONFIRM_S: Final = 2.0


class Present(Protocol):
    """The desk."""

    @property
    def present(self) -> frozenset[str]: ...

    @property
    def under_way(self) -> frozenset[str]: ...

    def lost(self, call_id: str, why: str) -> None: ...


class Truth(Protocol):
    """The PBX."""

    def call_ids(self) -> frozenset[str]: ...

    async def audit(self) -> dict[str, Any]: ...


class Queue(Protocol):
    """How the store is."""

    @property
    def pending(self) -> int: ...


class Rows(Protocol):
    """The store."""

    async def unfinished(self) -> list[CallRow]: ...

    async def health(self) -> Queue: ...


class Audit:
    """`close` ends rows in the books, and gives their number. Raises nothing but cancellation."""

    def __init__(
        self, desk: Present, pbx: Truth, rows: Rows, close: Callable[[Collection[str]], Awaitable[int]]
    ) -> None:
        self._desk = desk
        self._pbx = pbx
        self._rows = rows
        self._close = close
        self.mended = 0

    async def run(self, every_s: float) -> None:
        """Look every `every_s` seconds, for ever; 0: not at all."""
        while every_s:
            await asyncio.sleep(every_s)
            await self.mend()

    async def mend(self) -> None:
        """Look twice; end what is lost both times."""
        calls, rows = await self._twice()
        for call_id in calls:
            log.warning("audit_ends_call", lost_id=call_id, why=NO_CHANNEL)
            self._desk.lost(call_id, NO_CHANNEL)
        self.mended += len(calls)
        if rows:
            log.warning("audit_closes_rows", calls=sorted(rows)[:10], count=len(rows))
            try:
                self.mended += await self._close(rows)
            except SovereignError as exc:  # the next look finds them again
                log.error("audit_failed", error=str(exc))

    async def report(self) -> dict[str, Any]:
        """What PBX, desk and books think, for people; changes nothing.

        {"calls": […], "differences": [{kind, call_id, channel, why}], "asked": bool, "why": str, "mended": int}:
        `asked` is false where the PBX can't be asked.
        """
        (lost, open_rows), found = await asyncio.gather(self._twice(), self._pbx.audit())
        lines = {line["call_id"]: line for line in found["lines"]}
        under_way = self._desk.under_way
        calls = [
            {"call_id": call_id, **_line(lines.get(call_id)), "under_way": call_id in under_way}
            for call_id in sorted(self._desk.present | set(lines))
        ]
        own = [*_told("call", lost, NO_CHANNEL), *_told("row", open_rows, NO_END)]
        return {
            "calls": calls,
            "differences": [*found["differences"], *own],
            "asked": found["asked"],
            "why": found.get("why", ""),
            "mended": self.mended + found["mended"],
        }

    # Private

    async def _twice(self) -> tuple[frozenset[str], frozenset[str]]:
        """(calls without a channel, rows without a call), as they were now and a moment later."""
        calls, rows = await self._once()
        if not calls and not rows:
            return calls, rows
        await asyncio.sleep(CONFIRM_S)
        calls_again, rows_again = await self._once()
        return calls & calls_again, rows & rows_again

    async def _once(self) -> tuple[frozenset[str], frozenset[str]]:
        return self._desk.under_way - self._pbx.call_ids(), await self._open_rows()

    async def _open_rows(self) -> frozenset[str]:
        """None while anything waits to be written: the end of a call may be among it."""
        try:
            rows = {row.id for row in await self._rows.unfinished()}
            pending = (await self._rows.health()).pending
        except SovereignError as exc:
            log.warning("audit_without_rows", error=str(exc))
            return frozenset()
        return frozenset(rows - self._desk.present) if not pending else frozenset()


def _line(line: dict[str, Any] | None) -> dict[str, Any]:
    known = line or {}
    return {"channel": known.get("channel", ""), "phase": known.get("phase", "")}


def _told(kind: str, ids: Collection[str], why: str) -> list[dict[str, Any]]:
    return [{"kind": kind, "call_id": call_id, "channel": "", "why": why} for call_id in sorted(ids)]
