"""Which webhooks are due: in order per call, after their back-off, and a fair share for each receiver."""

import sqlite3
from pathlib import Path

import pytest

from sovereign_pbx.store import START, Besides, CallRow, Place
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore
from tests.store.calls import outgoing
from tests.store.test_sqlite import with_store

EIGHT = "2026-11-20T08:00:00.000Z"
NINE = "2026-11-20T09:00:00.000Z"


async def due_ids(store: SqliteStore, now: str = EIGHT, limit: int = 64) -> list[str]:
    return [due.outgoing.webhook_id for due in (await store.due(now, limit=limit)).found]


def test_only_the_oldest_undelivered_webhook_of_a_call_is_due(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1"), outgoing("w2")])
        await store.create_call(CallRow(id="c2"), [outgoing("w3", "c2")])
        assert await due_ids(store) == ["w1", "w3"]
        await store.delivered("w1", EIGHT)
        assert await due_ids(store) == ["w2", "w3"]

    with_store(tmp_path, use)


def test_a_postponed_webhook_waits_and_holds_back_the_later_ones_of_its_call(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1"), outgoing("w2")])
        await store.postpone("w1", NINE, "status 500")
        assert await due_ids(store, EIGHT) == []
        assert await due_ids(store, NINE) == ["w1"]
        assert [due.attempts for due in (await store.due(NINE)).found] == [1]

    with_store(tmp_path, use)


def test_a_buried_webhook_lets_the_next_one_go_and_is_counted(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1"), outgoing("w2")])
        await store.bury("w1", EIGHT, "refused for 24 h")
        assert await due_ids(store) == ["w2"]
        counts = await store.outbox()
        assert (counts.pending, counts.dead) == (1, 1)
        first = (await store.deliveries("c1"))[0]
        assert (first.state, first.attempts, first.done_at, first.last_error) == ("dead", 1, EIGHT, "refused for 24 h")

    with_store(tmp_path, use)


def test_a_webhook_is_settled_only_once(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1")])
        await store.delivered("w1", EIGHT)
        for again in (store.delivered("w1", NINE), store.postpone("w1", NINE, "late"), store.bury("w1", NINE, "late")):
            with pytest.raises(StoreError, match="no webhook w1 is waiting"):
                await again

    with_store(tmp_path, use)


def test_many_webhooks_for_one_receiver_do_not_hide_another_receivers(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for n in range(200):
            url = f"https://dead.example/hook/{n}"
            await store.create_call(CallRow(id=f"c{n}"), [outgoing(f"w{n}", f"c{n}", url)])
        await store.create_call(CallRow(id="last"), [outgoing("mine", "last", "https://alive.example/hook")])
        assert "mine" in await due_ids(store, limit=2)

    with_store(tmp_path, use)


def test_the_secret_is_forgotten_once_it_is_delivered(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1"), outgoing("w2")])
        await store.delivered("w1", EIGHT)
        with sqlite3.connect(store.path) as connection:
            secrets = connection.execute("SELECT secret FROM outbox ORDER BY seq").fetchall()
        connection.close()
        assert secrets == [("",), ("s3cret",)]

    with_store(tmp_path, use)


def test_a_call_with_webhooks_cannot_be_deleted(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1")])
        connection = sqlite3.connect(store.path)
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM calls")
        connection.close()

    with_store(tmp_path, use)


SERVER = "https://n8n.example"


async def fill(store: SqliteStore, *urls: str) -> None:
    for n, url in enumerate(urls):
        await store.create_call(CallRow(id=f"c{n}"), [outgoing(f"w{n}", f"c{n}", url)])


def test_paths_of_one_server_take_turns_and_their_queries_make_no_difference(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await fill(store, *[f"{SERVER}/slow?n={n}" for n in range(5)], f"{SERVER}/good", "https://other.example/")
        assert await due_ids(store, limit=3) == ["w0", "w6", "w5"]

    with_store(tmp_path, use)


def test_what_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await fill(store, f"{SERVER}/a?x=1", f"{SERVER}/b", "https://other.example/c", "https://third.example/")
        besides = Besides(lanes=[f"{SERVER}/a"], origins=["https://other.example:443"], webhook_ids={"w3"})
        found = (await store.due(EIGHT, besides=besides)).found
        assert [one.outgoing.webhook_id for one in found] == ["w1"]

    with_store(tmp_path, use)


def test_slices_hold_everything_once(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for n in range(600):
            await store.create_call(CallRow(id=f"c{n}"), [outgoing(f"w{n}", f"c{n}", f"https://s{n}.example/")])
        for n in range(0, 600, 2):
            await store.postpone(f"w{n}", EIGHT, "no")
        after: Place | None = START
        found: list[str] = []
        slices = 0
        while after is not None:
            part = await store.due(NINE, after, limit=1000)
            found += [one.outgoing.webhook_id for one in part.found]
            after, slices = part.after, slices + 1
        assert sorted(found) == sorted(f"w{n}" for n in range(600))
        assert slices == 3

    with_store(tmp_path, use)


def test_news_are_what_was_written_since_and_what_follows_in_calls(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1"), outgoing("w2")])
        await store.create_call(CallRow(id="c2"), [outgoing("w3", "c2")])
        end = await store.outbox_end()
        assert await store.due_since(EIGHT, end, []) == []
        await store.delivered("w1", EIGHT)
        await store.create_call(CallRow(id="c3"), [outgoing("w4", "c3"), outgoing("w5", "c3")])
        news = await store.due_since(EIGHT, end, ["c1"])
        assert [one.outgoing.webhook_id for one in news] == ["w2", "w4"]
        await store.postpone("w2", NINE, "no")
        assert [one.outgoing.webhook_id for one in await store.due_since(EIGHT, end, ["c1"])] == ["w4"]

    with_store(tmp_path, use)
