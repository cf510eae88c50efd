"""What a receptionist knows: facts from the assistant's configuration, read and filled in. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.settings import Settings

_SLOT: Final = re.compile(r"\{([a-zA-Z_][\w.]*)\}")
_SPACED_DIGITS: Final = re.compile(r"\d(?:[\s,.\-]*\d)*")
MOST_SAID: Final = 500  # characters given to an administrator's pattern, which may be slow on long text


@dataclass(frozen=True, slots=True)
class Fact:
    """Questions and their answer; with `tool`, the answer is made of what the tool returns."""

    ask: tuple[str, ...]
    say: str
    tool: str = ""
    pattern: re.Pattern[str] | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    missing_say: str = ""
    failed_say: str = ""


def read_facts(settings: Settings) -> tuple[Fact, ...]:
    """The `facts` of an `llm_config`. Raises ConfigError naming the fact and the key."""
    given = settings.values.get("facts", ())
    if not isinstance(given, list | tuple) or not all(isinstance(item, Mapping) for item in given):
        raise settings.wrong("facts", 'must be a list of tables such as {ask = ["when are you open"], say = "…"}')
    return tuple(_fact(Settings(item, f"{settings.where}.facts[{at}]")) for at, item in enumerate(given))


def _fact(settings: Settings) -> Fact:
    unknown = set(settings.values) - set(Fact.__dataclass_fields__)
    if unknown:
        raise settings.wrong(min(unknown), f"is not a key of a fact ({', '.join(Fact.__dataclass_fields__)})")
    if not settings.texts("ask"):
        raise settings.wrong("ask", "must list the ways in which callers ask for this")
    arguments = settings.values.get("arguments", {})
    if not isinstance(arguments, Mapping) or not all(isinstance(value, str) for value in arguments.values()):
        raise settings.wrong("arguments", 'must be a table of texts such as {number = "{number}"}')
    fact = Fact(
        ask=settings.texts("ask"),
        say=settings.required("say", "write what is to be said"),
        tool=settings.text("tool"),
        pattern=_pattern(settings),
        arguments=arguments,
        missing_say=settings.text("missing_say"),
        failed_say=settings.text("failed_say"),
    )
    named = set(fact.pattern.groupindex) if fact.pattern else set()
    loose = {slot for value in arguments.values() for slot in _SLOT.findall(value)} - named
    if loose:
        raise settings.wrong("arguments", f"use {min(loose)!r}, which is not a named group of pattern")
    return fact


def _pattern(settings: Settings) -> re.Pattern[str] | None:
    text = settings.text("pattern")
    try:
        return re.compile(text, re.IGNORECASE) if text else None
    except re.error as exc:
        raise settings.wrong("pattern", f"is not a regular expression: {exc}") from exc


def found_in(fact: Fact, said: str, digits: Mapping[str, str]) -> dict[str, str] | None:
    """The pattern's named groups in what was said, numbers without gaps; None when it does not fit.

    `digits` are spoken words for digits, tried when the text as it stands does not fit.
    """
    if fact.pattern is None:
        return {}
    said = said[:MOST_SAID]
    spelled = re.sub(r"[^\W\d_]+", lambda word: digits.get(word[0].lower(), word[0]), said)
    for text in (said, spelled):
        joined = _SPACED_DIGITS.sub(lambda run: re.sub(r"\D", "", run[0]), text)
        match = fact.pattern.search(joined)
        if match:
            return {name: value for name, value in match.groupdict().items() if value}
    return None


def arguments_json(fact: Fact, groups: Mapping[str, str]) -> str:
    """The tool's arguments."""
    filled = {name: _SLOT.sub(lambda slot: groups.get(slot[1], ""), value) for name, value in fact.arguments.items()}
    return json.dumps(filled, ensure_ascii=False)


def answer(fact: Fact, arguments: str, result: str) -> str | None:
    """`say` with its slots filled from the tool's arguments and result; None when the result does not have them all.

    A slot is a key of the result's JSON, `a.b` for one within another, or `result` for the whole text.
    """
    values: dict[str, Any] = {**_table(arguments), **_table(result), "result": result}
    filled = [_value(values, slot) for slot in _SLOT.findall(fact.say)]
    if any(value is None for value in filled):
        return None
    parts = iter(filled)
    return _SLOT.sub(lambda _: str(next(parts)), fact.say)


def _table(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _value(values: Mapping[str, Any], slot: str) -> str | None:
    found: Any = values
    for key in slot.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    return str(found)


def read_small_talk(settings: Settings, shipped: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The shipped manners with what the assistant's `small_talk` replaces."""
    given = settings.values.get("small_talk", {})
    if not isinstance(given, Mapping):
        raise settings.wrong("small_talk", "must be a table")
    kinds: dict[str, Mapping[str, Any]] = {k: table for k, table in shipped.items() if k in KINDS}
    for kind, table in given.items():
        where = Settings(table if isinstance(table, Mapping) else {}, f"{settings.where}.small_talk.{kind}")
        if kind not in KINDS or not isinstance(table, Mapping):
            raise ConfigError(f"{where.where} must be a table; known: {', '.join(KINDS)}", key="small_talk")
        asked: Sequence[str] = where.texts("ask")
        said = {key: where.text(key) for key in ("say", "otherwise_say") if key in table}
        kinds[kind] = {**kinds[kind], **({"ask": asked} if asked else {}), **said}
    return kinds


KINDS: Final = ("greeting", "thanks", "goodbye", "repeat", "person", "who")
