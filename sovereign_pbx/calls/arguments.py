"""What the model wrote, against the tool's JSON Schema (jsonschema), in bounded time.

Schemas come from webhooks and from MCP servers, so they may be hostile. Nothing is fetched for a `$ref`; every keyword
that is evaluated costs steps of which there are only so many (a few references can ask for 2^n of them); a regular
expression is matched only where its cost is known to be small, since `re` holds the interpreter while it backtracks.
What can't be checked within these bounds counts as fitting: the tool's own server has the last word anyway.

The library is imported when it is first needed (60 ms). Everything here blocks: call it in a thread.
"""

import functools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import structlog

from sovereign_pbx.assistants.pattern_cost import matches
from sovereign_pbx.assistants.problem import dotted

log = structlog.get_logger(__name__)

MOST_STEPS: Final = 10_000
"""Keywords evaluated for one call: about 60 ms of a thread. A usual call takes a few dozen."""

MOST_ARGUMENTS: Final = 64_000
"""Characters of arguments; longer ones are refused unread."""

_MOST_FAULTS: Final = 3
_SHOWN: Final = 200
_UNBOUNDED: Final = ("unevaluatedItems", "unevaluatedProperties")  # follow references without evaluating keywords

_Keyword = Callable[[Any, Any, Any, Any], Iterable[Any] | None]


class _TooDear(Exception):
    """The steps are used up."""


class _Steps(threading.local):
    left = 0

    def take(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise _TooDear


_steps = _Steps()


def preload() -> None:
    """Import the library before the first caller has to wait for it."""
    _compiled('{"type": "object"}')


def faults(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """What is wrong with `arguments`, in words for the model, the first three; empty where they fit."""
    _steps.left = MOST_STEPS
    try:
        validator = _compiled(json.dumps(schema))
        errors = [] if validator is None else islice(validator.iter_errors(arguments), 4 * _MOST_FAULTS)
        return list(dict.fromkeys(map(_words, errors)))[:_MOST_FAULTS]  # each missing name is an error of its own
    except _TooDear:
        log.warning("tool.arguments_unchecked", why="the schema asks for too many steps")
    except RecursionError:
        log.warning("tool.arguments_unchecked", why="the schema refers to itself without end")
    except Exception as exc:  # whatever the library trips over in a hostile schema
        log.warning("tool.arguments_unchecked", why=f"the schema can't be used: {type(exc).__name__}")
    return []


def schema_fault(schema: Mapping[str, Any]) -> str:
    """What makes `schema` no valid JSON Schema of its draft, "" where it is one. Takes 2 ms or more, without a bound:
    for what an administrator wrote himself, and not while calls run."""
    return _schema_fault(json.dumps(schema))


@functools.lru_cache(maxsize=1024)
def _schema_fault(written: str) -> str:
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    schema = json.loads(written)
    try:
        checked: Any = validator_for(schema, default=Draft202012Validator)
        checked.check_schema(schema)
    except SchemaError as exc:
        return _cut(f"{dotted([*exc.absolute_path])}: {exc.message}".lstrip(": "))
    return ""


@functools.lru_cache(maxsize=256)
def _compiled(written: str) -> Any:
    """The schema's validator, made once; None where it could not be held to the bounds."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    schema = json.loads(written)
    base: Any = validator_for(schema, default=Draft202012Validator)
    schema.pop("$schema", None)  # where the library meets it again, it takes its own validator instead of ours
    if '"$schema"' in json.dumps(schema):
        return None
    return _bounded(base)(schema, registry=Registry())


@functools.lru_cache(maxsize=8)
def _bounded(base: Any) -> Any:
    from jsonschema import validators

    extend: Any = validators.extend  # without types in its stubs
    keywords: dict[str, _Keyword] = {name: _counted(name, check) for name, check in base.VALIDATORS.items()}
    keywords |= {name: _unchecked for name in _UNBOUNDED if name in keywords}
    return extend(base, {**keywords, "pattern": _pattern, "patternProperties": _unchecked, **_closed(base)})


def _counted(name: str, check: _Keyword) -> _Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _steps.take(1 + _dear(name, value, instance))
        yield from check(validator, value, instance, schema) or ()

    return counted


def _dear(name: str, value: Any, instance: Any) -> int:
    """Steps beyond the one, for keywords whose work grows with what they are given."""
    if name == "uniqueItems" and isinstance(instance, list):
        return len(instance) * len(instance) // 8  # compared pair by pair where they can't be sorted
    return len(value) // 8 if isinstance(value, list | dict) else 0


def _unchecked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    return iter(())


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    _steps.take()
    if isinstance(instance, str) and isinstance(value, str) and matches(value, instance) is False:
        yield ValidationError("does not match")


def _closed(base: Any) -> dict[str, _Keyword]:
    """`additionalProperties` as the library has it, but not beside patterns, which it would match unbounded."""
    check = _counted("additionalProperties", base.VALIDATORS["additionalProperties"])

    def closed(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        return iter(()) if schema.get("patternProperties") else iter(check(validator, value, instance, schema) or ())

    return {"additionalProperties": closed} if "additionalProperties" in base.VALIDATORS else {}


def _words(error: Any) -> str:
    """Which argument, and what was expected of it."""
    place = dotted([*error.absolute_path])[:_SHOWN]
    argument = f'"{place}"' if place else "the arguments"
    keyword, wanted = error.validator, error.validator_value
    if keyword == "required":
        missing = [name for name in wanted if name not in error.instance]
        return f"{argument}: missing {_listed(missing)}"
    if keyword == "additionalProperties" and isinstance(error.schema.get("properties", {}), dict):
        unknown = [name for name in error.instance if name not in error.schema.get("properties", {})]
        return f"{argument}: unknown {_listed(unknown)}; known are {_listed([*error.schema.get('properties', {})])}"
    if keyword == "type":
        return f"{argument} must be of type {' or '.join([wanted] if isinstance(wanted, str) else wanted)}"
    if keyword == "enum":
        return f"{argument} must be one of {_listed(wanted)}"
    return f"{argument} must fit {_cut(json.dumps({keyword: wanted}, ensure_ascii=False, default=str))}"


def _listed(things: Iterable[Any]) -> str:
    return _cut(", ".join(json.dumps(thing, ensure_ascii=False, default=str) for thing in things))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
