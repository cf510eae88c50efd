"""Calls by page and filter, and keys of requests that must not be carried out twice."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.call_queries import CallFilter
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore


def with_store(path: Path, use: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await SqliteStore.open(path / "calls.db")
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(run())


def at(minute: int) -> str:
    return f"2026-11-20T07:{minute:02d}:00.000Z"


def test_a_page_brings_its_calls_what_was_said_in_them_and_the_count_of_all(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for minute in range(5):
            await store.create_call(CallRow(id=f"c{minute}", created_at=at(minute)))
            await store.add_message(f"c{minute}", Message("user", f"first {minute}"), at(minute))
            await store.add_message(f"c{minute}", Message("assistant", "second"), at(minute))
        page = await store.call_page(CallFilter(), 2, 1)
        assert [call.id for call in page.calls] == ["c3", "c2"]
        assert page.total == 5
        assert [message.content for message in page.messages["c3"]] == ["first 3", "second"]
        assert set(page.messages) == {"c3", "c2"}

    with_store(tmp_path, use)


def test_calls_of_the_same_moment_have_an_order_so_that_pages_do_not_overlap(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for number in range(6):
            await store.create_call(CallRow(id=f"c{number}", created_at=at(0)))
        pages = [await store.call_page(CallFilter(), 2, offset) for offset in (0, 2, 4)]
        assert [call.id for page in pages for call in page.calls] == ["c5", "c4", "c3", "c2", "c1", "c0"]

    with_store(tmp_path, use)


rows = st.lists(
    st.tuples(st.sampled_from(["ended", "failed"]), st.sampled_from(["a1", "a2", None]), st.integers(0, 59)), max_size=8
)
filters = st.builds(
    CallFilter,
    status=st.sampled_from(["ended", "failed", None]),
    assistant_id=st.sampled_from(["a1", "a2", "x' OR 1=1", None]),
    since=st.one_of(st.none(), st.integers(0, 59).map(at)),
    until=st.one_of(st.none(), st.integers(0, 59).map(at)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, filters)
def test_a_filter_finds_exactly_what_it_says(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str | None, int]], wanted: CallFilter
) -> None:
    async def use(store: SqliteStore) -> None:
        for number, (status, assistant_id, minute) in enumerate(made):
            row = CallRow(id=f"c{number}", status=status, assistant_id=assistant_id, created_at=at(minute))
            await store.create_call(row)
        page = await store.call_page(wanted, 100, 0)
        expected = {
            f"c{number}"
            for number, (status, assistant_id, minute) in enumerate(made)
            if wanted.status in (None, status)
            and wanted.assistant_id in (None, assistant_id)
            and (wanted.since is None or wanted.since <= at(minute))
            and (wanted.until is None or at(minute) <= wanted.until)
        }
        assert {call.id for call in page.calls} == expected
        assert page.total == len(expected)

    with_store(tmp_path_factory.mktemp("filter"), use)


def test_the_calls_of_a_campaign_are_those_it_placed(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        for number in range(3):
            await store.create_call(CallRow(id=f"c{number}", created_at=at(number)))
        await asyncio.to_thread(attempted, tmp_path / "calls.db", ("c0", "spring"), ("c1", "autumn"), ("c2", "spring"))
        page = await store.call_page(CallFilter(campaign_id="spring"), 10, 0)
        assert ([call.id for call in page.calls], page.total) == (["c2", "c0"], 2)

    with_store(tmp_path, use)


def attempted(file: Path, *calls: tuple[str, str]) -> None:
    """Calls that campaigns placed (call, campaign)."""
    insert = "INSERT INTO attempts (call_id, lead_id, campaign_id, number, at) VALUES (?, 'l1', ?, 1, '')"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany(insert, calls)


def test_seconds_add_up_from_a_moment_on(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        assert await store.seconds_since(at(0)) == 0
        for minute, seconds in ((1, 10), (2, 20), (3, None)):
            await store.create_call(CallRow(id=f"c{minute}", created_at=at(minute), duration_seconds=seconds))
        assert await store.seconds_since(at(2)) == 20
        assert await store.seconds_since(at(0)) == 30

    with_store(tmp_path, use)


def test_a_claim_is_found_settled_and_gone_after_its_time(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        claims = store.claims
        assert await claims.claimed("k", at(0)) is None
        await claims.claim("k", "digest", at(1), at(0))
        found = await claims.claimed("k", at(0))
        assert found is not None
        assert (found.body, found.call_id) == ("digest", "")
        await claims.settle("k", "c1")
        found = await claims.claimed("k", at(1))
        assert found is not None
        assert found.call_id == "c1"
        assert await claims.claimed("k", at(2)) is None
        await claims.claim("k", "another", at(9), at(8))  # the old one is forgotten

    with_store(tmp_path, use)


def test_a_claim_is_not_made_twice_and_a_released_one_may_be_made_again(tmp_path: Path) -> None:
    async def use(store: SqliteStore) -> None:
        await store.claims.claim("k", "digest", at(1), at(0))
        with pytest.raises(StoreError):
            await store.claims.claim("k", "digest", at(1), at(0))
        await store.claims.release("k")
        await store.claims.claim("k", "digest", at(1), at(0))

    with_store(tmp_path, use)
