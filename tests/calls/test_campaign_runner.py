"""The runner of campaigns: whom it calls, when, how many at once, and what it writes down."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sovereign_pbx.assistants.dialling import DialRules
from sovereign_pbx.calls.campaigns import Campaigns
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.store.campaigns import CampaignTables
from sovereign_pbx.store.writer import Statement
from sovereign_pbx.testing import virtual_time
from tests.calls.campaign_world import MORNING, End, World, fields, leads, reached, running


def ran(world: World, count: int, within_s: float = 7200.0, **changes: Any) -> World:
    """A campaign from its start to its end."""

    async def run() -> None:
        async with running(world) as campaigns:
            row = (await campaigns.create(fields(**changes), leads(count))).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: world.status() in ("completed", "paused"), within_s)

    virtual_time.run(run())
    return world


def test_every_lead_is_called_once_and_the_campaign_is_completed() -> None:
    world = ran(World(), 5)
    assert [one.number for one in world.dialled] == [f"+3120000{number:04}" for number in range(5)]
    assert world.states() == [("completed", "user_hangup", 1)] * 5
    assert world.status() == "completed"


def test_no_more_calls_at_once_than_the_campaign_allows() -> None:
    world = ran(World(), 9, calls_at_once=3, calls_per_minute=600)
    assert world.most_at_once == 3


def test_no_more_calls_at_once_than_all_campaigns_together_may_place() -> None:
    world = World()

    async def run() -> None:
        async with running(world, at_once=2) as campaigns:
            for _ in range(3):
                row = (await campaigns.create(fields(calls_at_once=5), leads(4))).row
                await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: all(state[0] == "completed" for state in world.states()))

    virtual_time.run(run())
    assert world.most_at_once == 2
    first = [one.call.campaign_id for one in world.dialled[:6]]
    assert len(set(first)) == 3, "campaigns take turns"


def test_in_no_sixty_seconds_are_more_calls_begun_than_allowed() -> None:
    world = ran(World(ends=lambda number, attempt: End(seconds=1)), 12, calls_at_once=5, calls_per_minute=4)
    began = [one.at for one in world.dialled]
    assert all(later - earlier >= 59.9 for earlier, later in zip(began, began[4:], strict=False))


def test_busy_and_unanswered_leads_are_tried_again_after_the_interval_while_attempts_are_left() -> None:
    def ends(number: str, attempt: int) -> End:
        if number.endswith("0"):
            return End("busy", False, 1) if attempt == 1 else End()
        return End("no_answer", False, 30)

    world = ran(World(ends=ends), 2, max_attempts=3, retry_minutes=10)
    assert world.states() == [("completed", "user_hangup", 2), ("failed", "no_answer", 3)]
    silent = [one.at for one in world.dialled if one.number.endswith("1")]
    assert all(later - earlier >= 630 for earlier, later in itertools.pairwise(silent))


def test_who_turned_the_call_down_is_not_called_again() -> None:
    world = ran(World(ends=lambda number, attempt: End("rejected", False)), 1, max_attempts=5)
    assert world.states() == [("failed", "rejected", 1)]


def test_a_number_that_may_not_be_dialled_is_skipped_with_the_reason() -> None:
    refusal = Refused("destination_not_allowed", "'+31200000000' is denied by [dialling] deny")
    world = ran(World(refusals={"+31200000000": [refusal]}), 2)
    assert world.states() == [("skipped", refusal.code, 0), ("completed", "user_hangup", 1)]
    assert world.leads()[0].error == refusal.message
    assert world.leads()[0].call_id is None


@pytest.mark.parametrize("code", ["too_many_calls", "dialling_limit_reached", "pbx_unavailable", "shutting_down"])
def test_without_room_the_lead_waits_and_keeps_its_attempt(code: str) -> None:
    world = ran(World(refusals={"+31200000000": [Refused(code, "not now")] * 4}), 1, calls_per_minute=1)
    assert world.states() == [("completed", "user_hangup", 1)]
    assert 4 < world.dialled[0].at < 20, "it does not insist, and what was not dialled does not count as a call"


def test_what_would_be_refused_for_every_lead_pauses_the_campaign_and_says_why() -> None:
    world = ran(World(refusals={"+31200000000": [Refused("trunk_not_active", "trunk 'carrier' is not active")]}), 2)
    assert world.status() == "paused"
    assert world.states() == [("pending", None, 0)] * 2
    reason = world.connection.execute("SELECT status_reason FROM campaigns").fetchone()
    assert reason == ("trunk 'carrier' is not active",)


def test_nobody_is_called_outside_the_window() -> None:
    """It is open from 10:00 to 10:20 in Amsterdam, where it is 10:14 now: two leads today, two tomorrow."""
    world = World(ends=lambda number, attempt: End(seconds=200), began_at=MORNING + timedelta(minutes=14))

    async def run() -> None:
        async with running(world) as campaigns:
            hours = {"schedule_start_time": "10:00:00", "schedule_end_time": "10:20:00"}
            row = (await campaigns.create(fields(**hours), leads(4))).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: world.status() == "completed", 86_300, step_s=20)

    virtual_time.run(run())
    began = [
        (world.began_at + timedelta(seconds=one.at)).astimezone(ZoneInfo("Europe/Amsterdam")) for one in world.dialled
    ]
    assert [(at.day, at.hour, at.minute) for at in began] == [(20, 10, 14), (20, 10, 17), (21, 10, 0), (21, 10, 3)]


def test_nobody_is_called_whose_turn_comes_when_the_window_has_closed() -> None:
    """The first is called at 16:59:30; the second waits for all campaigns' pace, by which it would be 17:00:30."""
    world = World(ends=lambda number, attempt: End(seconds=1), began_at=MORNING + timedelta(hours=6, minutes=59.5))

    async def run() -> None:
        async with running(world, per_minute=1) as campaigns:
            row = (await campaigns.create(fields(), leads(2))).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await asyncio.sleep(3600)

    virtual_time.run(run())
    assert [one.number for one in world.dialled] == ["+31200000000"]


@pytest.mark.parametrize(("own", "total"), [(2, 600), (600, 2)])
def test_the_pace_is_kept_over_a_restart(own: int, total: int) -> None:
    world = World(ends=lambda number, attempt: End(seconds=1))

    async def run() -> None:
        async with running(world, per_minute=total) as campaigns:
            row = (await campaigns.create(fields(calls_per_minute=own), leads(3))).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: len(world.dialled) == 2)
            await asyncio.sleep(2)
        async with running(world, per_minute=total):
            await reached(lambda: len(world.dialled) == 3)

    virtual_time.run(run())
    assert world.dialled[2].at - world.dialled[0].at >= 59.8


def test_once_a_pause_is_answered_nothing_is_dialled_until_it_is_resumed() -> None:
    """Whenever it comes: also between what is written and what is dialled."""
    for moment in range(40):
        world = World(place_s=0.2, ends=lambda number, attempt: End(seconds=0.3))
        virtual_time.run(_paused_after(world, moment * 0.05))


async def _paused_after(world: World, seconds: float) -> None:
    async with running(world) as campaigns:
        row = (await campaigns.create(fields(calls_per_minute=600), leads(6))).row
        await campaigns.change(row.id, {"status": "scheduled"})
        await asyncio.sleep(seconds)
        await campaigns.change(row.id, {"status": "paused"})
        before = len(world.dialled)
        await asyncio.sleep(100)
        assert len(world.dialled) == before
        await campaigns.change(row.id, {"status": "scheduled"})
        await reached(lambda: world.status() == "completed")
    assert len(world.dialled) == 6


def test_calls_under_way_still_count_when_a_campaign_is_paused_and_resumed() -> None:
    world = World(ends=lambda number, attempt: End(seconds=500))

    async def run() -> None:
        async with running(world) as campaigns:
            row = (await campaigns.create(fields(calls_at_once=2), leads(4))).row
            for status in ("scheduled", "paused", "scheduled"):
                await campaigns.change(row.id, {"status": status})
                await asyncio.sleep(100)
            await reached(lambda: world.status() == "completed")

    virtual_time.run(run())
    assert (world.most_at_once, len(world.dialled)) == (2, 4)


def test_a_cancelled_campaign_gives_up_whom_it_has_not_called_and_lets_calls_end() -> None:
    world = World(ends=lambda number, attempt: End("busy", False, 100))

    async def run() -> None:
        async with running(world) as campaigns:
            row = (await campaigns.create(fields(max_attempts=3), leads(3))).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: world.dialled)
            await campaigns.change(row.id, {"status": "cancelled"})
            await reached(lambda: all(one.over.is_set() for one in world.dialled))
            await asyncio.sleep(7200)

    virtual_time.run(run())
    assert world.states() == [("failed", "busy", 1), ("skipped", "cancelled", 0), ("skipped", "cancelled", 0)]


def test_leads_that_are_added_while_it_runs_are_called_too() -> None:
    world = World()

    async def run() -> None:
        async with running(world) as campaigns:
            row = (await campaigns.create(fields(), [])).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await asyncio.sleep(300)
            assert world.status() == "scheduled", "without leads there is nothing to complete"
            await campaigns.add(row.id, leads(2))
            await reached(lambda: world.status() == "completed")

    virtual_time.run(run())
    assert len(world.dialled) == 2


def test_the_lead_is_on_the_call_and_its_variables_in_the_prompt() -> None:
    world = ran(World(), 1, system_message_template="Call {{name}} about {{date}}.", number_id="ours")
    (one,) = world.dialled
    lead = world.leads()[0]
    assert one.call.number_id == "ours"
    assert one.call.assistant.metadata == {"campaign_id": lead.campaign_id, "lead_id": lead.id}
    assert [message["content"] for message in one.call.assistant.llm_config["messages"]] == [
        "You call for the bakery.",
        "Call Lead 0 about .",
    ]
    assert one.call.assistant.first_message == "Good morning Lead 0."


def test_a_change_that_is_overtaken_by_the_campaigns_own_end_is_refused() -> None:
    world = World()

    async def overtaken(name: str, *statements: Statement) -> None:
        if name == "change_campaign":
            await World.write(world, "elsewhere", Statement("UPDATE campaigns SET status = 'completed'", ()))
        await World.write(world, name, *statements)

    async def run() -> None:
        row = (await world.campaigns().create(fields(), leads(1))).row
        campaigns = Campaigns(CampaignTables(overtaken, world.read), world.directory, DialRules(allow=("+31*",)))
        with pytest.raises(Refused) as caught:
            await campaigns.change(row.id, {"status": "scheduled"})
        assert caught.value.code == "status_changed"

    virtual_time.run(run())


def test_each_lead_is_called_within_the_window_of_its_own_zone() -> None:
    """It is 10:00 in Amsterdam, and Friday: New York is called from 15:00 on, Honolulu from 20:00 on."""
    world = World(ends=lambda number, attempt: End(seconds=1))

    async def run() -> None:
        async with running(world) as campaigns:
            given = leads(6)
            for at, zone in enumerate(("America/New_York", "Pacific/Honolulu"), 4):
                given[at]["timezone"] = zone
            row = (await campaigns.create(fields(weekdays=(4,)), given)).row
            await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: world.status() == "completed", 50_000, step_s=30)

    virtual_time.run(run())
    moments = {one.number[-1]: MORNING + timedelta(seconds=one.at) for one in world.dialled}
    assert all(moments[number] < MORNING + timedelta(minutes=5) for number in "0123")
    assert moments["4"].strftime("%a %H:%M") == "Fri 14:00"
    assert moments["5"].strftime("%a %H:%M") == "Fri 19:00"


def test_a_lead_is_called_only_while_it_is_within_the_window_everywhere_it_may_be() -> None:
    """A number that may be in New York or in Los Angeles; and one that could only be called where it is night."""
    world = World(ends=lambda number, attempt: End(seconds=1))
    zones = {
        "+31200000000": "America/Los_Angeles America/New_York",
        "+31200000001": "Europe/Amsterdam Pacific/Auckland",
    }
    world.zones_of = lambda number: zones.get(number, "")
    ran(world, 3, within_s=40_000)
    (first,) = [one for one in world.dialled if one.number.endswith("0")]
    assert (MORNING + timedelta(seconds=first.at)).strftime("%H:%M") == "17:00"
    assert world.states()[1:] == [("skipped", "never_in_window", 0), ("completed", "user_hangup", 1)]
    assert "give the lead one" in (world.leads()[1].error or "")


def test_one_number_is_not_called_by_two_campaigns_at_once() -> None:
    world = World()

    async def run() -> None:
        async with running(world) as campaigns:
            for _ in range(3):
                row = (await campaigns.create(fields(), [*leads(1), *leads(1)])).row
                assert (await campaigns.get(row.id)).counts.total == 1
                await campaigns.change(row.id, {"status": "scheduled"})
            await reached(lambda: all(state[0] == "completed" for state in world.states()))

    virtual_time.run(run())
    began = sorted(one.at for one in world.dialled)
    assert len(began) == 3 and all(later - earlier >= 20 for earlier, later in itertools.pairwise(began))


def test_another_attempt_comes_by_its_reason() -> None:
    def ends(number: str, attempt: int) -> End:
        return End("busy", False, 1) if number.endswith("0") else End("no_answer", False, 30)

    retries = {"busy": {"minutes": 2, "attempts": 3}, "no_answer": {"attempts": 1}}
    world = ran(World(ends=ends), 2, max_attempts=5, retry_minutes=60, retries=retries)
    assert world.states() == [("failed", "busy", 3), ("failed", "no_answer", 1)]
    busy = [one.at for one in world.dialled if one.number.endswith("0")]
    assert all(120 <= later - earlier < 300 for earlier, later in itertools.pairwise(busy))


def test_a_screening_service_that_puts_nobody_through_is_nobody() -> None:
    screened = {"who": "waiting", "screened": True}

    def ends(number: str, attempt: int) -> End:
        return End("no_answer", True, 30, screened) if attempt == 1 else End()

    assert ran(World(ends=ends), 1, max_attempts=2).states() == [("completed", "user_hangup", 2)]


def test_while_the_do_not_call_list_can_not_be_read_leads_wait_and_keep_their_attempts() -> None:
    slow = Refused("store_slow", "the do-not-call list can't be read now")
    world = ran(World(refusals={"+31200000000": [slow, slow]}), 1)
    assert (world.states(), world.status()) == ([("completed", "user_hangup", 1)], "completed")
