"""Shapes of tables and lists, and dataclasses that declare their own shape.

`setting(default, shape, doc)` in a dataclass says everything about a key at the place where it is born;
`Record` reads such a class from a mapping.
"""

import copy
import dataclasses
import functools
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar, cast

from sovereign_pbx.assistants.problem import Path, Report, shown
from sovereign_pbx.assistants.secret import Secret, looks_secret
from sovereign_pbx.assistants.shape import NOTHING, Nullable, Opaque, Shape, got

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table. `default` is NOTHING where leaving it out has no value of its own."""

    name: str
    shape: Shape
    doc: str = ""
    default: Any = NOTHING
    required: bool = False
    aliases: tuple[str, ...] = ()
    example: Any = NOTHING

    @property
    def camel(self) -> str:
        """The older generation's spelling. `stt_config` and its kin were the same in both (contract §24)."""
        return self.name if self.name.endswith("_config") else camel(self.name)


class Table:
    """A table of named keys; `open` ones take unknown keys too (a provider's own settings)."""

    def __init__(self, *keys: Key, open: bool = False, rest: Shape | None = None) -> None:
        self.keys = {key.name: key for key in keys}
        self.open = open
        self.rest = rest  # shape of the unknown keys of an open table
        self._spellings = {camel(key.name): key.name for key in keys}
        self._spellings |= {alias: key.name for key in keys for alias in key.aliases}
        older = {camel(alias): key.name for key in keys for alias in key.aliases}
        self._spellings = {**older, **self._spellings}

    def canonical(self, name: str, present: Mapping[str, Any]) -> str:
        """The key that `name` spells; a key written in both spellings keeps the canonical one apart."""
        if name in self.keys:
            return name
        wanted = self._spellings.get(name, name)
        return name if wanted in present else wanted

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """The table with canonical names and values, what was unusable left out. null means "not given"."""
        if not isinstance(value, Mapping):
            report.error(path, f"must be {self.words()}{got(value)}")
            return NOTHING
        if not report.affords(path, len(value)):
            return NOTHING
        checked: dict[str, Any] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                report.error(path, "has a key that is not text")
                continue
            canonical = self.canonical(name, value)
            result = self._check_one(canonical, name, item, (*path, name), report)
            if result is not NOTHING:
                checked[canonical] = result
        self._require(value, path, report)
        return checked

    def _check_one(self, canonical: str, name: str, item: Any, path: Path, report: Report) -> Any:
        key = self.keys.get(canonical)
        if key is None:
            return self._check_unknown(name, item, path, report)
        try:
            return key.shape.check(item, path, report) if item is not None or _takes_null(key.shape) else NOTHING
        except RecursionError:
            report.error(path, "is nested too deeply")
            return NOTHING

    def _check_unknown(self, name: str, item: Any, path: Path, report: Report) -> Any:
        guess = report.guess(name, self.keys)
        remedy = f'did you mean "{guess}"?' if guess else ""
        if report.strict and not self.open:
            report.error(path, f'unknown key "{shown(name)}"', remedy or f"known here: {', '.join(self.keys)}")
            return NOTHING
        if guess:
            report.warn(path, f'unknown key "{shown(name)}" is kept but has no effect', remedy)
        checked = (self.rest or ANY).check(item, path, report)
        return Secret(checked) if isinstance(checked, str) and self.open and looks_secret(name) else checked

    def _require(self, value: Mapping[str, Any], path: Path, report: Report) -> None:
        given = {self.canonical(name, value) for name, item in value.items() if item is not None}
        for key in self.keys.values():
            if key.required and key.name not in given:
                report.error(path, f'"{key.name}" is missing', f"it must be {key.shape.words()}")

    def words(self) -> str:
        return "a table"

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        for key in self.keys.values():
            part = key.shape.json_schema()
            if key.doc:
                part["description"] = key.doc
            if key.default is not NOTHING and not dataclasses.is_dataclass(key.default):
                part["default"] = _plain(key.default)
            schema["properties"][key.name] = part
        required = [key.name for key in self.keys.values() if key.required]
        return schema | ({"required": required} if required else {}) | {"additionalProperties": self.open}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one shape; comes back as a tuple."""

    item: Shape
    least: int = 0
    most: int | None = None

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) < self.least or (self.most or len(value)) < len(value):
            size = f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
            report.error(path, f"must be {self.words()}" + (f", not{size} items" if size else got(value)))
            return NOTHING
        if report.is_full or not report.affords(path, len(value)):
            return NOTHING
        checked = [self.item.check(item, (*path, index), report) for index, item in enumerate(value)]
        return tuple(item for item in checked if item is not NOTHING)

    def words(self) -> str:
        size = f" of at most {self.most}" if self.most is not None else ""
        return f"a list{size}; each {self.item.words()}"

    def json_schema(self) -> dict[str, Any]:
        bound = {} if self.most is None else {"maxItems": self.most}
        return {"type": "array", "items": self.item.json_schema(), **bound}


@dataclass(frozen=True, slots=True)
class MapOf:
    """A table whose names the user chooses; all values have one shape."""

    value: Shape

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, Mapping):
            report.error(path, f"must be a table{got(value)}")
            return NOTHING
        checked = {name: self.value.check(item, (*path, name), report) for name, item in value.items()}
        return {name: item for name, item in checked.items() if item is not NOTHING}

    def words(self) -> str:
        return "a table of named tables"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.value.json_schema()}


class Record:
    """A dataclass declared with `setting`; `check` gives an instance, with defaults where a value was unusable."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    @functools.cached_property
    def table(self) -> Table:
        return Table(*keys_of(self.cls))

    def check(self, value: Any, path: Path, report: Report) -> Any:
        checked = self.table.check(value, path, report)
        if checked is NOTHING or any(key.required and key.name not in checked for key in self.table.keys.values()):
            return NOTHING
        return self.cls(**checked)

    def words(self) -> str:
        return "a table"

    def json_schema(self) -> dict[str, Any]:
        return self.table.json_schema()


ANY = Opaque("any")


def setting(
    default: T,
    shape: Shape,
    doc: str,
    *,
    required: bool = False,
    aliases: tuple[str, ...] = (),
    example: Any = NOTHING,
) -> T:
    """A dataclass field that is also a key of the configuration."""
    key = {"shape": shape, "doc": doc, "required": required, "aliases": aliases, "example": example}
    made: Any = (
        dataclasses.field(default_factory=functools.partial(copy.copy, default), metadata=key)
        if isinstance(default, (dict, list))
        else dataclasses.field(default=default, metadata=key)
    )
    return cast(T, made)


def section(cls: type) -> dict[str, Any]:
    """`metadata` of a dataclass field that is a table of its own, declared by `cls`."""
    return {"shape": Record(cls), "doc": inspect.getdoc(cls) or ""}


def keys_of(cls: type) -> Iterator[Key]:
    """The keys that a dataclass declares, in order."""
    for field in dataclasses.fields(cls):
        if "shape" in field.metadata:
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            yield Key(name=field.name, default=default, **field.metadata)


def camel(name: str) -> str:
    """`first_message` as `firstMessage`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _takes_null(shape: Shape) -> bool:
    return isinstance(shape, Nullable)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
