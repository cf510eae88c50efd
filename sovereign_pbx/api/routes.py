"""Operations on the wire: each declared one behind the gate, its body checked, its answer sent."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web

from sovereign_pbx.api.errors import ApiError, phrase_of, refused
from sovereign_pbx.api.gate import NOBODY, Admitted, Gate
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.reading import checked_query, read_body
from sovereign_pbx.core.errors import Refused

log = structlog.get_logger(__name__)


def add_operations(app: web.Application, operations: Iterable[Operation], gate: Gate | None) -> None:
    """Route every operation, its aliases too. Without a gate only those that need no key."""
    for operation in operations:
        if gate is None and operation.scope is not None:
            continue
        for path in operation.paths:
            respond = _Guarded(operation, gate).respond
            if operation.method == "GET" and (operation.head or operation.scope is None):
                app.router.add_get(path, respond)  # HEAD as well: monitoring asks so
            else:
                app.router.add_route(operation.method, path, respond)


class _Guarded:
    """One operation; `respond` is what aiohttp calls."""

    def __init__(self, operation: Operation, gate: Gate | None) -> None:
        self._operation = operation
        self._gate = gate

    async def respond(self, request: web.Request) -> web.StreamResponse:
        try:
            admitted = await self._admitted(request)
        except ApiError as exc:
            return error_response(exc)
        try:
            response = await self._answer(request, admitted)
        except ApiError as exc:
            response = error_response(exc)
        except Refused as exc:
            response = error_response(refused(exc))
        return response

    async def _admitted(self, request: web.Request) -> Admitted:
        operation = self._operation
        if self._gate is None or (operation.lets_in is not None and operation.lets_in(request)):
            return NOBODY
        return await self._gate.admit(request, operation.scope)

    async def _answer(self, request: web.Request, admitted: Admitted) -> web.StreamResponse:
        operation = self._operation
        query = checked_query(operation.query, request) if operation.query is not None else {}
        body: Any = None
        given: Mapping[str, Any] = {}
        if operation.body is not None:
            body, given = await read_body(request, operation.body, partial=operation.partial)
        asked = Asked(
            key=admitted.key, ids=dict(request.match_info), query=query, body=body, given=given, request=request
        )
        answer = await operation.handler(asked)
        return answer if isinstance(answer, web.StreamResponse) else json_response(answer, operation.status)


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON as every answer of the API is."""
    return web.Response(
        body=msgspec.json.encode(body, enc_hook=str),
        status=status,
        content_type="application/json",
        headers=dict(headers or {}),
    )


def error_response(error: ApiError) -> web.Response:
    """An error as the contract words it (§18)."""
    return json_response(error.body, error.status, error.headers)


def error_of(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> web.Response:
    """What HTTP itself refuses: an unknown path, a method that is not there, a body that is too large."""
    phrase = phrase_of(status)
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return error_response(ApiError(int(status), code, status.description or phrase, headers=headers or {}))
