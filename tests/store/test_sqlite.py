"""What is written to the store comes back, whole or not at all."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.store import CallRow, Store
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore
from tests.store.calls import AT, outgoing, turn


def with_store(path: Path, use: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await SqliteStore.open(path / "calls.db")
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_the_sqlite_store_is_a_store(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        interface: Store = store
        assert await interface.calls() == []

    with_store(tmp_path, use)


def test_a_call_comes_back_as_it_was_written(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        call = CallRow(
            id="c1",
            caller_phone="+31612345678",
            created_at=AT,
            updated_at=AT,
            analysis_result={"sentiment": 8},
            assistant={"metadata": {"crm_id": "12345"}},
            statistics={"turns": 3},
        )
        await store.create_call(call)
        assert await store.call("c1") == call
        assert await store.call("c2") is None

    with_store(tmp_path, use)


def test_missing_times_of_a_call_are_filled_in(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"))
        call = await store.call("c1")
        assert call is not None
        assert len(call.created_at) == len(AT) and call.created_at.endswith("Z")
        assert call.updated_at == call.created_at

    with_store(tmp_path, use)


def test_messages_turns_and_events_come_back_in_order(tmp_path: Path) -> None:
    messages = [
        Message("assistant", "Hello, how can I help?"),
        Message("user", "Look me up"),
        Message("assistant", "", (ToolCall("t1", "lookup", '{"query": "John"}'),)),
        Message("tool", "found", tool_call_id="t1"),
        Message("assistant", "You are", interrupted=True),
    ]

    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"))
        for message in messages:
            await store.add_message("c1", message, AT)
        for number in (1, 2):
            await store.add_turn("c1", turn(number))
        await store.add_event("c1", "digit", {"digit": "5"}, AT)
        assert await store.messages("c1") == messages
        assert await store.turns("c1") == [turn(1), turn(2)]
        assert await store.events("c1") == [(AT, "digit", {"digit": "5"})]

    with_store(tmp_path, use)


def test_a_change_and_its_webhook_are_one_transaction(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1")])
        with pytest.raises(StoreError, match="UNIQUE"):
            await store.change_call("c1", {"status": "ended"}, [outgoing("w2"), outgoing("w1")])
        call = await store.call("c1")
        assert call is not None and call.status == "connecting"
        assert [row.webhook_id for row in await store.deliveries("c1")] == ["w1"]

    with_store(tmp_path, use)


def test_a_change_of_an_unknown_call_is_refused_with_its_webhooks(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"))
        with pytest.raises(StoreError, match="there is no call c9"):
            await store.change_call("c9", {"status": "ended"}, [outgoing("w1", "c1")])
        assert await store.deliveries("c1") == []

    with_store(tmp_path, use)


def test_a_change_of_an_unknown_field_is_refused_by_name(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"))
        with pytest.raises(StoreError, match="no such field: stat"):
            await store.change_call("c1", {"stat": "ended"})

    with_store(tmp_path, use)


def test_a_refused_write_does_not_spoil_its_neighbours(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"))
        outcomes = await asyncio.gather(
            store.create_call(CallRow(id="c2")),
            store.create_call(CallRow(id="c1")),
            store.add_message("nobody", Message("user", "hello"), AT),
            store.create_call(CallRow(id="c3", caller_phone=object())),  # type: ignore[arg-type]  # hostile on purpose
            store.create_call(CallRow(id="c4")),
            return_exceptions=True,
        )
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, True, True, False]
        assert sorted(call.id for call in await store.calls()) == ["c1", "c2", "c4"]

    with_store(tmp_path, use)


def test_calls_are_listed_newest_first_and_by_status(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for hour in (1, 3, 2):
            await store.create_call(CallRow(id=f"c{hour}", created_at=f"2026-11-20T0{hour}:00:00.000Z"))
        await store.change_call("c3", {"status": "ended"})
        assert [call.id for call in await store.calls()] == ["c3", "c2", "c1"]
        assert [call.id for call in await store.calls(limit=1, offset=1)] == ["c2"]
        assert [call.id for call in await store.calls(status="ended")] == ["c3"]

    with_store(tmp_path, use)


def test_calls_without_an_end_and_answered_ones_without_a_summary_are_unfinished(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for name in ("ringing", "talking", "refused", "owed", "done"):
            await store.create_call(CallRow(id=name))
        await store.change_call("talking", {"started_at": AT})
        await store.change_call("refused", {"ended_at": AT})
        await store.change_call("owed", {"started_at": AT, "ended_at": AT})
        await store.change_call("done", {"started_at": AT, "ended_at": AT, "summary": ""})
        assert sorted(call.id for call in await store.unfinished()) == ["owed", "ringing", "talking"]

    with_store(tmp_path, use)


def test_everything_is_still_there_after_reopening(tmp_path: Path) -> None:
    async def write(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"), [outgoing("w1")])
        await store.add_turn("c1", turn())

    async def read(store: SqliteStore) -> None:
        assert await store.turns("c1") == [turn()]
        assert [due.outgoing for due in (await store.due(AT)).found] == [outgoing("w1")]

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_the_file_and_its_log_are_for_the_owner_only(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.create_call(CallRow(id="c1"))
        for name in ("calls.db", "calls.db-wal", "calls.db-shm"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name

    with_store(tmp_path, use)


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.create_call(CallRow(id="c1"))
        with pytest.raises(StoreError):
            await store.call("c1")

    asyncio.run(run())


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        writes = [asyncio.ensure_future(store.create_call(CallRow(id=f"c{n}"))) for n in range(500)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*writes)
        store = await SqliteStore.open(tmp_path / "calls.db")
        assert len(await store.calls(limit=1000)) == 500
        await store.close()

    asyncio.run(run())


text = st.text(st.characters(codec=None), max_size=40)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=text, key=text, value=text)
def test_any_text_can_be_stored_lone_surrogates_replaced(tmp_path: Path, content: str, key: str, value: str) -> None:
    async def use(store: SqliteStore) -> None:
        call_id = f"c{len(await store.calls(limit=10_000))}"
        await store.create_call(CallRow(id=call_id, error=value, assistant={key: value}))
        await store.add_message(call_id, Message("user", content), AT)
        await store.add_event(call_id, "note", {key: [value]}, AT)
        expected = content.encode("utf-8", "replace").decode()
        assert [message.content for message in await store.messages(call_id)] == [expected]

    with_store(tmp_path, use)
