"""Whether somebody who was not reached is called again, and when. Pure."""

from typing import Any, Final

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING, Whole
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.store.campaign_rows import CampaignRow

REASONS: Final = ("busy", "no_answer", "voicemail", "screened", "error")
"""Outcomes after which somebody may be called again."""

MINUTES: Final = Whole(1, 10_080)
ATTEMPTS: Final = Whole(1, 10)

_ONE: Final = Table(
    Key("minutes", MINUTES, "Minutes to the next attempt; left out: `retry_minutes`.", example=10),
    Key("attempts", ATTEMPTS, "No other one once so many have ended so; left out: `max_attempts` alone.", example=3),
)
_ALL: Final = Table(*(Key(reason, _ONE, f"After an attempt that ended in {reason}.") for reason in REASONS))


class Retries:
    """`{"busy": {"minutes": 10, "attempts": 3}}`, for any of REASONS."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        checked = _ALL.check(value, path, report)
        if checked is NOTHING:
            return NOTHING
        for reason in checked.keys() - set(REASONS):
            report.error((*path, reason), f"is no outcome after which somebody is called again: {self.words()}")
        return {reason: one for reason, one in checked.items() if one}

    def words(self) -> str:
        return f"a table of any of {', '.join(REASONS)}"

    def json_schema(self) -> dict[str, Any]:
        return _ALL.json_schema()


def retry_minutes(row: CampaignRow, reason: str, attempts: int, ended_so: int) -> int | None:
    """Minutes to the next attempt; None: there is none. `attempts`: how many there were in all, `ended_so` of them for
    this reason, the last one included."""
    own = row.retries.get(reason, {})
    if attempts >= row.max_attempts or ended_so >= own.get("attempts", row.max_attempts):
        return None
    return own.get("minutes", row.retry_minutes)
