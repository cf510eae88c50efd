"""What a client may write into a campaign (contract §20, and ours beside it): the shapes of single values."""

import re
from dataclasses import MISSING, fields
from datetime import time
from typing import Any, Final

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING, Choice, Text, Whole, got
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.campaign_leads import LEADS
from sovereign_pbx.calls.campaign_retries import Retries
from sovereign_pbx.calls.campaign_zone import ZONE
from sovereign_pbx.store.campaign_rows import CampaignRow

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
STATUSES: Final = ("draft", "scheduled", "paused", "cancelled", "completed")

_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"


class TimeOfDay:
    """HH:MM or HH:MM:SS; comes back as HH:MM:SS."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, str) and re.fullmatch(_TIME, value, re.ASCII):
            return time.fromisoformat(value).isoformat()
        report.error(path, f"must be {self.words()}{got(value)}")
        return NOTHING

    def words(self) -> str:
        return "a time of the day such as 09:00:00 (24 hours, with or without seconds)"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_TIME}$"}


class Weekdays:
    """Days by the first three letters of their English names; come back as numbers, Monday 0."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, list | tuple) and value and all(day in WEEKDAYS for day in value):
            return tuple(sorted({WEEKDAYS.index(day) for day in value}))
        report.error(path, f"must be {self.words()}{got(value)}")
        return NOTHING

    def words(self) -> str:
        return f"a list of one or more of {', '.join(WEEKDAYS)}"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "array", "minItems": 1, "items": {"enum": list(WEEKDAYS)}}


_USUAL: Final = CampaignRow(
    id="",
    name="",
    assistant_id="",
    schedule_start_time="",
    schedule_end_time="",
    timezone="",
    created_at="",
    updated_at="",
)

_KEYS: Final = (
    Key("name", Text(1, 200), "Name that people see.", required=True, example="Reminders"),
    Key(
        "agent_id",
        Text(1, 200),
        "The assistant that calls: its id or name.",
        required=True,
        aliases=("assistant_id", "assistantId"),
    ),
    Key(
        "system_message_template",
        Text(0, 50_000),
        "Added to the assistant's instructions in each call, `{{name}}` replaced by the lead's variable of that name.",
        example="Call {{name}} about {{date}}",
    ),
    Key(
        "schedule_start_time",
        TimeOfDay(),
        "Calls begin from this time of the day on.",
        required=True,
        example="09:00:00",
    ),
    Key(
        "schedule_end_time",
        TimeOfDay(),
        "No call begins from this time on; not later than the start: of the next day.",
        required=True,
        example="17:00:00",
    ),
    Key(
        "timezone",
        ZONE,
        "IANA time zone of both times, for leads of whose own nothing is known.",
        required=True,
        example="Europe/Amsterdam",
    ),
    Key("number_id", Text(1, 200), "Number to call from; left out: an active one with a trunk.", example="main-line"),
    Key("weekdays", Weekdays(), "Days on which calls are placed.", list(WEEKDAYS), example=["mon", "tue"]),
    Key("max_attempts", Whole(1, 10), "How often a lead that is not reached is called in all.", _USUAL.max_attempts),
    Key("retry_minutes", Whole(1, 10_080), "Minutes between two attempts.", _USUAL.retry_minutes),
    Key(
        "retries",
        Retries(),
        "Other minutes and fewer attempts after some outcomes: busy, no_answer, voicemail, screened, error.",
        {},
        example={"busy": {"minutes": 10, "attempts": 3}},
    ),
    Key(
        "message_left",
        Choice(("completed", "retry")),
        "What a lead is on whose mailbox the message was left: completed, or to be called again.",
        _USUAL.message_left,
    ),
    Key("calls_at_once", Whole(1, 1000), "Calls of this campaign at the same time.", _USUAL.calls_at_once),
    Key(
        "calls_per_minute",
        Whole(1, 600),
        "Calls of this campaign begun within any 60 seconds.",
        _USUAL.calls_per_minute,
    ),
)

NEW: Final = Table(*_KEYS, Key("leads", LEADS, "Whom to call."))

CHANGED: Final = Table(
    *_KEYS, Key("status", Choice(STATUSES), "scheduled starts or resumes it; paused and cancelled stop it.")
)

CLEARED: Final = {
    one.name: one.default for one in fields(CampaignRow) if one.name in NEW.keys and one.default is not MISSING
} | {"retries": {}}
"""What null makes of a field (PATCH)."""
