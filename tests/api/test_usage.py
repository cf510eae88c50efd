"""`GET /usage`: what was really used (contract §23)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.store import CallRow
from tests.api.rest import Client, serving_rest


async def keep(api: Client, call_id: str, created_at: str, **values: Any) -> None:
    totals = {"input_tokens": 100, "cached_tokens": 0, "output_tokens": 20, "characters": 300, "stt_seconds": 12.5}
    usual: dict[str, Any] = {
        "started_at": created_at,
        "ended_at": created_at,
        "duration_seconds": 90,
        "assistant_phone": "+31850835037",
        "assistant_name": "Front desk",
        "statistics": {"usage": {"totals": totals, "cost": {"currency": "EUR", "total": 0.25}}},
    }
    await api.store.create_call(CallRow(id=call_id, created_at=created_at, **{**usual, **values}))


def test_the_log_the_pages_and_the_sums_of_the_whole_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            for day in (1, 2, 3):
                await keep(api, f"c{day}", f"2026-11-0{day}T10:00:00.000Z")
            await keep(api, "unanswered", "2026-11-03T11:00:00.000Z", started_at=None, duration_seconds=0)
            got = await api.get("/usage", limit=2)
            assert got.status == 200
            assert got.body["pagination"] == {"total": 3, "limit": 2, "offset": 0}
            assert [entry["id"] for entry in got.body["logs"]] == ["c3", "c2"]
            entry = got.body["logs"][0]
            expected = {"duration_sec": 90, "call_type": "phone", "phone_number": "+31850835037", "cost": 0.25}
            assert expected.items() <= entry.items()
            assert (entry["agent_name"], entry["business_name"], entry["output_tokens"]) == ("Front desk", None, 20)
            summary = got.body["summary"]
            assert summary["total_calls"] == 3
            assert summary["total_duration_seconds"] == summary["total_seconds"] == 270
            assert summary["total_duration_minutes"] == 4.5
            assert (summary["total_cost"], summary["cost"]) == (0.75, {"EUR": 0.75})

    asyncio.run(run())


def test_dates_narrow_log_and_sums_and_without_prices_there_is_no_cost(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            for day in (1, 2, 3):
                await keep(api, f"c{day}", f"2026-11-0{day}T23:59:59.999Z", statistics={})
            got = await api.get("/usage", start_date="2026-11-02", end_date="2026-11-02")
            assert [entry["id"] for entry in got.body["logs"]] == ["c2"]
            assert got.body["logs"][0]["cost"] is None
            assert got.body["summary"]["total_calls"] == 1
            assert (got.body["summary"]["total_cost"], got.body["summary"]["cost"]) == (None, {})

    asyncio.run(run())


@pytest.mark.parametrize("query", ["limit=-1", "limit=1e9", "start_date=99999-01-01", "end_date=%00", "offset=x"])
def test_a_wrong_query_is_a_400(tmp_path: Path, query: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assert (await api.get(f"/usage?{query}")).status == 400

    asyncio.run(run())
