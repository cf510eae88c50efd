"""A value against somebody else's JSON Schema (jsonschema), in bounded time.

The schema may come from a webhook. So nothing is fetched for a `$ref`, every keyword looks at the clock (a few
references can ask for 2^n steps), and a schema with a regular expression is checked in a process of its own: `re` holds
the interpreter while it backtracks, so that in a thread it would stop every call.

The library is imported when it is first needed (0.1 s). Everything here blocks: call it in a thread.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sovereign_pbx.store.rows import to_json

LONGEST_SCHEMA: Final = 64_000
MOST_FAULTS: Final = 5
_SHOWN: Final = 240
_REGULAR: Final = frozenset({"pattern", "patternProperties"})
_START_S: Final = 5.0  # for the process to begin and import what it needs, on a busy machine
_NODES: Final = 20_000


class BadSchema(ValueError):
    """The schema itself can't be used; the message says why."""


class TooSlow(ValueError):
    """The schema asks for more work than it is worth."""


def faults(schema: Mapping[str, Any], value: Any, within_s: float = 2.0) -> list[str]:
    """What is wrong with `value`, a line each, at most five; empty when it fits. Raises BadSchema or TooSlow."""
    written = to_json(schema)
    if len(written) > LONGEST_SCHEMA:
        raise BadSchema(f"the schema is longer than {LONGEST_SCHEMA} characters")
    if any(name in _REGULAR for name in _names(schema)):
        return _elsewhere(written, value, within_s)
    return check(schema, value, within_s)


def check(schema: Mapping[str, Any], value: Any, within_s: float) -> list[str]:
    """The same, here: regular expressions in the schema are not bounded."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    deadline = time.monotonic() + within_s
    try:
        made = _timed(deadline, schema)
        made.check_schema(schema)
        return [_line(error) for error, _ in zip(_errors(made, schema, value), range(MOST_FAULTS), strict=False)]
    except SchemaError as exc:
        raise BadSchema(f"the schema is wrong: {_line(exc)}") from exc
    except Unresolvable as exc:
        raise BadSchema(f"the schema refers to what is not in it: {str(exc.ref)[:_SHOWN]}") from exc
    except RecursionError as exc:
        raise BadSchema("the schema refers to itself without end") from exc
    except TooSlow:
        raise
    except Exception as exc:  # whatever the library trips over in a hostile schema
        raise BadSchema(f"the schema can't be used: {type(exc).__name__}: {str(exc)[:_SHOWN]}") from exc


def _errors(made: Any, schema: Mapping[str, Any], value: Any) -> Iterator[Any]:
    from referencing import Registry

    found: Iterator[Any] = made(schema, registry=Registry()).iter_errors(value)  # which can't fetch anything
    return found


def _timed(deadline: float, schema: Mapping[str, Any]) -> Any:
    """The validator class of the schema's own dialect, every keyword of which gives up at the deadline."""
    from jsonschema import validators

    named = schema.get("$schema")
    usual = validators.Draft202012Validator
    extended: Any = validators.extend
    known = {str(cls.META_SCHEMA.get("$id") or cls.META_SCHEMA.get("id")).rstrip("#"): cls for cls in _dialects()}
    chosen: Any = known.get(named.rstrip("#"), usual) if isinstance(named, str) else usual

    def timed(keyword: Callable[..., Iterable[Any] | None]) -> Callable[..., Iterator[Any]]:
        def bounded(validator: Any, part: Any, instance: Any, whole: Any) -> Iterator[Any]:
            if time.monotonic() > deadline:
                raise TooSlow("the schema takes too long to check")
            yield from keyword(validator, part, instance, whole) or ()

        return bounded

    return extended(chosen, {name: timed(keyword) for name, keyword in chosen.VALIDATORS.items()})


def _dialects() -> tuple[Any, ...]:
    from jsonschema import validators

    return (
        validators.Draft202012Validator,
        validators.Draft201909Validator,
        validators.Draft7Validator,
        validators.Draft6Validator,
        validators.Draft4Validator,
        validators.Draft3Validator,
    )


def _line(error: Any) -> str:
    place = str(error.json_path).removeprefix("$").lstrip(".") or "the object"
    text = str(error.message)
    return f"{place[:_SHOWN]}: {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"


def _names(schema: Any) -> Iterator[str]:
    """Every key anywhere in the schema. Iterative, and bounded: it may be as deep as it likes."""
    level, seen = [schema], 0
    while level:
        part = level.pop()
        seen += 1
        if seen > _NODES:
            raise BadSchema("the schema has too many parts")
        if isinstance(part, Mapping):
            yield from part
            level.extend(part.values())
        elif isinstance(part, list | tuple):
            level.extend(part)


def _elsewhere(schema: str, value: Any, within_s: float) -> list[str]:
    """In a process that can be ended: `analysis_worker`."""
    question = f'{{"schema": {schema}, "value": {to_json(value)}, "within_s": {within_s}}}'
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sovereign_pbx.calls.analysis_worker"],
            input=question.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=within_s + _START_S,
            check=False,
            start_new_session=True,  # the terminal's Ctrl-C is for the daemon, which has the deadline
        )
    except subprocess.TimeoutExpired as exc:
        raise TooSlow("the schema takes too long to check") from exc
    except OSError as exc:
        raise BadSchema(f"the schema could not be checked: {exc.strerror}") from exc
    return _told(done.stdout)


def _told(answer: bytes) -> list[str]:
    try:
        told = json.loads(answer)
    except ValueError as exc:  # ended by its own limits of processor time or memory
        raise TooSlow("the schema takes too long to check") from exc
    if "bad_schema" in told:
        raise BadSchema(str(told["bad_schema"]))
    return [str(line) for line in told["faults"]]
