"""The API's own description, at `/api/openapi.json` as on the hosted platform (contract §0.3)."""

from collections.abc import Callable
from typing import Any

from sovereign_pbx.api.operation import Asked, Operation


def operations(document: Callable[[], dict[str, Any]]) -> list[Operation]:
    """One, without a key: what it says is in the documentation as well."""
    drawn: dict[str, Any] = {}

    async def show(asked: Asked) -> dict[str, Any]:
        if not drawn:
            drawn.update(document())
        return drawn

    return [
        Operation(
            method="GET",
            root="/api",
            path="/openapi.json",
            name="getOpenApi",
            summary="This document.",
            tag="about",
            scope=None,
            handler=show,
            answer={"type": "object"},
        )
    ]
