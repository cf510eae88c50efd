"""Objects that were made through the API: one TOML file each, owned by the daemon, in a folder for each kind.

TOML has no null, but users' own data (metadata, JSON Schema) may hold it: there it is written `{ "$null" = true }`, and
what looks like that in the data itself gets one more `$`.
A file is replaced as a whole, so a crash leaves the old one or the new one.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from sovereign_pbx.store.failure import StoreError

NULL: Final = {"$null": True}

HEAD: Final = "# Made through the API, and to be changed through it: the daemon owns this file.\n\n"


class ObjectFiles:
    """`assistants.shelf.Keep` on disk: `FOLDER/KINDs.d/ID.toml`, readable by the daemon's user alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<ObjectFiles {self._folder}>"

    async def write(self, kind: str, object_id: str, fields: Mapping[str, Any]) -> None:
        """Raises StoreError when the disk refuses; what was there before is there still."""
        try:
            await asyncio.to_thread(_write, folder_of(self._folder, kind) / f"{object_id}.toml", fields)
        except (OSError, ValueError, TypeError) as exc:
            raise StoreError(f"the {kind} could not be written: {getattr(exc, 'strerror', None) or exc}") from exc

    async def remove(self, kind: str, object_id: str) -> None:
        """Raises StoreError when the disk refuses."""
        file = folder_of(self._folder, kind) / f"{object_id}.toml"
        try:
            await asyncio.to_thread(_remove, file)
        except OSError as exc:
            raise StoreError(f"the {kind} could not be removed: {exc.strerror}") from exc


def folder_of(state_dir: Path, kind: str) -> Path:
    """`assistants.d` of the state folder, and likewise for the other kinds."""
    return state_dir / f"{kind}s.d"


def restored(value: Any) -> Any:
    """What was read from a file, as it was before it was written."""
    if isinstance(value, dict):
        if value == NULL:
            return None
        if _looks_like_null(value):
            value = {name.removeprefix("$"): item for name, item in value.items()}
        return {name: restored(item) for name, item in value.items()}
    return [restored(item) for item in value] if isinstance(value, list) else value


def _write(file: Path, fields: Mapping[str, Any]) -> None:
    text = HEAD + tomli_w.dumps(_storable(fields))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f".{file.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, file)
    _sync_folder(file.parent)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    if file.parent.is_dir():
        _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """A rename is only safe from a power cut once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storable(value: Any) -> Any:
    if value is None:
        return dict(NULL)
    if isinstance(value, Mapping):
        mark = "$" if _looks_like_null(value) else ""
        return {f"{mark}{name}": _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _looks_like_null(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).lstrip("$") == "null" and "$null" in next(iter(value))
