"""Files that can't serve are refused with what is wrong and the remedy."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.store import schema
from sovereign_pbx.store.sqlite import SqliteStore


def open_and_close(path: Path) -> None:
    async def run() -> None:
        await (await SqliteStore.open(path)).close()

    asyncio.run(run())


def test_migrations_are_applied_once_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "state" / "calls.db"
    open_and_close(path)
    open_and_close(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.migrations()),)
    connection.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    open_and_close(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(ConfigError, match=r"schema 999.*\n.*newer version again"):
        open_and_close(path)


def test_a_failed_migration_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.db"
    real = schema.migrations()
    broken = [*real, (len(real) + 1, "CREATE TABLE half (a TEXT);\nINSERT INTO nowhere VALUES (1);\n")]
    monkeypatch.setattr(schema, "migrations", lambda: broken)
    with pytest.raises(ConfigError, match="nowhere"):
        open_and_close(path)
    monkeypatch.setattr(schema, "migrations", lambda: real)
    open_and_close(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    connection.close()


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="belongs to another program"):
        open_and_close(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(ConfigError, match=r"damaged.*\n.*backup"):
        open_and_close(path)


def test_a_directory_in_place_of_the_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}: the call database can't be opened"):
        open_and_close(tmp_path)


def test_an_observer_reads_while_the_daemon_writes_and_cannot_write(tmp_path: Path) -> None:
    writer = schema.connect_writer(tmp_path / "calls.db")
    observer = schema.connect_observer(tmp_path / "calls.db")
    assert observer.execute("SELECT count(*) FROM calls").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        observer.execute("DELETE FROM calls")
    observer.close()
    writer.close()


def test_an_observer_is_told_when_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no call database here"):
        schema.connect_observer(tmp_path / "calls.db")
    assert list(tmp_path.iterdir()) == []


def test_a_statement_may_hold_a_semicolon_in_its_text() -> None:
    assert schema._statements("-- one; two\nSELECT ';';\nSELECT 2;\n") == ["-- one; two\nSELECT ';';", "SELECT 2;"]
