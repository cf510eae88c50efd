"""What calls used: pages of them, and the sum of all."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore

TOTALS = {"input_tokens": 100, "cached_tokens": 20, "output_tokens": 10, "characters": 300, "stt_seconds": 12.5}


def call(number: int, **changes: Any) -> CallRow:
    at = f"2026-11-{number:02d}T08:00:00.000Z"
    usual: dict[str, Any] = {
        "id": f"c{number}",
        "status": "ended",
        "assistant_phone": "+31850835037",
        "assistant_name": "Desk",
        "business_name": "Bakery",
        "created_at": at,
        "started_at": at,
        "ended_at": at,
        "duration_seconds": 61,
        "statistics": {"usage": {"totals": TOTALS, "cost": {"currency": "EUR", "total": 0.25}}},
    }
    return CallRow(**{**usual, **changes})


def with_calls(folder: Path, calls: list[CallRow], look: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await SqliteStore.open(folder / "calls.db", synchronous="normal")
        try:
            for one in calls:
                await store.create_call(one)
            await look(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_an_entry_has_the_contracts_fields_and_ours(tmp_path: Path) -> None:
    async def look(store: SqliteStore) -> None:
        found = await store.usage()
        (entry,) = found.entries
        assert (entry.id, entry.duration_sec, entry.call_type, entry.phone_number) == (
            "c1",
            61,
            "phone",
            "+31850835037",
        )
        assert (entry.agent_name, entry.business_name) == ("Desk", "Bakery")
        assert entry.created_at == "2026-11-01T08:00:00.000Z"
        assert (entry.input_tokens, entry.characters, entry.stt_seconds) == (100, 300, 12.5)
        assert (entry.cost, entry.currency) == (0.25, "EUR")

    with_calls(tmp_path, [call(1)], look)


def test_the_sum_is_of_all_pages_and_the_page_is_the_newest(tmp_path: Path) -> None:
    async def look(store: SqliteStore) -> None:
        found = await store.usage(limit=2, offset=1)
        assert [entry.id for entry in found.entries] == ["c4", "c3"]
        summary = found.summary
        assert (summary.total_calls, summary.total_duration_seconds, summary.total_duration_minutes) == (5, 305, 5.08)
        assert (summary.input_tokens, summary.cached_tokens, summary.output_tokens) == (500, 100, 50)
        assert (summary.characters, summary.stt_seconds) == (1500, 62.5)
        assert summary.cost == {"EUR": 1.25}

    with_calls(tmp_path, [call(number) for number in range(1, 6)], look)


def test_the_period_holds_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    async def look(store: SqliteStore) -> None:
        found = await store.usage("2026-11-02T08:00:00.000Z", "2026-11-04T08:00:00.000Z")
        assert [entry.id for entry in found.entries] == ["c3", "c2"]
        assert found.summary.total_calls == 2

    with_calls(tmp_path, [call(number) for number in range(1, 6)], look)


def test_calls_that_used_nothing_are_not_in_it_and_those_without_figures_are(tmp_path: Path) -> None:
    async def look(store: SqliteStore) -> None:
        found = await store.usage()
        assert [entry.id for entry in found.entries] == ["c3"]
        assert (found.entries[0].input_tokens, found.entries[0].cost) == (0, None)
        assert found.entries[0].call_type == "web"
        assert found.summary.cost == {}

    unanswered, running = call(1, started_at=None), call(2, ended_at=None, duration_seconds=None)
    with_calls(tmp_path, [unanswered, running, call(3, statistics={}, direction="web")], look)


def test_currencies_are_not_added_up(tmp_path: Path) -> None:
    async def look(store: SqliteStore) -> None:
        assert (await store.usage()).summary.cost == {"EUR": 0.25, "USD": 1.5}

    dollars = {"usage": {"totals": TOTALS, "cost": {"currency": "USD", "total": 1.5}}}
    with_calls(tmp_path, [call(1), call(2, statistics=dollars)], look)


def test_without_calls_there_is_nothing(tmp_path: Path) -> None:
    async def look(store: SqliteStore) -> None:
        found = await store.usage()
        assert (found.entries, found.summary.total_calls, found.summary.total_duration_minutes) == ([], 0, 0.0)

    with_calls(tmp_path, [], look)
