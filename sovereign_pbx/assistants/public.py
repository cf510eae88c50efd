"""What may leave the daemon: a table without its secrets."""

from collections.abc import Mapping
from typing import Any

from sovereign_pbx.assistants.secret import looks_secret
from sovereign_pbx.assistants.shape import Nullable, Shape, Text
from sovereign_pbx.assistants.table import ListOf, MapOf, Table


def without_secrets(shape: Shape, value: Any) -> Any:
    """A copy of `value` with secret keys left out and tuples as lists. User data (Opaque) is kept as it is.

    In a provider block, whose keys are not all known, a key is left out when its name says what it is.
    """
    if isinstance(shape, Nullable):
        return without_secrets(shape.inner, value)
    if isinstance(shape, Table) and isinstance(value, Mapping):
        return {name: _inner(shape, name, item) for name, item in value.items() if not _hidden(shape, name)}
    if isinstance(shape, MapOf) and isinstance(value, Mapping):
        return {name: without_secrets(shape.value, item) for name, item in value.items()}
    if isinstance(shape, ListOf) and isinstance(value, (list, tuple)):
        return [without_secrets(shape.item, item) for item in value]
    return value


def is_secret(shape: Shape) -> bool:
    """Does this shape hold a secret?"""
    return isinstance(shape, Text) and shape.secret


def _inner(table: Table, name: str, item: Any) -> Any:
    key = table.keys.get(name)
    return _scrubbed(item) if key is None else without_secrets(key.shape, item)


def _scrubbed(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {name: _scrubbed(inner) for name, inner in item.items() if not looks_secret(name)}
    return [_scrubbed(inner) for inner in item] if isinstance(item, (list, tuple)) else item


def _hidden(table: Table, name: str) -> bool:
    key = table.keys.get(name)
    return looks_secret(name) if key is None else is_secret(key.shape)
