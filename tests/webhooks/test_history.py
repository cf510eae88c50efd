"""What is settled is kept for a while and no longer; what is owed stays."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from sovereign_pbx.store import CallRow
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.webhooks.envelope import utc_text
from sovereign_pbx.webhooks.history import keep_short, sweep
from tests.store.calls import outgoing
from tests.waiting import until

NOW = datetime.now(UTC)


def at(days: float) -> str:
    return utc_text(NOW + timedelta(days=days))


async def left(store: SqliteStore, call_id: str = "c1") -> list[str]:
    return [one.webhook_id for one in await store.deliveries(call_id)]


def test_what_was_settled_long_ago_goes_and_what_is_owed_stays(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        await store.create_call(CallRow(id="c1"), [outgoing(f"w{n}") for n in range(4)])
        await store.delivered("w0", at(1))
        await store.bury("w1", at(1), "no")
        await store.delivered("w2", at(20))
        assert await sweep(store, at(0.5)) == 0
        assert await sweep(store, at(10)) == 2
        assert await left(store) == ["w2", "w3"]
        assert await sweep(store, at(1000)) == 1
        assert await left(store) == ["w3"]
        await store.close()

    asyncio.run(run())


def test_many_go_in_batches(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db", synchronous="normal")
        for n in range(30):
            await store.create_call(CallRow(id=f"c{n}"), [outgoing(f"w{n}", f"c{n}")])
            await store.delivered(f"w{n}", at(0))
        assert await store.forget_webhooks(at(1), limit=20) == 20
        assert await store.forget_webhooks(at(1), limit=20) == 10
        assert await store.forget_webhooks(at(1), limit=20) == 0
        await store.close()

    asyncio.run(run())


class Unwell:
    """A store that fails the first time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def forget_webhooks(self, before: str, limit: int = 500) -> int:
        self.asked.append(before)
        if len(self.asked) == 1:
            raise StoreError("no")
        return 0


def test_a_store_that_fails_is_asked_again() -> None:
    async def run(now: Callable[[], datetime]) -> None:
        store = Unwell()
        task = asyncio.create_task(keep_short(store, 30, now=now, every_s=0.01))  # type: ignore[arg-type]  # all it uses
        await until(lambda: len(store.asked) >= 3)
        task.cancel()
        assert store.asked[0] == at(-30)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run(lambda: NOW))
    assert [line["event"] for line in lines] == ["webhooks.not_removed"]
