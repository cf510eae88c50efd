"""JSON Schema of what is accepted and of what is answered, from the shapes that do the accepting."""

from collections.abc import Iterable, Mapping
from typing import Any

from sovereign_pbx.assistants.shape import NOTHING, Shape
from sovereign_pbx.assistants.table import Key, ListOf, MapOf, Record, Table


def request_schema(shape: Shape, *, partial: bool = False) -> dict[str, Any]:
    """What a body may be. What is not required may also be null, and unknown keys are no fault."""
    if isinstance(shape, Record):
        return request_schema(shape.table, partial=partial)
    if isinstance(shape, Table):
        return _table_schema(shape, partial=partial)
    if isinstance(shape, ListOf):
        return {**shape.json_schema(), "items": request_schema(shape.item)} | _at_least(shape)
    if isinstance(shape, MapOf):
        return {"type": "object", "additionalProperties": request_schema(shape.value)}
    return shape.json_schema()


def _table_schema(table: Table, *, partial: bool) -> dict[str, Any]:
    properties = {key.name: _key_schema(key) for key in table.keys.values()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": True}
    required = [key.name for key in table.keys.values() if key.required and not partial]
    return schema | ({"required": required} if required else {})


def _key_schema(key: Key) -> dict[str, Any]:
    schema = request_schema(key.shape)
    if not key.required:
        schema = nullable(schema)
    if key.doc:
        schema = {**schema, "description": key.doc}
    if key.example is not NOTHING:
        schema = {**schema, "examples": [key.example]}
    return schema


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return {**schema, "type": [kind, "null"]}
    return dict(schema) if not schema or "null" in str(kind) else {"anyOf": [dict(schema), {"type": "null"}]}


def object_schema(properties: Mapping[str, Any], optional: Iterable[str] = ()) -> dict[str, Any]:
    """An object of an answer: every property is there, save the optional ones."""
    left_out = set(optional)
    required = [name for name in properties if name not in left_out]
    return {"type": "object", "properties": dict(properties), "required": required}


def envelope(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """`{"assistant": {…}}`"""
    return object_schema({name: schema})


def envelope_of_many(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """`{"assistants": [{…}]}`"""
    return object_schema({name: {"type": "array", "items": schema}})


def _at_least(shape: ListOf) -> dict[str, Any]:
    return {"minItems": shape.least} if shape.least else {}


STRING: Mapping[str, Any] = {"type": "string"}
TEXT: Mapping[str, Any] = {"type": ["string", "null"]}
FLAG: Mapping[str, Any] = {"type": "boolean"}
COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
WHOLE: Mapping[str, Any] = {"type": ["integer", "null"]}
TIME: Mapping[str, Any] = {"type": "string", "format": "date-time"}
MAYBE_TIME: Mapping[str, Any] = {"type": ["string", "null"], "format": "date-time"}
OBJECT: Mapping[str, Any] = {"type": "object"}
MAYBE_OBJECT: Mapping[str, Any] = {"type": ["object", "null"]}
LIST: Mapping[str, Any] = {"type": "array", "items": {}}

SUCCESS: Mapping[str, Any] = object_schema({"success": {"const": True}})
PAGINATION: Mapping[str, Any] = object_schema({"total": COUNT, "limit": COUNT, "offset": COUNT})
