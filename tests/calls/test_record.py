"""A call's writes: in order, together where they come together, none lost for another's sake."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore


class CountingStore(SqliteStore):
    """Knows how many writes waited for the disk at once."""

    waiting = 0
    most_waiting = 0

    async def add_event(self, call_id: str, name: str, values: Mapping[str, Any], at: str) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await super().add_event(call_id, name, values, at)
        finally:
            self.waiting -= 1


@asynccontextmanager
async def recording(folder: Path) -> AsyncIterator[tuple[CountingStore, CallRecord]]:
    store = await CountingStore.open(folder / "calls.db")
    record = CallRecord("c1", store, lambda: None)
    task = asyncio.create_task(record.run())
    try:
        yield store, record
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()


def test_writes_that_come_together_wait_for_the_disk_together_and_keep_their_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with recording(tmp_path) as (store, record):
            record.create(CallRow(id="c1"))
            for number in range(20):
                record.event(f"e{number}", {})
                record.message(Message("user", str(number)))
            record.change({"status": "ended"})
            await record.settle()
            assert [name for _, name, _ in await store.events("c1")] == [f"e{number}" for number in range(20)]
            assert [message.content for message in await store.messages("c1")] == [str(number) for number in range(20)]
            row = await store.call("c1")
            assert row is not None and row.status == "ended"
            assert store.most_waiting == 20

    asyncio.run(main())


def test_a_write_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with recording(tmp_path) as (store, record):
            record.create(CallRow(id="c1"))
            record.event("before", {})
            record.change({"no_such_field": 1})
            record.event("after", {})
            await record.settle()
            record.event("later", {})
            await record.settle()
            assert [name for _, name, _ in await store.events("c1")] == ["before", "after", "later"]

    asyncio.run(main())
