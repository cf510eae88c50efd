"""The call database, as commands of other processes than the daemon open it."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store import schema
from sovereign_pbx.store.failure import StoreError


@contextlib.contextmanager
def reading(invocation: Invocation, database: Path | None) -> Iterator[sqlite3.Connection]:
    """A connection that can't write. Raises CouldNotRun, ConfigError, StoreError."""
    with _opened(schema.connect_observer, database or _configured(invocation)) as connection:
        yield connection


@contextlib.contextmanager
def writing(invocation: Invocation, database: Path | None) -> Iterator[sqlite3.Connection]:
    """A connection that writes beside the daemon; what it makes on disk belongs to the database's owner."""
    path = database or _configured(invocation)
    with as_owner_of(path), _opened(schema.connect_editor, path) as connection:
        yield connection


@contextlib.contextmanager
def as_owner_of(path: Path) -> Iterator[None]:
    """Root acts as the owner of `path` meanwhile: SQLite's -wal and -shm must not become files that the daemon, who is
    not root, can't open. Others must be able to write to it by themselves."""
    if os.geteuid() != 0 or not path.exists():
        if path.exists() and not os.access(path, os.W_OK):
            raise CouldNotRun(f"{path} may not be written by this user; run as root or as the daemon's user")
        yield
        return
    owner, before = path.stat(), (os.geteuid(), os.getegid())
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


@contextlib.contextmanager
def _opened(connect: Callable[[Path], sqlite3.Connection], path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(path)
    try:
        yield connection
    except sqlite3.Error as exc:
        raise StoreError(f"the call database can't be used: {exc}") from exc
    finally:
        connection.close()


def _configured(invocation: Invocation) -> Path:
    try:
        return invocation.config().database
    except SovereignError as exc:
        raise CouldNotRun(f"{exc}\n    (--database FILE works without a configuration)") from exc
