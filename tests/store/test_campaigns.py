"""Campaigns and leads in the database: what is written together, and what is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sovereign_pbx.store.campaign_rows import CampaignRow, LeadRow
from sovereign_pbx.store.campaigns import CampaignTables
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore

AT, LATER = "2026-11-20T09:00:00.000Z", "2026-11-20T09:30:00.000Z"
CAMPAIGN = CampaignRow(
    id="c",
    name="Reminders",
    assistant_id="caller",
    status="scheduled",
    schedule_start_time="09:00:00",
    schedule_end_time="17:00:00",
    timezone="Europe/Amsterdam",
    weekdays=(0, 4),
    created_at=AT,
    updated_at=AT,
)


def leads(count: int) -> list[LeadRow]:
    return [
        LeadRow(
            id=f"lead {number}",
            campaign_id="c",
            phone_number=f"+3161000{number:04}",
            variables={"name": f'Jan "{number}" ☎', "{}": ""},
            created_at=AT,
        )
        for number in range(count)
    ]


def with_tables(folder: Path, act: Callable[[CampaignTables], Awaitable[None]], count: int = 3) -> None:
    async def run() -> None:
        store = await SqliteStore.open(folder / "calls.db")
        try:
            await store.campaigns.create(CAMPAIGN, leads(count))
            await act(store.campaigns)
        finally:
            await store.close()

    asyncio.run(run())


def calling(lead: LeadRow, call_id: str = "call", attempts: int = 1, at: str = AT) -> LeadRow:
    return replace(lead, status="calling", call_id=call_id, attempts=attempts, last_attempt_at=at)


def test_what_is_written_is_read_in_the_order_it_came(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        assert await tables.leads("c") == leads(1203)
        assert await tables.leads("c", 2, 1000) == leads(1203)[1000:1002]
        found = await tables.campaign("c")
        assert found is not None
        assert (found[0], found[1].pending, found[1].total) == (CAMPAIGN, 1203, 1203)
        assert await tables.campaigns() == [found]
        assert await tables.campaign("none") is None

    with_tables(tmp_path, act, 1203)


def test_leads_come_all_or_not_at_all(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        with pytest.raises(StoreError):
            await tables.add_leads([leads(4)[3], replace(leads(5)[4], id="lead 0")])
        assert len(await tables.leads("c")) == 3
        with pytest.raises(StoreError):
            await tables.add_leads([replace(leads(1)[0], id="new", campaign_id="none")])

    with_tables(tmp_path, act)


def test_one_number_is_one_lead_of_a_campaign(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        await tables.add_leads([replace(leads(1)[0], id="again"), leads(4)[3]])
        assert [one.id for one in await tables.leads("c")] == ["lead 0", "lead 1", "lead 2", "lead 3"]
        assert await tables.numbers_there("c", ["+31610000003", "+31610000099"]) == {"+31610000003"}

    with_tables(tmp_path, act)


def test_a_number_that_is_being_called_is_called_by_no_other_campaign(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        await tables.create(replace(CAMPAIGN, id="d"), [replace(leads(1)[0], id="same", campaign_id="d")])
        await tables.claim("lead 0", "call", AT)
        assert await tables.next_lead("d", AT, [""]) is None
        assert await tables.is_blocked("d") and not await tables.is_blocked("c")
        with pytest.raises(StoreError):
            await tables.claim("same", "other call", AT)
        await tables.settle(calling(leads(1)[0]), "completed", "user_hangup", AT)
        await tables.claim("same", "other call", AT)
        again = replace(leads(1)[0], id="same", campaign_id="d")
        await tables.settle(calling(again, "other call"), "pending", "busy", AT, due_at=AT)
        await tables.create(replace(CAMPAIGN, id="e"), [replace(leads(1)[0], id="third", campaign_id="e")])
        await tables.claim("third", "third call", AT)
        assert await tables.next_lead("d", LATER, [""]) is None, "nor for another attempt"

    with_tables(tmp_path, act)


def test_those_are_called_whose_zones_are_open(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        new = [replace(lead, zones=zones) for lead, zones in zip(leads(6)[3:], ("A", "B C", "A"), strict=True)]
        await tables.add_leads(new)
        assert await tables.pending_zones("c") == ["", "A", "B C"]
        for zones, expected in ((["A"], "lead 3"), (["B C", "A"], "lead 3"), (["", "A"], "lead 0"), ([], None)):
            found = await tables.next_lead("c", AT, zones)
            assert (found and found.id) == expected
        await tables.skip_zones("c", "A", "never_in_window", "why", AT)
        assert await tables.pending_zones("c") == ["", "B C"]
        assert [one.status for one in await tables.leads("c")].count("skipped") == 2

    with_tables(tmp_path, act)


def test_a_lead_is_claimed_once_and_only_while_its_campaign_runs(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first, second, _ = await tables.leads("c")
        await tables.claim(first.id, "call", AT)
        assert await tables.calling() == [calling(first)]
        with pytest.raises(StoreError, match="not pending"):
            await tables.claim(first.id, "other", AT)
        await tables.change("c", "scheduled", {"status": "paused"})
        with pytest.raises(StoreError, match="not pending"):
            await tables.claim(second.id, "other", AT)
        assert await tables.starts("") == [("c", AT)]

    with_tables(tmp_path, act)


def test_the_end_of_a_call_is_written_once_and_by_that_call_alone(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first = (await tables.leads("c"))[0]
        await tables.claim(first.id, "call", AT)
        with pytest.raises(StoreError, match="not being called with other"):
            await tables.settle(calling(first, "other"), "completed", "user_hangup", AT)
        await tables.settle(calling(first), "completed", "user_hangup", AT)
        with pytest.raises(StoreError, match="not being called"):
            await tables.settle(calling(first), "failed", "busy", AT)
        with pytest.raises(StoreError, match="not being called"):
            await tables.put_back(calling(first), AT)
        assert (await tables.leads("c"))[0] == replace(calling(first), status="completed", outcome="user_hangup")

    with_tables(tmp_path, act)


def test_another_attempt_comes_when_it_is_due_and_before_those_who_were_never_tried(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first, second, _ = await tables.leads("c")
        await tables.claim(first.id, "call", AT)
        await tables.settle(calling(first), "pending", "busy", AT, due_at=LATER)
        assert await tables.next_lead("c", AT, [""]) == second
        assert await tables.next_due("c") == LATER
        again = await tables.next_lead("c", LATER, [""])
        assert again is not None
        assert (again.id, again.attempts, again.outcome) == (first.id, 1, "busy")

    with_tables(tmp_path, act)


def test_a_lead_that_is_put_back_is_as_it_was_before(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first = (await tables.leads("c"))[0]
        await tables.claim(first.id, "call", AT)
        await tables.put_back(calling(first), AT)
        assert (await tables.leads("c"))[0] == first
        assert await tables.starts("") == []
        await tables.claim(first.id, "one", AT)
        await tables.settle(calling(first, "one"), "pending", "busy", AT, due_at=AT, error="It was busy.")
        before = (await tables.leads("c"))[0]
        await tables.claim(first.id, "two", LATER)
        await tables.put_back(calling(first, "two", 2, LATER), LATER)
        assert (await tables.leads("c"))[0] == before
        await tables.claim(first.id, "three", LATER)
        await tables.skip(calling(first, "three", 2, LATER), "denied", LATER, "It is denied.")
        assert (await tables.leads("c"))[0] == replace(
            before, status="skipped", outcome="denied", error="It is denied."
        )

    with_tables(tmp_path, act)


def test_with_the_last_lead_the_campaign_is_completed(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first, second = await tables.leads("c")
        await tables.claim(first.id, "one", AT)
        await tables.claim(second.id, "two", AT)
        await tables.settle(calling(first, "one"), "completed", "user_hangup", AT)
        found = await tables.campaign("c")
        assert found is not None and found[0].status == "scheduled"
        await tables.skip(calling(second, "two"), "denied", LATER, "It is denied.")
        found = await tables.campaign("c")
        assert found is not None
        assert (found[0].status, found[0].updated_at) == ("completed", LATER)
        assert await tables.scheduled() == []

    with_tables(tmp_path, act, 2)


def test_whoever_is_called_when_a_campaign_is_cancelled_is_not_called_again(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first, second, _ = await tables.leads("c")
        await tables.claim(first.id, "one", AT)
        await tables.claim(second.id, "two", AT)
        await tables.change("c", "scheduled", {"status": "cancelled"})
        await tables.settle(calling(first, "one"), "pending", "busy", AT, due_at=LATER)
        await tables.put_back(calling(second, "two"), AT)
        found = [(one.status, one.outcome) for one in await tables.leads("c")]
        assert found == [("failed", "busy"), ("skipped", "cancelled"), ("skipped", "cancelled")]

    with_tables(tmp_path, act)


def test_what_is_being_called_is_not_removed(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first, second, _ = await tables.leads("c")
        await tables.claim(first.id, "call", AT)
        with pytest.raises(StoreError, match="being called"):
            await tables.remove_lead("c", first.id)
        with pytest.raises(StoreError, match="it is calling"):
            await tables.remove("c")
        with pytest.raises(StoreError, match="not there"):
            await tables.remove_lead("another", second.id)
        await tables.remove_lead("c", second.id)
        await tables.settle(calling(first), "completed", "user_hangup", AT)
        await tables.remove("c")
        assert await tables.leads("c") == []
        assert await tables.starts("") == []

    with_tables(tmp_path, act)


def test_whoever_was_called_as_often_as_is_allowed_now_is_not_called_again(tmp_path: Path) -> None:
    async def act(tables: CampaignTables) -> None:
        first = (await tables.leads("c"))[0]
        await tables.claim(first.id, "one", AT)
        await tables.settle(calling(first, "one"), "pending", "busy", AT, due_at=LATER)
        await tables.change("c", "scheduled", {"max_attempts": 2})
        assert [one.status for one in await tables.leads("c")] == ["pending"] * 3
        await tables.change("c", "scheduled", {"max_attempts": 1})
        found = [(one.status, one.outcome, one.attempts) for one in await tables.leads("c")]
        assert found == [("failed", "busy", 1), ("pending", None, 0), ("pending", None, 0)]

    with_tables(tmp_path, act)
