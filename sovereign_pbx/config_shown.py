"""The configuration as it may be printed: effective values, defaults included, secrets masked."""

from collections.abc import Mapping
from typing import Any

from sovereign_pbx.assistants.public import is_secret
from sovereign_pbx.assistants.secret import MASK, looks_secret
from sovereign_pbx.assistants.shape import Nullable, Shape
from sovereign_pbx.assistants.table import ListOf, MapOf, Record, Table
from sovereign_pbx.config import ROOT, Config
from sovereign_pbx.config_layout import has_default
from sovereign_pbx.config_source import read_source


def shown(config: Config, *, sources: bool = False) -> dict[str, Any]:
    """`config` as a dict of plain values. `sources`: a secret is shown as the reference that stands for it."""
    written = read_source(config.path).data if sources else {}
    parts: dict[str, Any] = _Mask().of(ROOT, config.resolved, written)
    sections = {key.name: key for key in ROOT.keys.values() if isinstance(key.shape, Record)}
    filled = {name: _filled(key.shape, parts.get(name, {})) for name, key in sections.items()}
    return {**filled, **{name: value for name, value in parts.items() if name not in filled}}


class _Mask:
    def of(self, shape: Shape | None, value: Any, written: Any, name: str = "") -> Any:
        if isinstance(shape, Record):
            return self.of(shape.table, value, written, name)
        if isinstance(shape, Nullable):
            return self.of(shape.inner, value, written, name)
        if isinstance(value, Mapping):
            return {
                key: self.of(_inner(shape, key, value), item, _at(written, key), key) for key, item in value.items()
            }
        if isinstance(value, list):
            item_shape = shape.item if isinstance(shape, ListOf) else None
            return [self.of(item_shape, item, _at(written, index), name) for index, item in enumerate(value)]
        if value and (is_secret(shape) if shape is not None else looks_secret(name)):
            return written if isinstance(written, str) and written.startswith("${") else MASK
        return value


def _inner(shape: Shape | None, name: str, present: Mapping[str, Any]) -> Shape | None:
    if isinstance(shape, MapOf):
        return shape.value
    if isinstance(shape, Table):
        key = shape.keys.get(shape.canonical(name, present))
        return key.shape if key else None
    return shape


def _at(written: Any, key: str | int) -> Any:
    try:
        return written[key]
    except (KeyError, IndexError, TypeError):
        return None


def _filled(shape: Shape, value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` in the order of its shape, with the defaults of what it leaves out."""
    filled: dict[str, Any] = {}
    for key in shape.table.keys.values() if isinstance(shape, Record) else ():
        if isinstance(key.shape, Record):
            filled[key.name] = _filled(key.shape, value.get(key.name, {}))
        elif key.name in value or has_default(key):
            filled[key.name] = value.get(key.name, key.default)
    return filled
