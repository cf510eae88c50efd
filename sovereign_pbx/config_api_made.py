"""What was made through the API: one TOML file an object, in a folder for each kind (`assistants.d` and so on).

The daemon writes them, so nobody misspells a key there, and references in them are never expanded. A file that
can't be read costs its own object and no other: a telephone system must not stay down for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sovereign_pbx.assistants.kinds import ASSISTANTS, KINDS, Kind
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.config_findings import Finding, located
from sovereign_pbx.config_source import read_source
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.store.object_files import folder_of, restored

Made = Mapping[str, tuple[Entry[Any], ...]]

_STAMPS = ("created_at", "updated_at")


def machine_owned(state_dir: Path) -> tuple[Made, list[Finding]]:
    """The objects by the name of their kind, oldest first, and what is wrong with those that are left out."""
    findings: list[Finding] = []
    return {kind.name: tuple(_entries(kind, state_dir, findings)) for kind in KINDS}, findings


def _entries(kind: Kind[Any], state_dir: Path, findings: list[Finding]) -> list[Entry[Any]]:
    folder = folder_of(state_dir, kind.name)
    try:
        files = sorted(folder.glob("[!.]*.toml"))
    except OSError as exc:
        findings.append(_warning(kind, folder, f"can't be read: {exc.strerror}"))
        return []
    found = [entry for file in files if (entry := _entry(kind, file, findings)) is not None]
    return sorted(found, key=lambda entry: (entry.created_at, entry.id))


def _entry(kind: Kind[Any], file: Path, findings: list[Finding]) -> Entry[Any] | None:
    report = Report()
    try:
        source = read_source(file)
        fields = restored(source.data)
        usual = {"name": file.stem} if kind is ASSISTANTS else {}
        thing = kind.read({**usual, **fields, "id": file.stem}, (), report)
    except ConfigError as error:
        findings.append(_warning(kind, file, error.message, error.line, error.column))
        return None
    if thing is None:
        problems = located(report.errors, str(file), source.positions)
        findings += [_warning(kind, file, found.message, found.line, found.column) for found in problems]
        return None
    given = {name: value for name, value in fields.items() if name not in ("id", *_STAMPS)}
    stamps = {name: str(fields.get(name, "")) for name in _STAMPS}
    return Entry(id=file.stem, fields=given, thing=thing, **stamps)


def _warning(kind: Kind[Any], file: Path, message: str, line: int | None = None, column: int | None = None) -> Finding:
    remedy = f"this {kind.name.replace('_', ' ')} is left out; mend or remove the file"
    return Finding(message=message, severity="warning", file=str(file), line=line, column=column, remedy=remedy)
