"""`POST /configuration/reload`: the configuration file is read again and takes effect while calls go on."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.schema import STRING, TIME, object_schema

Reload = Callable[[], Awaitable[Mapping[str, Any]]]
"""Does it, and gives all but `success` of `ANSWER`. ApiError `invalid_configuration`, Refused `shutting_down` or
`not_taken_up`; then nothing has changed."""

_NAMES: Final = {"type": "array", "items": STRING}
_CHANGES: Final = {
    "type": "array",
    "items": object_schema({"key": STRING, "before": STRING, "after": STRING}),
    "description": "Secrets and parts of objects have no before and after.",
}
ANSWER: Final = object_schema(
    {
        "success": {"type": "boolean"},
        "loaded_at": TIME,
        "checksum": {"type": "string", "description": "SHA-256 of the file."},
        "added": _NAMES,
        "removed": _NAMES,
        "changed": _CHANGES,
        "needs_restart": {**_CHANGES, "description": "What the file says and only a restart brings about."},
        "warnings": _NAMES,
    }
)


def operations(reload: Reload) -> list[Operation]:
    """The one."""

    async def reloaded(asked: Asked) -> dict[str, Any]:
        return {"success": True, **await reload()}

    return [
        Operation(
            method="POST",
            path="/configuration/reload",
            name="reloadConfiguration",
            summary="Read the configuration file again; calls in progress keep what they began with.",
            description="422 with one line a fault when something in the file is wrong: then nothing has changed.",
            tag="about",
            handler=reloaded,
            scope="admin",
            answer=ANSWER,
            errors=(409, 422, 503),
        )
    ]
