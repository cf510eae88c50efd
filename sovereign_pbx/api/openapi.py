"""The OpenAPI 3.1 document, drawn from the operations themselves."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sovereign_pbx.api.errors import ERROR_SCHEMA, phrase_of
from sovereign_pbx.api.operation import Operation
from sovereign_pbx.api.schema import request_schema
from sovereign_pbx.assistants.shape import NOTHING
from sovereign_pbx.assistants.table import Key

_PLACE = re.compile(r"\{(\w+)\}")

_LIMITS = {
    "X-RateLimit-Limit": "Requests a minute.",
    "X-RateLimit-Remaining": "How many are left.",
    "X-RateLimit-Reset": "When they are whole again, in Unix seconds.",
}


def document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The whole document. Aliases are in it, as deprecated operations of their own."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for index, path in enumerate(operation.paths):
            described = _operation(operation, path, alias=index)
            paths.setdefault(path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sovereign PBX",
            "version": version,
            "description": "AI voice assistants on your own PBX. Every operation but health needs an API key.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": dict(ERROR_SCHEMA)},
        },
    }


def _operation(operation: Operation, path: str, *, alias: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name + ("" if not alias else f"Alias{alias}"),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_places(path), *_query(operation)],
        "responses": _responses(operation, path),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        schema = request_schema(operation.body, partial=operation.partial)
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if operation.scope is None:
        described["security"] = []
    if operation.deprecated or alias:
        described["deprecated"] = True
    return described


def _places(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PLACE.findall(path)
    ]


def _query(operation: Operation) -> list[dict[str, Any]]:
    return [_parameter(key) for key in operation.query.keys.values()] if operation.query is not None else []


def _parameter(key: Key) -> dict[str, Any]:
    schema = key.shape.json_schema()
    if key.default is not NOTHING and key.default is not None:
        schema = {**schema, "default": key.default}
    return {"name": key.name, "in": "query", "required": key.required, "description": key.doc, "schema": schema}


def _responses(operation: Operation, path: str) -> dict[str, Any]:
    statuses = set(operation.errors)
    if operation.scope is not None:
        statuses |= {401, 403, 429}
    if operation.body is not None:
        statuses |= {400, 408, 413}
    if operation.query is not None:
        statuses.add(400)
    if _PLACE.search(path):
        statuses.add(404)
    answers: dict[str, Any] = {str(operation.status): _good(operation)} if operation.status < 400 else {}
    if operation.status >= 400:
        statuses.add(operation.status)
    further = {str(status): _described(status, schema) for status, schema in operation.also.items()}
    return answers | {str(status): _bad(status) for status in sorted(statuses)} | further


def _good(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"description": phrase_of(operation.status)}
    if operation.answer:
        described["content"] = {"application/json": {"schema": _as_dict(operation.answer)}}
    if operation.scope is not None:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "integer"}} for name, text in _LIMITS.items()
        }
    return described


def _bad(status: int) -> dict[str, Any]:
    return _described(status, {"$ref": "#/components/schemas/Error"})


def _described(status: int, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": phrase_of(status), "content": {"application/json": {"schema": _as_dict(schema)}}}


def _as_dict(schema: Mapping[str, Any]) -> dict[str, Any]:
    return dict(schema)
