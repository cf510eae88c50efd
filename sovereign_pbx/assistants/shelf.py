"""Every object of one kind: those of the administrator's file, which are only read, and those the API made.

A change is on disk before anybody sees it. Objects are replaced as a whole, so whoever holds one keeps it as it was.
Whoever changes anything holds `changing` from the first look at what there is: two who do it at once lose nothing.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from sovereign_pbx.assistants.secret import Secret

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[T]):
    """One object. `fields` is what was given, canonical and with its secrets; `thing` what came of it.

    `place` is where the administrator wrote it ("/etc/…/config.toml:12"), `table` the name of its table there; both are
    "" for what the API made and may change.
    """

    id: str
    fields: Mapping[str, Any] = field(repr=False)
    thing: T
    place: str = ""
    table: str = ""
    created_at: str = ""
    updated_at: str = ""


class Keep(Protocol):
    """Where API-made objects stay over a restart. Both raise SovereignError when the disk refuses."""

    async def write(self, kind: str, object_id: str, fields: Mapping[str, Any]) -> None: ...

    async def remove(self, kind: str, object_id: str) -> None: ...


class Shelf(Generic[T]):
    """The objects of one kind, by id, in the order in which they came. `changed` is called after each change.

    Of two with the same id the first stays. `changing` may be shared with other shelves: objects refer to each other,
    so that what is written to one depends on what stands on another.
    """

    def __init__(
        self,
        kind: str,
        keep: Keep,
        entries: Iterable[Entry[T]] = (),
        changing: asyncio.Lock | None = None,
        *,
        hide: Callable[[str], None] = lambda secret: None,
    ) -> None:
        self.kind = kind
        self.changed: Callable[[], None] = lambda: None
        self.changing = changing or asyncio.Lock()
        self._keep = keep
        self._entries: dict[str, Entry[T]] = {}
        self._hide = hide
        self.restock(entries)
        for entry in self._entries.values():
            self._hide_secrets(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(tuple(self._entries.values()))

    def restock(self, entries: Iterable[Entry[T]]) -> None:
        """Put these, whose secrets are hidden already, in place of all present ones. Nothing is written, and `changed`
        is not called."""
        fresh: dict[str, Entry[T]] = {}
        for entry in entries:
            fresh.setdefault(entry.id, entry)
        self._entries = fresh

    def get(self, object_id: str) -> Entry[T] | None:
        """By its id."""
        return self._entries.get(object_id)

    def find(self, reference: str) -> Entry[T] | None:
        """What another object refers to: by its id, or by the name of its table in the administrator's file."""
        named = (entry for entry in self if entry.table and entry.table == reference)
        return self._entries.get(reference) or next(named, None)

    async def put(self, entry: Entry[T]) -> None:
        """Add the object, or replace the one with its id, within `changing`. SovereignError when the disk refuses."""
        assert self.changing.locked(), "what is written was read within `changing`"
        self._hide_secrets(entry)
        stamps = {"created_at": entry.created_at, "updated_at": entry.updated_at}
        await self._keep.write(self.kind, entry.id, {**entry.fields, "id": entry.id, **stamps})
        self._entries[entry.id] = entry
        self.changed()

    async def remove(self, object_id: str) -> None:
        """Take the object away, within `changing`. SovereignError when the disk refuses."""
        assert self.changing.locked(), "what is removed was read within `changing`"
        await self._keep.remove(self.kind, object_id)
        self._entries.pop(object_id, None)
        self.changed()

    def _hide_secrets(self, entry: Entry[T]) -> None:
        for secret in secrets_in(entry.thing):
            self._hide(secret)


def secrets_in(thing: Any) -> Iterator[Secret]:
    """Every secret that an object holds, however deep."""
    waiting = [thing]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif dataclasses.is_dataclass(value):
            waiting += (getattr(value, field.name) for field in dataclasses.fields(value))
