"""One campaign as a page for a person, or as JSON for a program."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sovereign_pbx.calls.campaign_fields import WEEKDAYS
from sovereign_pbx.calls.campaign_window import Schedule, window_in_all
from sovereign_pbx.commands.call_page import local_time, plain
from sovereign_pbx.store import campaign_queries
from sovereign_pbx.store.campaign_rows import CampaignRow, LeadCounts, LeadRow

STYLES = {
    "draft": "dim",
    "scheduled": "green",
    "paused": "yellow",
    "cancelled": "red",
    "completed": "bold",
    "pending": "dim",
    "calling": "cyan",
    "failed": "red",
    "skipped": "yellow",
}
_BAR = 50
_ZONES = 10


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """What is shown of a campaign: who is being called, and what became of the last ones."""

    row: CampaignRow
    counts: LeadCounts
    outcomes: Mapping[tuple[str, str], int]
    calling: Sequence[LeadRow]
    latest: Sequence[LeadRow]
    waiting: Sequence[tuple[str, int]] = ()  # by their zones

    @classmethod
    def read(cls, connection: sqlite3.Connection, campaign_id: str, latest: int = 10) -> "CampaignPage | None":
        """None if there is no such campaign (any more)."""
        found = campaign_queries.campaign(connection, campaign_id)
        if found is None:
            return None
        calling = [lead for lead in campaign_queries.calling(connection) if lead.campaign_id == campaign_id]
        settled = campaign_queries.last_settled(connection, campaign_id, latest)
        waiting = campaign_queries.waiting(connection, campaign_id, _ZONES)
        return cls(*found, campaign_queries.outcomes(connection, campaign_id), calling, settled, waiting)

    @property
    def over(self) -> bool:
        """Nothing more will happen."""
        return self.row.status in ("completed", "cancelled") and not self.counts.calling

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        outcomes = [
            {"status": status, "outcome": outcome, "leads": count}
            for (status, outcome), count in self.outcomes.items()
            if outcome
        ]
        counts = {**asdict(self.counts), "total": self.counts.total}
        return {"campaign": asdict(self.row), "leads": counts, "outcomes": outcomes}

    def render(self) -> RenderableType:
        """For a terminal."""
        parts: list[RenderableType] = [_facts(self.row), Text(""), self._progress(), Text("")]
        parts.append(self._outcomes())
        if any(zones for zones, _ in self.waiting) and self.row.status in ("draft", "scheduled", "paused"):
            parts += [_title("Waiting"), self._waiting()]
        if self.calling:
            parts += [_title("Being called"), _leads(self.calling)]
        if self.latest:
            parts += [_title("Last outcomes"), _leads(self.latest)]
        return Group(*parts)

    def line(self) -> str:
        """The same in one line, for what is no terminal."""
        counts = self.counts
        return (
            f"{self.row.status}: {settled(counts)} of {counts.total} leads settled, {counts.calling} being called,"
            f" {counts.completed} completed, {counts.failed} failed, {counts.skipped} skipped"
        )

    def _progress(self) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(1, self.counts.total), completed=settled(self.counts), width=_BAR)
        share = 100 * settled(self.counts) / max(1, self.counts.total)
        row.add_row(bar, Text(f"{share:.0f} %   {settled(self.counts)} of {self.counts.total} leads"))
        return row

    def _outcomes(self) -> RenderableType:
        table = _table("state", "leads", "how")
        for state in ("pending", "calling", "completed", "failed", "skipped"):
            number = getattr(self.counts, state)
            ways = [f"{name} {count}" for (status, name), count in self.outcomes.items() if status == state and name]
            if number:
                table.add_row(Text(state, style=STYLES.get(state, "")), str(number), plain(", ".join(ways)))
        return table

    def _waiting(self) -> RenderableType:
        """When those may be called who wait, by where they may be."""
        table, now = _table("leads", "window", "where"), datetime.now(UTC)
        for zones, count in self.waiting:
            table.add_row(str(count), when(self.row, now, zones), plain(zones or self.row.timezone))
        return table


def settled(counts: LeadCounts) -> int:
    """How many leads have come to their end."""
    return counts.completed + counts.failed + counts.skipped


def when(row: CampaignRow, now: datetime, zones: str = "") -> str:
    """Whether its window is open now for leads of these `zones` (the campaign's own where there are none), and until
    when, on the clock of the campaign."""
    start, end = time.fromisoformat(row.schedule_start_time), time.fromisoformat(row.schedule_end_time)
    try:
        own, *there = (ZoneInfo(name) for name in (row.timezone, *zones.split()))
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        return f"a time zone is not known here: {exc}"
    found = window_in_all([Schedule(start, end, zone, frozenset(row.weekdays)) for zone in there or [own]], now)
    if found.changes_at is None:
        return "always open" if found.is_open else "never open"
    until = found.changes_at.astimezone(own).strftime("%a %H:%M")
    return f"open until {until}" if found.is_open else f"closed, opens {until}"


def _facts(row: CampaignRow) -> Table:
    table = _table()
    table.show_header = False
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    days = "" if len(row.weekdays) == 7 else " " + ", ".join(WEEKDAYS[day] for day in row.weekdays)
    attempts = "1 attempt" if row.max_attempts == 1 else f"{row.max_attempts} attempts, {row.retry_minutes} min apart"
    shown = {
        "campaign": row.id,
        "name": row.name,
        "status": row.status,
        "because": row.status_reason,
        "window": f"{row.schedule_start_time} to {row.schedule_end_time} {row.timezone}{days}",
        "now": when(row, datetime.now(UTC)),
        "pace": f"{row.calls_at_once} at once, {row.calls_per_minute} a minute, {attempts}",
        "retries": "; ".join(_retry(reason, own) for reason, own in row.retries.items()),
        "messages": "a mailbox with the message is called again" if row.message_left == "retry" else "",
        "assistant": row.assistant_id,
        "number": row.number_id,
        "made": local_time(row.created_at, "%Y-%m-%d %H:%M:%S"),
    }
    for name, value in shown.items():
        if value:
            style = STYLES.get(str(value), "") if name == "status" else ""
            text = plain(value)
            text.stylize(style)
            table.add_row(name, text)
    return table


def _retry(reason: str, own: Mapping[str, int]) -> str:
    after = f" after {own['minutes']} min" if "minutes" in own else ""
    return f"{reason}{after}" + (f", {own['attempts']} attempts" if "attempts" in own else "")


def _leads(leads: Sequence[LeadRow]) -> Table:
    table = _table("at", "number", "state", "how", "attempts", "call")
    for lead in leads:
        table.add_row(
            local_time(lead.last_attempt_at),
            plain(lead.phone_number),
            Text(lead.status, style=STYLES.get(lead.status, "")),
            plain(": ".join(part for part in (lead.outcome, lead.error) if part)),
            str(lead.attempts),
            plain((lead.call_id or "")[:8]),
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")
