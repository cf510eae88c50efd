"""`/calls`: what was called, said and found out (contract §5), and the recordings."""

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import structlog
from aiohttp import web

from sovereign_pbx.api.errors import ApiError, not_found
from sovereign_pbx.api.file_answer import send_file
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.moments import Moment
from sovereign_pbx.api.schema import (
    MAYBE_OBJECT,
    MAYBE_TIME,
    OBJECT,
    PAGINATION,
    STRING,
    SUCCESS,
    TEXT,
    TIME,
    WHOLE,
    object_schema,
)
from sovereign_pbx.assistants.shape import Choice, Text, Whole
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.archive import Archive, CallFilter
from sovereign_pbx.core.values import TransferOutcome

log = structlog.get_logger(__name__)

MOST_A_PAGE: Final = 100
"""More is refused rather than cut: who steps by more than he gets would skip calls without noticing."""

_ID: Final = Text(1, 200)

PAGING: Final = (
    Key("limit", Whole(1, MOST_A_PAGE), "How many at most.", 50),
    Key("offset", Whole(0, 1_000_000_000), "How many of the newest to leave out.", 0),
)
DATES: Final = (
    Key("start_date", Moment(), "Those made from then on: a date, or a date-time (UTC without an offset)."),
    Key("end_date", Moment(end=True), "Those made until then; a plain date is the whole day."),
)

QUERY: Final = Table(
    *PAGING,
    *DATES,
    Key("status", Choice(("connecting", "in-progress", "ended", "failed")), "Only calls in this state."),
    Key("direction", Choice(("inbound", "outbound", "web")), "Only calls of this direction."),
    Key("assistant_id", _ID, "Only calls of this assistant."),
    Key("agent_id", _ID, "Older name of assistant_id."),
    Key("number_id", _ID, "Only calls of this number."),
    Key("campaign_id", _ID, "Only calls of this campaign."),
)

TRANSFER: Final = object_schema(
    {
        "destination": STRING,
        "mode": {"enum": ["blind", "attended"]},
        "started_at": TIME,
        "outcome": {"enum": [*get_args(TransferOutcome), None]},
        "seconds": {"type": ["number", "null"]},
        "why": STRING,
    }
)

NUMBER_OR_NULL: Final = {"type": ["number", "null"]}
MEDIA_QUALITY: Final = {
    **object_schema(
        {
            "link": STRING,
            "codec": STRING,
            "mos": {"type": "number"},
            "loss_percent": NUMBER_OR_NULL,
            "jitter_ms": NUMBER_OR_NULL,
            "delay_ms": NUMBER_OR_NULL,
            "concealed_ms": NUMBER_OR_NULL,
            "far_loss_percent": NUMBER_OR_NULL,
            "far_jitter_ms": NUMBER_OR_NULL,
            "round_trip_ms": NUMBER_OR_NULL,
            "links": {"type": "integer"},
        }
    ),
    "type": ["object", "null"],
    "description": "What the network made of the sound, of the call's worst link; null where that is not known.",
}

CALL: Final = object_schema(
    {
        "id": STRING,
        "caller_phone": TEXT,
        "assistant_phone": TEXT,
        "status": {"enum": ["connecting", "in-progress", "ended", "failed"]},
        "direction": {"enum": ["inbound", "outbound", "web", None]},
        "end_reason": TEXT,
        "error": TEXT,
        "started_at": MAYBE_TIME,
        "ended_at": MAYBE_TIME,
        "duration_seconds": WHOLE,
        "summary": TEXT,
        "analysis_result": MAYBE_OBJECT,
        "messages": {
            "type": "array",
            "items": object_schema({"role": {"enum": ["system", "user", "assistant"]}, "content": STRING}),
        },
        "room_name": TEXT,
        "recording_url": TEXT,
        "recording": MAYBE_OBJECT,
        "transfers": {"type": "array", "items": TRANSFER},
        "media_quality": MEDIA_QUALITY,
        "agent_id": TEXT,
        "assistant_id": TEXT,
        "number_id": TEXT,
        "agent_name": TEXT,
        "business_name": TEXT,
        "phone_number": TEXT,
        "metadata": OBJECT,
        "created_at": TIME,
        "updated_at": TIME,
    }
)


LinkCheck = Callable[[str, str, str], bool]
"""Is this a good link to the call's recording: call id, expiry, signature?"""

_SWEPT: Final = (
    "This recording was removed: when its days were over ([recording] retention_days, or the organization's), or by"
    " hand."
)


def operations(archive: Archive, is_good_link: LinkCheck) -> list[Operation]:
    """List calls, get one, get its recording."""

    async def many(asked: Asked) -> dict[str, Any]:
        limit, offset = asked.query["limit"], asked.query["offset"]
        calls, total = await archive.page(_wanted(asked.query), limit, offset)
        return {"calls": calls, "pagination": {"total": total, "limit": limit, "offset": offset}}

    async def one(asked: Asked) -> dict[str, Any]:
        call = await archive.call(asked.ids["id"])
        if call is None:
            raise not_found("call", asked.ids["id"])
        return call

    return [
        Operation(
            method="GET",
            path="/calls",
            name="listCalls",
            summary="List calls, the newest first, with what was said in them.",
            tag="calls",
            handler=many,
            query=QUERY,
            answer=object_schema({"calls": {"type": "array", "items": CALL}, "pagination": PAGINATION}),
        ),
        Operation(
            method="GET",
            path="/calls/{id}",
            name="getCall",
            summary="Get one call.",
            tag="calls",
            handler=one,
            answer=CALL,
        ),
        *_recording(archive, is_good_link),
    ]


def _recording(archive: Archive, is_good_link: LinkCheck) -> list[Operation]:
    def lets_in(request: web.Request) -> bool:
        query = request.query
        return is_good_link(request.match_info["id"], query.get("expires", ""), query.get("signature", ""))

    async def recording(asked: Asked) -> web.StreamResponse:
        found = await archive.recording(asked.ids["id"])
        if found is None:
            raise not_found("recording of a call", asked.ids["id"])
        if found.path is None:
            raise ApiError(410, "recording_removed", _SWEPT)
        try:
            return await send_file(asked.request, found.path, media_type=found.media_type, etag=found.sha256)
        except FileNotFoundError as exc:
            raise ApiError(410, "recording_removed", _SWEPT) from exc
        except OSError as exc:
            log.error("recording.unreadable", path=str(found.path), error=exc.strerror)
            raise ApiError(500, "recording_unreadable", "The recording can't be read; the log says why.") from exc

    async def remove(asked: Asked) -> dict[str, Any]:
        try:
            removed = await archive.remove_recording(asked.ids["id"])
        except OSError as exc:
            log.error("recording.not_removed", call_id=asked.ids["id"], error=exc.strerror)
            raise ApiError(500, "recording_not_removed", f"It could not be removed: {exc.strerror}.") from exc
        if not removed:
            raise not_found("recording of a call", asked.ids["id"])
        return {"success": True}

    return [
        Operation(
            method="GET",
            path="/calls/{id}/recording",
            name="getCallRecording",
            summary="The recording: WAV, stereo, the caller left and the assistant right; or what it was made into.",
            description="For keys that may read, and without a key by the link of `recording_url`. Ranges are served;"
            " the ETag is the SHA-256. An encrypted one comes as application/vnd.age.",
            tag="calls",
            handler=recording,
            lets_in=lets_in,
            head=True,
            errors=(410,),
        ),
        Operation(
            method="DELETE",
            path="/calls/{id}/recording",
            name="deleteCallRecording",
            summary="Remove the recording; the call stays.",
            tag="calls",
            handler=remove,
            scope="admin",
            answer=SUCCESS,
        ),
    ]


def _wanted(query: Mapping[str, Any]) -> CallFilter:
    return CallFilter(
        status=query.get("status"),
        direction=query.get("direction"),
        assistant_id=query.get("assistant_id", query.get("agent_id")),
        number_id=query.get("number_id"),
        campaign_id=query.get("campaign_id"),
        since=query.get("start_date"),
        until=query.get("end_date"),
    )
