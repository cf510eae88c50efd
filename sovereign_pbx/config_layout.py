"""The configuration as sections and keys in the order of the file; example and reference are drawn from it.

A table whose key has an example is shown by that, in one line, instead of key by key.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sovereign_pbx.assistants.shape import NOTHING, Nullable, Shape, Text
from sovereign_pbx.assistants.table import Key, ListOf, MapOf, Record, Table
from sovereign_pbx.config import ROOT

SAMPLES = {
    "providers": "openai",
    "assistants": "reception",
    "trunks": "carrier",
    "registrations": "pbx",
    "mcp_servers": "orders",
    "workflows": "intake",
}
"""Names that the user chooses, as the example chooses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of the file. `repeated` tables are written `[[…]]`; `named` ones have a name that the user chooses."""

    path: tuple[str, ...]
    doc: str
    table: Table
    repeated: bool = False
    named: bool = False
    keys: tuple[Key, ...] = field(default=())

    @property
    def header(self) -> str:
        name = ".".join(self.path)
        return f"[[{name}]]" if self.repeated else f"[{name}]"


def sections() -> Iterator[Section]:
    """Every section of the file, tables before the tables in them."""
    for key in ROOT.keys.values():
        yield from _sections((key.name,), key.shape, key.doc)


def _sections(path: tuple[str, ...], shape: Shape, doc: str) -> Iterator[Section]:
    if isinstance(shape, MapOf):
        yield from _sections_of((*path, SAMPLES[path[-1]]), shape.value, doc, named=True)
    else:
        yield from _sections_of(path, shape, doc)


def _sections_of(path: tuple[str, ...], shape: Shape, doc: str, *, named: bool = False) -> Iterator[Section]:
    table, repeated = table_of(shape)
    if table is None:
        return
    plain = tuple(key for key in table.keys.values() if table_of(key.shape)[0] is None or key.example is not NOTHING)
    doc = doc or (" ".join((shape.cls.__doc__ or "").split("\n\n")[0].split()) if isinstance(shape, Record) else "")
    yield Section(path=path, doc=doc, table=table, repeated=repeated, named=named, keys=plain)
    for key in table.keys.values():
        if key not in plain:
            yield from _sections_of((*path, key.name), key.shape, key.doc)


def table_of(shape: Shape) -> tuple[Table | None, bool]:
    """The table behind a shape, and whether it stands in a list; None for plain values."""
    if isinstance(shape, Nullable):
        return table_of(shape.inner)
    if isinstance(shape, ListOf):
        return table_of(shape.item)[0], True
    if isinstance(shape, Record):
        return shape.table, False
    return (shape, False) if isinstance(shape, Table) else (None, False)


def has_default(key: Key) -> bool:
    """Does leaving the key out mean a value that can be written down? TOML has no null; "" may mean "derived"."""
    derived = key.default == "" and isinstance(key.shape, Text) and key.shape.least > 0
    return key.default is not NOTHING and key.default is not None and not derived and not key.required
