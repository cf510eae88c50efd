"""Shapes of single values: what a setting may be, said once.

The same shape validates (files, webhook answers, REST bodies), words the error, and draws the reference and the
JSON Schema. `check` returns the canonical value, or `NOTHING` after reporting why it can't be used.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.secret import Secret


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()

TOO_LARGE: Final = "too large"

MOST_NESTING: Final = 64
"""Levels of user data (metadata, JSON Schema) that are accepted: deeper ones break serialisers later."""


class Shape(Protocol):
    """What a value may be."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """The canonical value, or NOTHING once the problem has been reported."""

    def words(self) -> str:
        """What is expected, as in "must be …"."""

    def json_schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        return value if isinstance(value, bool) else _wrong(self, value, path, report)

    def words(self) -> str:
        return "true or false"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range. `300.0` counts: JSON writers without integers send it."""

    least: int
    most: int

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            return _wrong(self, value, path, report)
        return value

    def words(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Real:
    """A number in a range; `clamp` moves what is outside to the edge (contract §4.3 turn_detection)."""

    least: float
    most: float
    clamp: bool = False

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            return _wrong(self, value, path, report)
        if self.clamp:
            return min(max(value, self.least), self.most)
        return value if self.least <= value <= self.most else _wrong(self, value, path, report)

    def words(self) -> str:
        return f"a number from {self.least:g} to {self.most:g}"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "number"} if self.clamp else {"type": "number", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Text:
    """Text, bounded, perhaps of a pattern (`what` words it); `secret` text comes back as `Secret`."""

    least: int = 0
    most: int | None = None
    pattern: str = ""
    what: str = "text"
    secret: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, str) or not _sendable(value):
            return _wrong(self, value, path, report, quote=not self.secret)
        value = self.aliases.get(value, value)
        if not self._fits(value):
            return _wrong(self, value, path, report, quote=not self.secret)
        return Secret(value) if self.secret else value

    def _fits(self, value: str) -> bool:
        within = self.least <= len(value) and (self.most is None or len(value) <= self.most)
        return within and (not self.pattern or re.fullmatch(self.pattern, value) is not None)

    def words(self) -> str:
        if self.pattern:
            return self.what
        if self.most is None:
            return self.what if not self.least else f"{self.what} that is not empty"
        return f"{self.what} of {self.least} to {self.most} characters"

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        if self.least:
            schema["minLength"] = self.least
        if self.most is not None:
            schema["maxLength"] = self.most
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        return schema


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute address of one of `schemes`, or nothing where `empty` is allowed."""

    schemes: tuple[str, ...] = ("http", "https")
    empty: bool = False

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if value == "" and self.empty:
            return value
        return value if isinstance(value, str) and self._fits(value) else _wrong(self, value, path, report)

    def _fits(self, value: str) -> bool:
        if len(value) > 2048 or not value.isprintable() or " " in value or not _sendable(value):
            return False
        try:
            parts = urlsplit(value)
            return parts.scheme in self.schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # a port out of range, brackets that do not close
            return False

    def words(self) -> str:
        return f"an address that begins with {' or '.join(f'{scheme}://' for scheme in self.schemes)}"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string"} if self.empty else {"type": "string", "format": "uri"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words. `camel` holds the older spelling of those that had one; both are accepted."""

    values: tuple[str, ...]
    camel: Mapping[str, str] = field(default_factory=dict)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, str):
            return _wrong(self, value, path, report)
        value = self.canonical(value)
        if value in self.values:
            return value
        guess = report.guess(value, self.values)
        report.error(path, f"must be {self.words()}{got(value)}", f"did you mean {guess!r}?" if guess else "")
        return NOTHING

    def canonical(self, value: str) -> str:
        return next((new for new, old in self.camel.items() if old == value), value)

    def words(self) -> str:
        return "one of " + ", ".join(f'"{value}"' for value in self.values)

    def json_schema(self) -> dict[str, Any]:
        return {"enum": [*self.values, *self.camel.values()]}


@dataclass(frozen=True, slots=True)
class Opaque:
    """The user's own data: kept as it is, never renamed. `kind` narrows it to an object."""

    kind: str = "object"  # object | any

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if self.kind == "object" and not isinstance(value, Mapping):
            return _wrong(self, value, path, report)
        fault = unsendable(value, path, report)
        if not fault:
            return value
        if fault is not TOO_LARGE:
            report.error(path, fault)
        return NOTHING

    def words(self) -> str:
        return "a table" if self.kind == "object" else "any value"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "object"} if self.kind == "object" else {}


@dataclass(frozen=True, slots=True)
class Nullable:
    """A number that can be switched off: null in JSON, 0 in TOML, which has no null. Both come back as None.

    (Elsewhere null means "not given".)
    """

    inner: Real

    def check(self, value: Any, path: Path, report: Report) -> Any:
        off = value is None or (value == 0 and not isinstance(value, bool))
        return None if off else self.inner.check(value, path, report)

    def words(self) -> str:
        return f"{self.inner.words()}, or 0 (in JSON also null) for never"

    def json_schema(self) -> dict[str, Any]:
        return {"anyOf": [self.inner.json_schema(), {"const": 0}, {"type": "null"}]}


def unsendable(value: Any, path: Path, report: Report) -> str:
    """Why user data could not be stored and sent as JSON later, or "". Iterative: depth must not matter here."""
    if not isinstance(value, (Mapping, list, tuple)):
        return _scalar_fault(value)
    level: list[Any] = [value]
    for _ in range(MOST_NESTING):
        inner: list[Any] = []
        for container in level:
            if not report.affords(path, len(container)):
                return TOO_LARGE
            fault = _container_fault(container, inner)
            if fault:
                return fault
        if not inner:
            return ""
        level = inner
    return f"is nested deeper than {MOST_NESTING} levels"


def _container_fault(container: Any, inner: list[Any]) -> str:
    """What is wrong with the scalars of one container; the containers in it are added to `inner`."""
    if isinstance(container, Mapping):
        if not all(isinstance(key, str) and _sendable(key) for key in container):
            return "has a key that is not valid text"
        container = container.values()
    for item in container:
        if isinstance(item, (Mapping, list, tuple)):
            inner.append(item)
        elif fault := _scalar_fault(item):
            return fault
    return ""


def _scalar_fault(value: Any) -> str:
    if value is None or isinstance(value, int):
        return ""
    if isinstance(value, str):
        return "" if _sendable(value) else "holds text that is not valid Unicode"
    if not isinstance(value, float):
        return f"holds a {type(value).__name__}, which JSON can't carry; write it as text"
    return "" if math.isfinite(value) else "holds a number that JSON can't carry (NaN or infinite)"


def _sendable(value: str) -> bool:
    # json.loads lets lone surrogates in ("\ud800"); they would blow up at the next encode()
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    return "\x00" not in value


def _wrong(shape: Shape, value: Any, path: Path, report: Report, *, quote: bool = True) -> Any:
    report.error(path, f"must be {shape.words()}{got(value) if quote else ''}")
    return NOTHING


def got(value: Any) -> str:
    """What was found instead, short enough for one line."""
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    if isinstance(value, str):
        clean = "".join(letter if letter.isprintable() else "?" for letter in value[:41])
        return f', not "{clean}"' if len(value) <= 40 else f", not text of {len(value)} characters"
    if isinstance(value, (int, float)):
        return f", not {value}" if not abs(value) >= 1e18 else ", not a number that large"
    if value is None:
        return ", not null"
    return ", not a table" if isinstance(value, Mapping) else ", not a list" if isinstance(value, list) else ""
