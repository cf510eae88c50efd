"""What stands in the administrator's file and what the API made, brought together."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sovereign_pbx.assistants.directory import normal
from sovereign_pbx.assistants.shelf import Entry

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

Entries = Mapping[str, tuple[Entry[Any], ...]]
"""By the name of the kind (assistants/kinds.py)."""

_TABLES = {"assistant": "assistants", "sip_trunk": "trunks", "mcp_server": "mcp_servers", "workflow": "workflows"}
"""Kinds that are written as named tables, and the part of the configuration they are."""


def own_entries(config: "Config", place: Callable[..., str], changed_at: str) -> Entries:
    """What the administrator wrote. `place` gives file and line of a path.

    `changed_at`, when the file was saved, is their `created_at` and `updated_at`: client libraries know no object
    without (contract §4.1).
    """
    stamps = {"created_at": changed_at, "updated_at": changed_at}
    entries: dict[str, tuple[Entry[Any], ...]] = {}
    for kind, part in _TABLES.items():
        entries[kind] = tuple(
            Entry(id=thing.id, fields={}, thing=thing, place=place(part, name), table=name, **stamps)
            for name, thing in getattr(config, part).items()
        )
    entries["number"] = tuple(
        Entry(id=number.id, fields={}, thing=number, place=place("numbers", index), **stamps)
        for index, number in enumerate(config.numbers)
    )
    return entries


def merged(config: "Config", made: Entries) -> dict[str, Any]:
    """The parts of `config` with what the API made; where both have the same id or number, the file's counts."""
    parts: dict[str, Any] = {"made": made}
    for kind, part in _TABLES.items():
        own: Mapping[str, Any] = getattr(config, part)
        written = {thing.id for thing in own.values()}
        parts[part] = {entry.id: entry.thing for entry in made[kind] if entry.id not in written} | dict(own)
    taken = {normal(number.number) for number in config.numbers}
    added = tuple(entry.thing for entry in made["number"] if normal(entry.thing.number) not in taken)
    parts["numbers"] = config.numbers + added
    return parts


def entries_of(config: "Config") -> Entries:
    """Both, the administrator's first: what `Estate` is made of."""
    kinds = {*config.own, *config.made}
    return {kind: (*config.own.get(kind, ()), *config.made.get(kind, ())) for kind in kinds}
