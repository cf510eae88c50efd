"""What goes into the questions of an analysis, and what comes out of the answers. Pure.

Placeholders are filled in one pass: a caller who says "{{schema}}" has said it, and nothing is put in its place.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

import msgspec

from sovereign_pbx.store.rows import to_json

LONGEST_ANSWER: Final = 100_000
_PLACES: Final = 64  # where an object may begin that are looked at: an answer of nothing but brackets must cost little

_DOUBLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_EITHER: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}|\{(\w+)\}")
_FENCE: Final = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)```", re.DOTALL)


def filled(text: str, values: Mapping[str, str], *, single: bool = False) -> str:
    """`text` with `{{name}}` replaced, and `{name}` too where `single`. Names that are not in `values` stay."""
    return (_EITHER if single else _DOUBLE).sub(lambda found: values.get(_name(found), found[0]), text)


def placeholders(text: str, *, single: bool = False) -> Iterator[str]:
    """The names of the placeholders in `text`, known or not, each as often as it stands there."""
    return (_name(found) for found in (_EITHER if single else _DOUBLE).finditer(text))


def _name(found: re.Match[str]) -> str:
    return next(name for name in found.groups() if name is not None)


def object_in(answer: str) -> dict[str, Any]:
    """The JSON object of a model's answer, which may stand in a fence or in prose. ValueError says what is wrong."""
    if len(answer) > LONGEST_ANSWER:
        raise ValueError(f"it is longer than {LONGEST_ANSWER} characters")
    for text in (answer, *_FENCE.findall(answer)):
        try:
            return _sound(_decoded(text.strip()))
        except (ValueError, TypeError):
            continue
    return _sound(_within(answer))


def _within(answer: str) -> Any:
    """The first object that begins somewhere in the text and is whole."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    places = [found.start() for found in re.finditer(r"\{", answer)][:_PLACES]
    for place in places:
        try:
            return decoder.raw_decode(answer, place)[0]
        except (ValueError, RecursionError):
            continue
    raise ValueError("it holds no JSON object" if not places else "its JSON can't be read")


def _decoded(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as exc:
        raise ValueError("its JSON is nested too deeply") from exc


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _sound(value: Any) -> dict[str, Any]:
    """As it comes back from the store: what can't be written there must be found out here and not later."""
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    try:
        kept = msgspec.json.decode(to_json(value))
    except (OverflowError, RecursionError, TypeError, msgspec.MsgspecError) as exc:
        raise ValueError("its JSON holds what can't be kept") from exc
    assert isinstance(kept, dict)
    return kept
