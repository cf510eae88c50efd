"""A request's body and query: hostile until they have passed the very shapes that the documentation is drawn from."""

import asyncio
import codecs
import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from sovereign_pbx.api.errors import ApiError, invalid
from sovereign_pbx.assistants.problem import MOST_ENTRIES, Report
from sovereign_pbx.assistants.shape import Flag, Real, Shape, Whole
from sovereign_pbx.assistants.table import Table

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


_LARGE = 8_000
"""Bytes beyond which a body is read beside the loop: checking 120 kB takes 5 ms, and calls want their frames."""


BODY_S = 10.0
"""How long a body may take to arrive: who drips it must not keep one of the listener's places."""


async def read_body(request: web.Request, shape: Shape, *, partial: bool) -> tuple[Any, Mapping[str, Any]]:
    """The request's body as `checked_body` gives it. One that is too large is refused (413), before it comes where it
    says so; ApiError 408 for one that takes too long."""
    raw = await _whole(request)
    if len(raw) > _LARGE:
        return await asyncio.to_thread(_read, raw, shape, partial)
    return _read(raw, shape, partial)


async def _whole(request: web.Request) -> bytes:
    most, announced = request.client_max_size, request.content_length or 0
    if announced > most:
        raise web.HTTPRequestEntityTooLarge(most, announced)
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError as exc:
        raise ApiError(408, "request_timeout", f"The body did not arrive within {BODY_S:g} seconds.") from exc


def _read(raw: bytes, shape: Shape, partial: bool) -> tuple[Any, Mapping[str, Any]]:
    return checked_body(shape, decoded(raw), partial=partial)


def decoded(raw: bytes) -> Any:
    """The JSON in it. ApiError if it is none."""
    if not raw.strip():
        raise ApiError(400, "invalid_request", "The request has no body; send a JSON object.")
    try:
        return msgspec.json.decode(raw.removeprefix(codecs.BOM_UTF8))  # some clients begin with one
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ApiError(400, "invalid_request", f"The body is not valid JSON: {str(exc)[:120]}") from exc


def checked_body(shape: Shape, value: Any, *, partial: bool) -> tuple[Any, Mapping[str, Any]]:
    """(the canonical body, the body as given with canonical keys and its nulls). ApiError with every fault."""
    report = Report(entries=MOST_ENTRIES)
    wanted = _nothing_required(shape) if partial and isinstance(shape, Table) else shape
    body = wanted.check(value, (), report)
    if report.errors:
        raise invalid(report.errors)
    given = value if isinstance(value, Mapping) else {}
    if isinstance(shape, Table):
        given = {shape.canonical(name, given): item for name, item in given.items()}
        _refuse_nulls(shape, given)
    return body, given


def checked_query(table: Table, request: web.Request) -> dict[str, Any]:
    """The query, each value read as its shape wants it. Unknown ones are ignored, of doubled ones the last counts."""
    report = Report()
    given = {name: _typed(table, name, text) for name, text in request.query.items() if name in table.keys}
    checked = table.check(given, (), report)
    if report.errors:
        raise invalid(report.errors)
    usual = {key.name: key.default for key in table.keys.values() if isinstance(key.default, str | int | float | bool)}
    return {**usual, **checked}


def _typed(table: Table, name: str, text: str) -> Any:
    shape = table.keys[name].shape
    if isinstance(shape, Flag):
        return _FLAGS.get(text.lower(), text)
    if isinstance(shape, Whole | Real) and len(text) < 20:
        try:
            return int(text) if isinstance(shape, Whole) else float(text)
        except ValueError:
            return text
    return text


def _refuse_nulls(table: Table, given: Mapping[str, Any]) -> None:
    """What an object can't be without can't be cleared."""
    report = Report()
    for key in table.keys.values():
        if key.required and key.name in given and given[key.name] is None:
            report.error((key.name,), f"must be {key.shape.words()}, not null")
    if report.errors:
        raise invalid(report.errors)


def _nothing_required(table: Table) -> Table:
    """The same table for a PATCH: what is left out stays as it is."""
    keys = (dataclasses.replace(key, required=False) for key in table.keys.values())
    return Table(*keys, open=table.open, rest=table.rest)
