"""What one configuration says otherwise than another: by name and key, values where they are short, secrets never."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sovereign_pbx.assistants.secret import Secret, looks_secret
from sovereign_pbx.assistants.table import Record
from sovereign_pbx.config import ROOT, Config
from sovereign_pbx.log import redact_text

_LONGEST: Final = 80
_TABLES: Final = {
    "assistant": "assistants",
    "sip_trunk": "trunks",
    "mcp_server": "mcp_servers",
    "workflow": "workflows",
    "number": "numbers",
}
"""Kinds of objects in the administrator's file, and where they stand there."""

_ABSENT: Final = object()
_AS_WRITTEN: Final = "given"  # what an assistant was made of, beside what it came to


@dataclass(frozen=True, slots=True)
class Change:
    """One key. `before` and `after` are "" for what is not shown: secrets, and parts of objects."""

    key: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.key} {self.before} → {self.after}" if self.before or self.after else self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`needs_restart`: what the file says and the daemon can't take up while it runs."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()
    needs_restart: tuple[Change, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: [_as_dict(one) for one in getattr(self, name)] for name in self.__slots__}

    def logged(self) -> dict[str, list[str]]:
        """For the log: only what there is."""
        parts = {name: [str(one) for one in getattr(self, name)] for name in self.__slots__}
        return {name: part for name, part in parts.items() if part}

    def lines(self) -> list[str]:
        """For people."""
        return [
            *(f"added: {name}" for name in self.added),
            *(f"removed: {name}" for name in self.removed),
            *(f"changed: {change}" for change in self.changed),
            *(f"needs a restart: {change}" for change in self.needs_restart),
        ]


def _as_dict(one: str | Change) -> str | dict[str, Any]:
    return one if isinstance(one, str) else dataclasses.asdict(one)


def usable(present: Config, wanted: Config) -> Config:
    """`wanted`, as far as a daemon that runs with `present` can take it up: listeners, what is about the PBX, the store
    and the form of the log stay what they were at the start."""
    fixed = {name: getattr(present.http, name) for name in ("enabled", "host", "port", "tls_certificate", "tls_key")}
    return replace(
        wanted,
        daemon=replace(wanted.daemon, state_dir=present.daemon.state_dir),
        http=replace(wanted.http, **fixed),
        asterisk=replace(present.asterisk, advertise_host=wanted.asterisk.advertise_host),
        freeswitch=present.freeswitch,
        sip=present.sip,
        registrations=present.registrations,
        dialling=replace(wanted.dialling, context=present.dialling.context),
        storage=present.storage,
        log=replace(wanted.log, format=present.log.format),
    )


def difference(present: Config, wanted: Config) -> Difference:
    """What becomes another if `wanted` takes the place of `present`, as far as it can."""
    next_one = usable(present, wanted)
    before, after = _objects(present), _objects(next_one)
    objects = (Change(key) for name in before if name in after for key in _parts(name, before[name], after[name]))
    return Difference(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=(*_sections(present, next_one), *objects),
        needs_restart=tuple(_sections(next_one, wanted)),
    )


def _sections(before: Config, after: Config) -> Iterator[Change]:
    for key in ROOT.keys.values():
        if isinstance(key.shape, Record) and hasattr(before, key.name):
            yield from _settings(key.name, getattr(before, key.name), getattr(after, key.name))


def _settings(name: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if dataclasses.is_dataclass(before) and dataclasses.is_dataclass(after):
        for field in dataclasses.fields(before):
            yield from _settings(f"{name}.{field.name}", getattr(before, field.name), getattr(after, field.name))
    elif isinstance(before, Secret) or isinstance(after, Secret):
        yield Change(name)
    else:
        yield Change(name, _shown(before), _shown(after))


def _shown(value: Any) -> str:
    text = redact_text(json.dumps(value, ensure_ascii=False, default=_plain))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)


def _objects(config: Config) -> dict[str, Any]:
    """What stands in the administrator's file under a name of its own, by table and name."""
    found: dict[str, Any] = {f"providers.{name}": account for name, account in config.providers.items()}
    for kind, table in _TABLES.items():
        for entry in config.own.get(kind, ()):
            found[f"{table}.{entry.table or entry.thing.number}"] = entry.thing
    return found


def _parts(name: str, before: Any, after: Any, depth: int = 0) -> Iterator[str]:
    """Keys of an object that are others, two levels deep: `assistants.reception.llm_config.model`."""
    if before == after:
        return
    old, new = _keyed(before), _keyed(after)
    if depth == 2 or old is None or new is None or looks_secret(name.rpartition(".")[2]):
        yield name
        return
    for key in {**old, **new}:
        if old.get(key, _ABSENT) != new.get(key, _ABSENT):
            yield from _parts(f"{name}.{key}", old.get(key, _ABSENT), new.get(key, _ABSENT), depth + 1)


def _keyed(value: Any) -> Mapping[str, Any] | None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value) if field.name != _AS_WRITTEN)
        return {name: getattr(value, name) for name in names}
    return value if isinstance(value, Mapping) else None
