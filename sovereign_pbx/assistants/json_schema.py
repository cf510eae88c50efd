"""JSON Schema as tools bring it: is it one at all, and one that can be used on a live call?

Only the structure is looked at, with the standard library: what language models refuse a whole request for, what would
have to be fetched from elsewhere, what leads nowhere. Arguments are validated against it in `calls/arguments.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sovereign_pbx.assistants.pattern_cost import is_affordable
from sovereign_pbx.assistants.problem import Path, Report, shown

TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")

_ONE: Final = (
    *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
    *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
)
_SEVERAL: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED: Final = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_NUMBERS: Final = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
_COUNTS: Final = (
    *("maxContains", "maxItems", "maxLength", "maxProperties"),
    *("minContains", "minItems", "minLength", "minProperties"),
)
_REFERENCES: Final = ("$dynamicRef", "$recursiveRef", "$ref")


def check_schema(schema: Mapping[str, Any], path: Path, report: Report) -> None:
    """Report what is wrong with `schema`, which stands at `path`. Its nesting is bounded already (shape.py)."""
    for part, place in _parts(schema, path, report):
        for keyword, value in part.items():
            fault = _fault(keyword, value, schema)
            if fault:
                report.error((*place, keyword), *fault)
            elif keyword == "pattern" and not is_affordable(value):
                _warn_of_pattern((*place, keyword), report)
        for pattern in _mapping(part.get("patternProperties")):
            _warn_of_pattern((*place, "patternProperties", pattern), report)


def _warn_of_pattern(place: Path, report: Report) -> None:
    what = "is told to the model and not checked: it is no pattern that can be matched quickly for certain"
    report.warn(place, what, "write it without repeats inside repeats, and begin it with ^")


def _parts(schema: Mapping[str, Any], path: Path, report: Report) -> Iterator[tuple[Mapping[str, Any], Path]]:
    """Every schema in `schema`, itself included; what stands where a schema must, and is none, is reported."""
    waiting: list[tuple[Any, Path]] = [(schema, path)]
    while waiting and not report.is_full:
        part, place = waiting.pop()
        if isinstance(part, Mapping):
            yield part, place
            waiting += reversed(list(_inner(part, place, report)))
        elif not isinstance(part, bool):
            report.error(place, "must be a JSON Schema: a table, true or false")


def _inner(part: Mapping[str, Any], place: Path, report: Report) -> Iterator[tuple[Any, Path]]:
    for keyword, value in part.items():
        here = (*place, keyword)
        if keyword in _SEVERAL or (keyword == "items" and isinstance(value, list | tuple)):
            if isinstance(value, list | tuple):
                yield from ((item, (*here, index)) for index, item in enumerate(value))
            else:
                report.error(here, "must be a list of JSON Schemas")
        elif keyword in _NAMED:
            if isinstance(value, Mapping):
                yield from ((item, (*here, name)) for name, item in value.items())
            else:
                report.error(here, "must be a table of JSON Schemas")
        elif keyword in _ONE:
            yield value, here


def _fault(keyword: str, value: Any, root: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with one keyword, and what to do about it."""
    if keyword in _REFERENCES:
        return _reference_fault(value, root)
    check, words = _RULES.get(keyword, (None, ""))
    return None if check is None or check(value) else (f"must be {words}", "")


def _reference_fault(value: Any, root: Mapping[str, Any]) -> tuple[str, str] | None:
    if not isinstance(value, str) or not value.startswith("#"):
        return "must begin with #: nothing is fetched from elsewhere", 'put what it refers to under "$defs"'
    if value.startswith("#/") and not _leads_somewhere(value, root):
        return f'leads nowhere: there is no "{shown(value)}"', ""
    return None


def _leads_somewhere(pointer: str, root: Any) -> bool:
    found = root
    for step in pointer[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list | tuple) and name.isdecimal() and len(name) < 9 and int(name) < len(found):
            found = found[int(name)]
        else:
            return False
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_type(value: Any) -> bool:
    named = value if isinstance(value, list | tuple) else (value,)
    return bool(named) and all(isinstance(name, str) and name in TYPES for name in named)


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_limit(value: Any) -> bool:
    return _is_number(value) or isinstance(value, bool)  # draft 4 wrote exclusiveMinimum = true beside minimum


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and (isinstance(value, int) or value.is_integer())


_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "type": (_is_type, f"one of {', '.join(TYPES)}, or a list of them"),
    "required": (_are_names, "a list of names"),
    "enum": (lambda value: isinstance(value, list | tuple) and bool(value), "a list that is not empty"),
    "pattern": (lambda value: isinstance(value, str), "a regular expression as text"),
    "uniqueItems": (lambda value: isinstance(value, bool), "true or false"),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **{name: (_is_limit if name.startswith("exclusive") else _is_number, "a number") for name in _NUMBERS[:4]},
    **dict.fromkeys(_COUNTS, (_is_count, "a whole number from 0")),
}
