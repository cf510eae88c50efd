"""`GET /audit`: what the PBX, the daemon and the call records think of the calls there are, and where they differ."""

from typing import Any, Final, Protocol

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.schema import COUNT, STRING, object_schema

_CALL: Final = object_schema(
    {"call_id": STRING, "channel": STRING, "phase": STRING, "under_way": {"type": "boolean"}},
)
_DIFFERENCE: Final = object_schema(
    {
        "kind": {"enum": ["gone", "stray", "ringing", "call", "row"]},
        "call_id": STRING,
        "channel": STRING,
        "why": STRING,
    }
)
ANSWER: Final = object_schema(
    {
        "calls": {"type": "array", "items": _CALL},
        "differences": {"type": "array", "items": _DIFFERENCE},
        "asked": {"type": "boolean", "description": "Whether the PBX could be asked."},
        "why": {"type": "string", "description": "Why it could not."},
        "mended": COUNT,
    }
)


class Audit(Protocol):
    """Whoever compares them."""

    async def report(self) -> dict[str, Any]:
        """As `ANSWER`; changes nothing."""


def operations(audit: Audit) -> list[Operation]:
    """The one."""

    async def report(asked: Asked) -> dict[str, Any]:
        return await audit.report()

    return [
        Operation(
            method="GET",
            path="/audit",
            name="getAudit",
            summary="Where the PBX, the daemon and the call records differ about the calls there are.",
            description="What differs is looked at twice, so that an answer may take some seconds. Nothing is changed.",
            tag="about",
            handler=report,
            answer=ANSWER,
        )
    ]
