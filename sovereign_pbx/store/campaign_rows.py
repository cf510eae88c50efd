"""Campaigns and leads as they are stored (contract §20), and between them and their columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from sovereign_pbx.store.rows import clean, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRow:
    """A campaign. Times are of the day in `timezone`, HH:MM:SS; `weekdays` are of the window's beginning, 0 is Monday.

    `status`: draft | scheduled | paused | cancelled | completed. `status_reason`: why the daemon itself paused it.
    `retries`: by the outcome of an attempt, `minutes` to the next one and how many `attempts` may end so; where it is
    silent `retry_minutes` and `max_attempts` count. `message_left`: is a mailbox that has the message `completed`, or
    to `retry`?
    """

    id: str
    name: str
    assistant_id: str
    number_id: str | None = None
    status: str = "draft"
    status_reason: str | None = None
    system_message_template: str | None = None
    schedule_start_time: str
    schedule_end_time: str
    timezone: str
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    max_attempts: int = 1
    retry_minutes: int = 30
    calls_at_once: int = 1
    calls_per_minute: int = 10
    retries: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    message_left: str = "completed"
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadRow:
    """Somebody to be called. `status`: pending | calling | completed | failed | skipped.

    `outcome`: how the last attempt ended, in a word, `error` in a sentence where something went wrong; `call_id`: its
    call; `due_at`: no other one before then, "" before the first. `timezone`: as it was given; `zones`: all in which it
    must be within the window, separated by spaces, "" for the campaign's.
    """

    id: str
    campaign_id: str
    phone_number: str
    variables: Mapping[str, str] = field(default_factory=dict)
    status: str = "pending"
    outcome: str | None = None
    error: str | None = None
    call_id: str | None = None
    attempts: int = 0
    last_attempt_at: str | None = None
    due_at: str = ""
    timezone: str | None = None
    zones: str = ""
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadCounts:
    """How many leads of a campaign are in which state."""

    pending: int = 0
    calling: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.calling + self.completed + self.failed + self.skipped


CAMPAIGN_COLUMNS = tuple(one.name for one in fields(CampaignRow))
LEAD_COLUMNS = tuple(one.name for one in fields(LeadRow))


def campaign_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Column values of CampaignRow fields."""
    return {name: _column(value) for name, value in changes.items()}


def campaign_from(row: tuple[Any, ...]) -> CampaignRow:
    """From a row of CAMPAIGN_COLUMNS."""
    values = dict(zip(CAMPAIGN_COLUMNS, row, strict=True))
    values["weekdays"] = tuple(msgspec.json.decode(values["weekdays"]))
    values["retries"] = msgspec.json.decode(values["retries"])
    return CampaignRow(**values)


def lead_from(row: tuple[Any, ...]) -> LeadRow:
    """From a row of LEAD_COLUMNS."""
    values = dict(zip(LEAD_COLUMNS, row, strict=True))
    values["variables"] = msgspec.json.decode(values["variables"])
    return LeadRow(**values)


def _column(value: Any) -> Any:
    if isinstance(value, Mapping | tuple):
        return to_json(value)
    return clean(value) if isinstance(value, str) else value
