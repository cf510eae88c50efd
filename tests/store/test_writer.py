"""The disk refuses, for a while or for good: nothing is lost in silence, nobody is blocked, health tells."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from sovereign_pbx.store import CallRow, schema
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.store.writer import Statement, Writer


async def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - what is watched lives in a thread and has no event
            await asyncio.sleep(0.005)


class Disk:
    """Connections to one table, on a disk whose free space can be taken and given back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pages = 1_000_000

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=0.01)
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        connection.execute(f"PRAGMA max_page_count = {self.pages}")
        return connection

    def count(self) -> int:
        connection = sqlite3.connect(self.path)
        found = int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])
        connection.close()
        return found


def note(text: str = "x" * 9000) -> list[Statement]:
    return [Statement("INSERT INTO notes VALUES (?)", (text,))]


def test_writes_to_a_full_disk_are_kept_and_written_when_there_is_room(tmp_path: Path) -> None:
    async def run() -> None:
        disk = Disk(tmp_path / "notes.db")
        disk.pages = 4
        writer = Writer(disk.connect, retry_s=(0.005, 0.01))
        await asyncio.to_thread(writer.start)
        writes = [asyncio.ensure_future(writer.write("note", note())) for _ in range(20)]
        await until(lambda: writer.state.status == "degraded")
        assert "full" in writer.state.error
        disk.pages = 1_000_000
        await asyncio.gather(*writes)
        assert (writer.state.status, writer.state.error) == ("ok", "")
        assert await asyncio.to_thread(disk.count) == 20
        await asyncio.to_thread(writer.close, 1.0)

    asyncio.run(run())


def test_a_cancelled_wait_does_not_take_the_write_back(tmp_path: Path) -> None:
    async def run() -> None:
        disk = Disk(tmp_path / "notes.db")
        disk.pages = 2
        writer = Writer(disk.connect, retry_s=(0.005, 0.01))
        await asyncio.to_thread(writer.start)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await writer.write("note", note())
        disk.pages = 1_000_000
        await until(lambda: writer.state.pending == 0)
        assert await asyncio.to_thread(disk.count) == 1
        await asyncio.to_thread(writer.close, 1.0)

    asyncio.run(run())


def test_what_the_disk_refuses_until_the_end_is_an_error_and_a_log_line(tmp_path: Path) -> None:
    async def run() -> None:
        disk = Disk(tmp_path / "notes.db")
        disk.pages = 2
        writer = Writer(disk.connect, retry_s=(0.005, 0.01))
        await asyncio.to_thread(writer.start)
        write = asyncio.ensure_future(writer.write("note", note()))
        await until(lambda: writer.state.status == "degraded")
        await asyncio.to_thread(writer.close, 0.05)
        with pytest.raises(StoreError, match=r"note: not written.*full"):
            await write

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run())
    assert [line["writes"] for line in lines if line["event"] == "store_writes_lost"] == [["note"]]


def test_a_full_queue_makes_the_next_one_wait_and_then_fail_by_name(tmp_path: Path) -> None:
    async def run() -> None:
        disk = Disk(tmp_path / "notes.db")
        disk.pages = 2
        writer = Writer(disk.connect, limit=3, admit_s=0.05, retry_s=(0.005, 0.01))
        await asyncio.to_thread(writer.start)
        kept = [asyncio.ensure_future(writer.write("note", note())) for _ in range(3)]
        await until(lambda: writer.state.pending == 3)
        with pytest.raises(StoreError, match=r"one more: the store's queue is full.*disk is full"):
            await writer.write("one more", note())
        disk.pages = 1_000_000
        await asyncio.gather(*kept)
        await writer.write("one more", note())
        assert await asyncio.to_thread(disk.count) == 4
        await asyncio.to_thread(writer.close, 1.0)

    asyncio.run(run())


def test_a_statement_that_is_wrong_for_good_is_not_retried(tmp_path: Path) -> None:
    async def run() -> None:
        writer = Writer(Disk(tmp_path / "notes.db").connect)
        await asyncio.to_thread(writer.start)
        with pytest.raises(StoreError, match="no such table"):
            await writer.write("bad", [Statement("INSERT INTO nowhere VALUES (1)", ())])
        with pytest.raises(StoreError, match="surrogates not allowed"):
            await writer.write("bad", note("\ud800"))
        await writer.write("good", note())
        await asyncio.to_thread(writer.close, 1.0)

    asyncio.run(run())


def test_a_lock_held_by_another_process_degrades_health_and_then_passes(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.ensure_future(store.create_call(CallRow(id="c1")))
        await until(lambda: store._writer.state.status == "degraded")
        health = await store.health()
        assert (health.status, health.pending) == ("degraded", 1)
        assert "locked" in health.error
        other.execute("ROLLBACK")
        other.close()
        await write
        assert (await store.health()).status == "ok"
        await store.close()

    asyncio.run(run())


def test_a_file_damaged_under_way_is_reported_and_works_again_once_replaced(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        for leftover in ("calls.db", "calls.db-wal", "calls.db-shm"):
            (tmp_path / leftover).unlink()
        (tmp_path / "calls.db").write_bytes(b"rubbish" * 1000)
        store._writer._disconnect()  # as after any failed write: the next one opens the file anew
        store._close_reader()
        write = asyncio.ensure_future(store.create_call(CallRow(id="c1")))
        await until(lambda: store._writer.state.status == "degraded")
        assert "damaged" in store._writer.state.error
        (tmp_path / "calls.db").unlink()
        await write
        await store.close()

    asyncio.run(run())
    connection = schema.connect_observer(tmp_path / "calls.db")
    assert connection.execute("SELECT id FROM calls").fetchall() == [("c1",)]
    connection.close()


def test_concurrent_writes_share_a_commit(tmp_path: Path) -> None:
    commits: list[str] = []

    def connect() -> sqlite3.Connection:
        connection = Disk(tmp_path / "notes.db").connect()
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        return connection

    async def run() -> None:
        writer = Writer(connect)
        await asyncio.to_thread(writer.start)
        await asyncio.gather(*(writer.write("note", note("a")) for _ in range(200)))
        await asyncio.to_thread(writer.close, 1.0)

    asyncio.run(run())
    assert len(commits) <= 20
