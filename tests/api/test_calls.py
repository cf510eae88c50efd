"""`/calls` as a client of the hosted platform reads it (contract §5, §3)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.store import CallRow
from tests.api.rest import Client, serving_rest

FIELDS = {
    *("id", "caller_phone", "assistant_phone", "status", "direction", "end_reason", "error", "started_at", "ended_at"),
    *("duration_seconds", "summary", "analysis_result", "messages", "room_name", "recording_url", "agent_id"),
    *("assistant_id", "number_id", "agent_name", "business_name", "phone_number", "metadata"),
    *("created_at", "updated_at"),
    *("recording", "transfers", "media_quality"),  # our additions
}


def at(day: int, hour: int = 9) -> str:
    return f"2026-11-{day:02d}T{hour:02d}:00:00.000Z"


async def keep(api: Client, call_id: str, created_at: str, *said: Message, **values: Any) -> None:
    """A call in the store."""
    usual: dict[str, Any] = {"status": "ended", "caller_phone": "+31612345678", "assistant_phone": "+31850835037"}
    await api.store.create_call(CallRow(id=call_id, created_at=created_at, **{**usual, **values}))
    for message in said:
        await api.store.add_message(call_id, message, created_at)


async def ids(api: Client, **query: Any) -> list[str]:
    got = await api.get("/calls", **query)
    assert got.status == 200, got.body
    return [call["id"] for call in got.body["calls"]]


def test_a_call_has_every_field_of_the_contract_and_stands_bare(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            told = {
                "duration_seconds": 120,
                "end_reason": "user_hangup",
                "analysis_result": {"sentiment": 8},
                "assistant_id": "a1",
                "assistant_name": "Front desk",
                "assistant": {"metadata": {"crm_id": "12345"}},
            }
            await keep(api, "c1", at(1), Message("assistant", "Hello"), Message("user", "Hi"), **told)
            got = await api.get("/calls/c1")
            assert got.status == 200
            assert set(got.body) == FIELDS
            assert got.body["messages"] == [
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "Hi"},
            ]
            assert (got.body["agent_id"], got.body["agent_name"]) == ("a1", "Front desk")
            assert got.body["phone_number"] == got.body["assistant_phone"] == "+31850835037"
            assert got.body["metadata"] == {"crm_id": "12345"}
            assert got.body["recording_url"] is None
            assert got.body["started_at"] is None

    asyncio.run(run())


def test_what_the_model_and_its_tools_told_each_other_is_no_message(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            said = (
                Message("user", "Am I a customer?"),
                Message("assistant", "", (ToolCall("t1", "lookup", "{}"),)),
                Message("tool", '{"customer": true}', tool_call_id="t1"),
                Message("system", "He is a customer."),
                Message("assistant", "You are."),
            )
            await keep(api, "c1", at(1), *said)
            roles = [message["role"] for message in (await api.get("/calls/c1")).body["messages"]]
            assert roles == ["user", "system", "assistant"]

    asyncio.run(run())


def test_the_list_is_complete_rows_newest_first_with_its_pagination(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            for day in (1, 3, 2):
                await keep(api, f"c{day}", at(day), Message("user", f"I am {day}"))
            got = await api.get("/calls")
            assert got.body["pagination"] == {"total": 3, "limit": 50, "offset": 0}
            assert [call["id"] for call in got.body["calls"]] == ["c3", "c2", "c1"]
            assert set(got.body["calls"][0]) == FIELDS
            assert got.body["calls"][0]["messages"] == [{"role": "user", "content": "I am 3"}]
            page = (await api.get("/calls", limit=2, offset=2)).body
            assert [call["id"] for call in page["calls"]] == ["c1"]
            assert page["pagination"] == {"total": 3, "limit": 2, "offset": 2}
            assert (await api.get("/calls", offset=7)).body["calls"] == []

    asyncio.run(run())


def test_filters_narrow_the_list_and_its_total(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            await keep(api, "old", at(1), status="failed", direction="outbound", assistant_id="a1", number_id="n1")
            await keep(api, "new", at(2), assistant_id="a2", number_id="n2")
            assert await ids(api, status="failed") == ["old"]
            assert await ids(api, direction="inbound") == ["new"]
            assert await ids(api, assistant_id="a1") == await ids(api, agent_id="a1") == ["old"]
            assert await ids(api, number_id="n2", status="ended") == ["new"]
            assert await ids(api, number_id="n2", status="failed") == []
            assert (await api.get("/calls", status="failed")).body["pagination"]["total"] == 1
            assert await ids(api, campaign_id="nothing") == []
            assert await ids(api, something_else="x") == ["new", "old"]

    asyncio.run(run())


def test_a_plain_end_date_is_the_whole_day_and_a_date_time_its_moment(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            for day in (1, 2, 3):
                await keep(api, f"c{day}", at(day, hour=23))
            assert await ids(api, start_date="2026-11-02", end_date="2026-11-02") == ["c2"]
            assert await ids(api, end_date="2026-11-02T22:59:59Z") == ["c1"]
            assert await ids(api, end_date="2026-11-02T23:00:00Z") == ["c2", "c1"]
            assert await ids(api, start_date="2026-11-03T00:00:00+01:00") == ["c3", "c2"]
            assert await ids(api, start_date="2026-11-03T00:00:00 01:00") == ["c3", "c2"]  # a "+" that was not escaped

    asyncio.run(run())


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=0",
        "limit=101",
        "limit=1e9",
        "limit=",
        "limit=ten",
        "limit=1.5",
        "offset=-1",
        "offset=99999999999999999999",
        "start_date=99999-01-01",
        "start_date=2026-02-30",
        "start_date=yesterday",
        "start_date=0001-01-01T00:00:00%2B14:00",
        "end_date=9999-12-31T23:59:59-14:00",
        "end_date=2026-11-20T25:00:00Z",
        "end_date=" + "2026-11-20" * 50,
        "status=busy",
        "status=%00",
        "assistant_id=%00",
        "assistant_id=" + "x" * 201,
        "direction=sideways",
        "limit=5&limit=-5",
    ],
)
def test_a_wrong_query_is_a_400_that_names_the_key(tmp_path: Path, query: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.get(f"/calls?{query}")
            assert (got.status, got.body["code"]) == (400, "invalid_request")
            assert got.body["details"][0].startswith(query.partition("=")[0])

    asyncio.run(run())


def test_of_a_repeated_parameter_the_last_counts(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.get("/calls?limit=5&limit=7")
            assert got.body["pagination"]["limit"] == 7

    asyncio.run(run())


@pytest.mark.parametrize("call_id", ["nothing", "%00", "..%2f..%2fetc%2fpasswd", "c1'%20OR%201=1", "é" * 300])
def test_an_unknown_call_is_a_404(tmp_path: Path, call_id: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            for path in (f"/calls/{call_id}", f"/calls/{call_id}/recording"):
                got = await api.get(path)
                assert (got.status, got.body["code"]) == (404, "not_found")

    asyncio.run(run())


def test_calls_are_for_keys_that_may_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assert (await api.as_key("").get("/calls")).status == 401
            assert (await (await api.with_scopes("calls")).get("/calls")).status == 403
            assert (await (await api.with_scopes("read")).get("/calls")).status == 200

    asyncio.run(run())
