"""Leads as clients send them: each checked, and every fault of all of them told with its place in the list.

Done in a thread: ten thousand leads would hold the event loop for longer than a frame.
"""

import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.assistants.problem import InvalidSettings, Path, Problem, Report
from sovereign_pbx.assistants.shape import NOTHING, Shape, Text, got
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.campaign_zone import ZoneName
from sovereign_pbx.calls.number_zones import no_zones
from sovereign_pbx.store.campaign_rows import LeadRow

ZonesOf = Callable[[str], str]

MOST_LEADS: Final = 10_000
"""In one request; a campaign may have any number."""

MOST_VARIABLES: Final = 50

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_NAME: Final = re.compile(r"[^{}\x00-\x1f\x7f]{1,64}")
_VALUE: Final = Text(0, 2000)


class PhoneNumber:
    """A number of the public network in international form (E.164), however it is punctuated."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        number = normal(value) if isinstance(value, str) else ""
        if _E164.fullmatch(number):
            return number
        report.error(path, f"must be {self.words()}{got(value)}", "write it like +31612345678")
        return NOTHING

    def words(self) -> str:
        return "a telephone number in international form"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "E.164, such as +31612345678."}


class Variables:
    """Texts by name. Numbers are kept as their text."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, Mapping) or len(value) > MOST_VARIABLES:
            report.error(path, f"must be {self.words()}")
            return NOTHING
        checked: dict[str, str] = {}
        for name, item in value.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                report.error(path, "has a name that is empty, too long, or holds braces or control characters")
                continue
            text = str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item
            result = _VALUE.check(text, (*path, name), report)
            if result is not NOTHING:
                checked[name] = result
        return checked

    def words(self) -> str:
        return f"an object of at most {MOST_VARIABLES} texts"

    def json_schema(self) -> dict[str, Any]:
        value = {"anyOf": [_VALUE.json_schema(), {"type": "number"}]}
        return {"type": "object", "maxProperties": MOST_VARIABLES, "additionalProperties": value}


LEAD: Final = Table(
    Key("phone_number", PhoneNumber(), "Whom to call (E.164).", required=True, example="+31612345678"),
    Key("variables", Variables(), "What `{{…}}` in the prompt stands for.", example={"name": "Jan"}),
    Key(
        "timezone",
        ZoneName(),
        "IANA time zone the lead is in; left out: told by the number, else the campaign's.",
        example="Europe/London",
    ),
    Key("name", Text(0, 200), "Older clients: the variable `name`."),
    open=True,
)


class Leads:
    """A list of leads. Only its length is checked here, the rest by `read_leads`, away from the event loop."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, list | tuple) and len(value) <= MOST_LEADS:
            return value
        size = f", not {len(value)}; send them in parts" if isinstance(value, list | tuple) else got(value)
        report.error(path, f"must be {self.words()}{size}")
        return NOTHING

    def words(self) -> str:
        return f"a list of at most {MOST_LEADS} leads"

    def json_schema(self) -> dict[str, Any]:
        item = LEAD.json_schema() | {"additionalProperties": True}
        return {"type": "array", "maxItems": MOST_LEADS, "items": item}


LEADS: Final[Shape] = Leads()


def read_leads(
    campaign_id: str,
    given: Sequence[Any],
    at: str,
    *,
    where: Path | None = ("leads",),
    already: Sequence[Problem] = (),
    zones_of: ZonesOf = no_zones,
) -> list[LeadRow]:
    """Rows of what was given, in that order. InvalidSettings with every fault of every lead, after those that were
    found `already`; then none is taken. `where` is the list's place; None for a lead that is the body itself.
    `zones_of` tells a number's time zones."""
    rows: list[LeadRow] = []
    problems = list(already)
    for index, one in enumerate(given):
        report = Report(entries=4 * MOST_VARIABLES)
        checked = LEAD.check(one, () if where is None else (*where, index), report)
        problems += report.errors
        if not report.errors:
            rows.append(lead_row(campaign_id, checked, at, zones_of))
    if problems:
        raise InvalidSettings("not everything can be taken", problems=tuple(problems))
    return rows


def without_twins(rows: Iterable[LeadRow], there: Collection[str] = ()) -> tuple[list[LeadRow], list[str]]:
    """One lead for each number, the first one, that is not `there` already; and the numbers of those left out."""
    seen, kept, twins = set(there), [], []
    for row in rows:
        if row.phone_number in seen:
            twins.append(row.phone_number)
        else:
            seen.add(row.phone_number)
            kept.append(row)
    return kept, twins


def lead_row(campaign_id: str, checked: Mapping[str, Any], at: str, zones_of: ZonesOf) -> LeadRow:
    """A new lead of what LEAD has checked."""
    timezone = checked.get("timezone")
    older = {"name": checked["name"]} if checked.get("name") else {}
    return LeadRow(
        id=str(uuid.uuid4()),
        campaign_id=campaign_id,
        phone_number=checked["phone_number"],
        variables={**older, **checked.get("variables", {})},
        timezone=timezone,
        zones=timezone or zones_of(checked["phone_number"]),
        created_at=at,
    )
