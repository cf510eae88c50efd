"""How a typed client reads JSON: what is missing, of another type or unexpectedly null is refused, with its place."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

Check = Callable[[Any, str], None]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Unexpected(AssertionError):
    """A client library of the platform could not read this."""

    def __init__(self, at: str, wanted: str, value: Any) -> None:
        super().__init__(f"{at}: {wanted} was expected, not {value!r:.200}")


def _refuse_unless(good: bool, at: str, wanted: str, value: Any) -> None:
    if not good:
        raise Unexpected(at, wanted, value)


def text(value: Any, at: str) -> None:
    _refuse_unless(isinstance(value, str), at, "a string", value)


def whole(value: Any, at: str) -> None:
    _refuse_unless(isinstance(value, int) and not isinstance(value, bool), at, "a whole number", value)


def number(value: Any, at: str) -> None:
    _refuse_unless(isinstance(value, int | float) and not isinstance(value, bool), at, "a number", value)


def flag(value: Any, at: str) -> None:
    _refuse_unless(isinstance(value, bool), at, "true or false", value)


def block(value: Any, at: str) -> None:
    """An object whose keys are nobody's business here."""
    _refuse_unless(isinstance(value, dict), at, "an object", value)


def anything(value: Any, at: str) -> None:
    """Whatever there is."""


def moment(value: Any, at: str) -> None:
    text(value, at)
    _refuse_unless(_MOMENT.fullmatch(value) is not None, at, "an ISO date-time", value)
    datetime.fromisoformat(value)


def clock(value: Any, at: str) -> None:
    text(value, at)
    _refuse_unless(re.fullmatch(r"\d\d:\d\d:\d\d", value) is not None, at, "HH:MM:SS", value)


def uuid(value: Any, at: str) -> None:
    text(value, at)
    try:
        UUID(value)
    except ValueError:
        raise Unexpected(at, "a UUID", value) from None


def maybe(check: Check) -> Check:
    """Or null."""

    def read(value: Any, at: str) -> None:
        if value is not None:
            check(value, at)

    return read


def listed(check: Check) -> Check:
    def read(value: Any, at: str) -> None:
        _refuse_unless(isinstance(value, list), at, "an array", value)
        for place, item in enumerate(value):
            check(item, f"{at}[{place}]")

    return read


def one_of(*values: str) -> Check:
    def read(value: Any, at: str) -> None:
        _refuse_unless(value in values, at, f"one of {values}", value)

    return read


def mapped(check: Check) -> Check:
    """An object whose values are all of one kind."""

    def read(value: Any, at: str) -> None:
        block(value, at)
        for key, item in value.items():
            check(item, f"{at}.{key}")

    return read


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *, closed: bool = False) -> Check:
    """An object with these keys; `closed`: and with no other."""
    may = optional or {}

    def read(value: Any, at: str) -> None:
        block(value, at)
        for key in required:
            _refuse_unless(key in value, at, f'a key "{key}"', sorted(value))
        for key, item in value.items():
            check = required.get(key) or may.get(key)
            if check is not None:
                check(item, f"{at}.{key}")
            else:
                _refuse_unless(not closed, at, "no such key", key)

    return read


def envelope(key: str, check: Check) -> Check:
    """`{key: …}` and nothing beside it."""
    return shape({key: check}, closed=True)
