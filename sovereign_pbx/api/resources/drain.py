"""`/drain`: take no more calls while the present ones go on, and take them again."""

from typing import Any, Final, Protocol

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.schema import COUNT, FLAG, object_schema
from sovereign_pbx.assistants.shape import Flag
from sovereign_pbx.assistants.table import Key, Table

BODY: Final = Table(
    Key("now", Flag(), "Give the present calls to the dialplan's fallback instead of waiting for their ends.", False)
)
STATE: Final = object_schema(
    {
        "draining": FLAG,
        "calls": {**COUNT, "description": "Calls that go on."},
        "oldest_seconds": {"type": "number", "minimum": 0, "description": "How long the oldest of them has lasted."},
    }
)
_KEPT: Final = "The daemon goes on running, and takes no calls until told otherwise or started anew."


class Draining(Protocol):
    """Whoever lets calls in."""

    def state(self) -> dict[str, Any]:
        """As `STATE`."""

    def begin(self, *, now: bool) -> None:
        """Raises Refused `shutting_down`."""

    def cancel(self) -> None:
        """Raises Refused `shutting_down`."""


def operations(draining: Draining) -> list[Operation]:
    """See it, begin it, end it."""

    async def shown(asked: Asked) -> dict[str, Any]:
        return draining.state()

    async def begun(asked: Asked) -> dict[str, Any]:
        draining.begin(now=asked.body.get("now", False))
        return draining.state()

    async def ended(asked: Asked) -> dict[str, Any]:
        draining.cancel()
        return draining.state()

    return [
        Operation(
            method="GET",
            path="/drain",
            name="getDrain",
            summary="Whether calls are taken, and how many go on.",
            tag="about",
            handler=shown,
            answer=STATE,
        ),
        Operation(
            method="POST",
            path="/drain",
            name="beginDrain",
            summary="Take no more calls; new ones go to the dialplan's fallback.",
            description=_KEPT,
            tag="about",
            handler=begun,
            scope="admin",
            body=BODY,
            answer=STATE,
            errors=(503,),
        ),
        Operation(
            method="DELETE",
            path="/drain",
            name="endDrain",
            summary="Take calls again.",
            tag="about",
            handler=ended,
            scope="admin",
            answer=STATE,
            errors=(503,),
        ),
    ]
