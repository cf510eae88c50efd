"""Opening the SQLite file: its settings, its migrations, and clear words where it can't be used.

Migrations are the numbered files of `migrations/`; the number of the last one applied is `PRAGMA user_version`.
"""

import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Literal

from sovereign_pbx.core.errors import ConfigError

# "SPBX": tells our file from any other SQLite file, also for file(1)
APPLICATION_ID = 0x53504258

Synchronous = Literal["normal", "full"]


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration, ascending and without a gap."""
    folder = files("sovereign_pbx.store") / "migrations"
    scripts = sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name[:4].isdigit())
    numbered = [(int(name[:4]), text) for name, text in scripts]
    assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1)), "migrations are numbered 1, 2, 3 …"
    return numbered


def connect_writer(path: Path, synchronous: Synchronous = "full", busy_ms: int = 1000) -> sqlite3.Connection:
    """Open for writing, creating (mode 0600) and migrating as needed. ConfigError if the file can't serve."""
    try:
        _create(path)
        connection = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(path, exc) from exc
    try:
        _prepare(connection, path, synchronous)
    except sqlite3.Error as exc:
        connection.close()
        raise _unusable(path, exc) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, busy_ms: int = 1000) -> sqlite3.Connection:
    """A second connection of the daemon, which can't write."""
    connection = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


def connect_observer(path: Path, busy_ms: int = 2000) -> sqlite3.Connection:
    """Read-only, from another process, whether the daemon runs or not. ConfigError if there is nothing to read."""
    if not path.is_file():
        raise ConfigError("there is no call database here", file=str(path), remedy="name it with --database")
    # Without -wal nobody has the file open. SQLite would then want to create -shm beside it, which a reader without
    # write access to the directory can't; `immutable` skips that and is safe only in this case.
    idle = not path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK)
    address = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if idle else ''}"
    return _examined(address, path, busy_ms)


def connect_editor(path: Path, busy_ms: int = 5000) -> sqlite3.Connection:
    """Read and write, from another process, whether the daemon runs or not; nothing is created or migrated.
    ConfigError if there is nothing to open, or if it is of another version."""
    if not path.is_file():
        raise ConfigError("there is no call database here", file=str(path), remedy="name it with --database")
    connection = _examined(f"{path.resolve().as_uri()}?mode=rw", path, busy_ms)
    try:
        if _pragma(connection, "user_version") < len(migrations()):
            raise ConfigError(
                "an older version wrote this database", file=str(path), remedy="start the daemon once, it migrates"
            )
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _examined(address: str, path: Path, busy_ms: int) -> sqlite3.Connection:
    """A database of ours, opened, of this version or an older one. ConfigError if it is none; nothing is open then."""
    try:
        connection = sqlite3.connect(address, uri=True, timeout=busy_ms / 1000, isolation_level=None)
    except sqlite3.Error as exc:
        raise _unusable(path, exc) from exc
    try:
        _refuse_foreign(connection, path)
        _refuse_newer(connection, path)
    except BaseException as exc:
        connection.close()
        if isinstance(exc, sqlite3.Error):
            raise _unusable(path, exc) from exc
        raise
    return connection


def _create(path: Path) -> None:
    """SQLite gives -wal and -shm the mode of the file itself, so this one open decides for all three."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    _refuse_foreign(connection, path)
    _refuse_newer(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise ConfigError(
            f"the file system does not carry a write-ahead log (journal mode stayed {mode})",
            file=str(path),
            remedy="put [storage] path on a local disk; network shares don't work",
        )
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    # A burst may grow the log; afterwards the disk is given back.
    connection.execute("PRAGMA journal_size_limit = 16777216")
    _migrate(connection)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") == APPLICATION_ID:
        return
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise ConfigError(
            "this SQLite file belongs to another program",
            file=str(path),
            remedy="give [storage] path a file of its own",
        )


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    found, known = _pragma(connection, "user_version"), len(migrations())
    if found > known:
        raise ConfigError(
            f"a newer version wrote this database (schema {found}; this version knows up to {known})",
            file=str(path),
            remedy="install the newer version again, or restore a backup made before it",
        )


def _migrate(connection: sqlite3.Connection) -> None:
    for number, script in migrations():
        if number <= _pragma(connection, "user_version"):
            continue
        connection.execute("BEGIN IMMEDIATE")
        # The version is read again under the lock: another process may have been faster.
        if number > _pragma(connection, "user_version"):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """Split, because `executescript` would commit the transaction that must hold a whole migration."""
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    assert not pending.strip(), f"migration ends in the middle of a statement: {pending!r}"
    return found


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _unusable(path: Path, exc: Exception) -> ConfigError:
    code = getattr(exc, "sqlite_errorname", "") or ""
    if code in ("SQLITE_NOTADB", "SQLITE_CORRUPT") or code.startswith("SQLITE_CORRUPT"):
        return ConfigError(
            f"the call database is damaged: {exc}",
            file=str(path),
            remedy="move it aside and restore a backup (docs/operations.md), or start with an empty one",
        )
    return ConfigError(
        f"the call database can't be opened: {exc}",
        file=str(path),
        remedy="the directory must exist on a local disk with free space and belong to the daemon's user",
    )
