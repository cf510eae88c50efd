"""`GET /health`: is the daemon well (contract §19)? Without a key, for load balancers and monitoring."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from sovereign_pbx.api.health import Health, HealthProbe
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.routes import json_response
from sovereign_pbx.api.schema import STRING, TIME, object_schema

_STATUS: Final = {"enum": ["ok", "degraded", "down"]}
_CHECK: Final = object_schema(
    {"status": _STATUS, "latency_ms": {"type": "number", "minimum": 0}, "detail": STRING},
    optional=("latency_ms", "detail"),
)
REPORT: Final = object_schema(
    {
        "status": _STATUS,
        "timestamp": TIME,
        "version": STRING,
        "checks": {"type": "object", "additionalProperties": _CHECK},
    }
)


def operations(probe: HealthProbe) -> list[Operation]:
    """The one."""
    health = Health(probe)

    async def report(asked: Asked) -> web.Response:
        status, body = await health.report()
        return json_response(body, HTTPStatus.SERVICE_UNAVAILABLE if status == "down" else HTTPStatus.OK)

    return [
        Operation(
            method="GET",
            path="/health",
            name="getHealth",
            summary="How the daemon and its parts are.",
            description="503 with the same body when something essential is down.",
            tag="about",
            handler=report,
            scope=None,
            answer=REPORT,
            also={503: REPORT},
        )
    ]
