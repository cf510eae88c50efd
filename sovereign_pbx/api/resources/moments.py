"""Days and moments in queries (contract §3): `2026-11-20`, or `2026-11-20T07:32:00Z`."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING, got

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?([Zz]|[+ -][0-9]{2}:?[0-9]{2})?"
)
_LONGEST: Final = 48


@dataclass(frozen=True, slots=True)
class Moment:
    """A day or a date-time; comes back as the store writes times (UTC, milliseconds), so that texts compare as times.

    A plain day is its first moment, or with `end` its last; without an offset it is UTC.
    """

    end: bool = False

    def check(self, value: Any, path: Path, report: Report) -> Any:
        found = self._read(value) if isinstance(value, str) and len(value) <= _LONGEST else ""
        if found:
            return found
        report.error(path, f"must be {self.words()}{got(value)}")
        return NOTHING

    def _read(self, value: str) -> str:
        try:
            if _DAY.fullmatch(value):
                day = date.fromisoformat(value).isoformat()
                return f"{day}T23:59:59.999Z" if self.end else f"{day}T00:00:00.000Z"
            if not _MOMENT.fullmatch(value):
                return ""
            # A "+" that a client did not escape arrives as a space.
            moment = datetime.fromisoformat(value[:11] + value[11:].replace(" ", "+"))
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        except (ValueError, OverflowError):  # the 31st of June; an offset that leads out of the calendar
            return ""

    def words(self) -> str:
        return "a date (2026-11-20) or a date-time (2026-11-20T07:32:00Z)"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
