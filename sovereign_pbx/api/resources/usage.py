"""`GET /usage`: real seconds, tokens and characters, with what they cost where there are prices (contract §23)."""

from typing import Any, Final, Protocol

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.calls import DATES, PAGING
from sovereign_pbx.api.schema import COUNT, PAGINATION, STRING, TEXT, TIME, object_schema
from sovereign_pbx.assistants.table import Table

QUERY: Final = Table(*PAGING, *DATES)

_AMOUNT: Final = {"type": "number", "minimum": 0}
_COUNTED: Final = {
    "input_tokens": COUNT,
    "cached_tokens": COUNT,
    "output_tokens": COUNT,
    "characters": COUNT,
    "stt_seconds": _AMOUNT,
}
ENTRY: Final = object_schema(
    {
        "id": STRING,
        "duration_sec": COUNT,
        "call_type": {"enum": ["phone", "web"]},
        "phone_number": TEXT,
        "agent_name": TEXT,
        "business_name": TEXT,
        "created_at": TIME,
        **_COUNTED,
        "cost": {"type": ["number", "null"], "minimum": 0},
        "currency": TEXT,
    }
)
SUMMARY: Final = object_schema(
    {
        "total_calls": COUNT,
        "total_duration_seconds": COUNT,
        "total_duration_minutes": _AMOUNT,
        "total_seconds": COUNT,
        "total_minutes": _AMOUNT,
        "total_cost": {"type": ["number", "null"], "minimum": 0},
        "cost": {"type": "object", "additionalProperties": _AMOUNT, "description": "By currency."},
        **_COUNTED,
    }
)


class Usage(Protocol):
    """Whoever knows what was used."""

    async def page(
        self, *, since: str | None, until: str | None, limit: int, offset: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """(the log of a page, the summary of all pages)."""


def operations(usage: Usage) -> list[Operation]:
    """The log."""

    async def shown(asked: Asked) -> dict[str, Any]:
        limit, offset = asked.query["limit"], asked.query["offset"]
        since, until = asked.query.get("start_date"), asked.query.get("end_date")
        logs, summary = await usage.page(since=since, until=until, limit=limit, offset=offset)
        pagination = {"total": summary["total_calls"], "limit": limit, "offset": offset}
        return {"logs": logs, "pagination": pagination, "summary": summary}

    answer = {"logs": {"type": "array", "items": ENTRY}, "pagination": PAGINATION, "summary": SUMMARY}
    return [
        Operation(
            method="GET",
            path="/usage",
            name="listUsage",
            summary="What calls used, the newest first, with the sums of the whole time asked for.",
            tag="usage",
            handler=shown,
            query=QUERY,
            answer=object_schema(answer),
        )
    ]
