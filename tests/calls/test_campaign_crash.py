"""`kill -9` between any two steps: an attempt is dialled once at the most, and a lead ends in one final state."""

import asyncio
from collections import Counter
from datetime import time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.testing import virtual_time
from tests.calls.campaign_world import MORNING, End, Killed, World, fields, leads, reached, running

_FINAL = {"completed", "failed", "skipped"}


def ends(number: str, attempt: int) -> End:
    """The first is reached, the second busy once, the third never there."""
    return {
        "0": End(),
        "1": End("busy", False, 1) if attempt == 1 else End(),
        "2": End("no_answer", False, 30),
    }.get(number[-1], End("voicemail", True, 3))


def world_of(kill_at: set[int]) -> World:
    return World(
        ends=ends,
        kill_at=kill_at,
        refusals={"+31200000003": [Refused("dialling_limit_reached", "later")]},
        denied={"+31200000004"},
    )


async def to_the_end(world: World) -> None:
    """Daemons, one after the other, until the campaign is completed."""
    await prepared(world)
    for _ in range(20):
        try:
            async with running(world, at_once=2, per_minute=6):
                await reached(lambda: world.dead or world.status() == "completed")
        except BaseExceptionGroup as exc:
            assert exc.subgroup(Killed) is not None and exc.split(Killed)[1] is None, exc
        if not world.dead:
            return
        world.recover()
    raise AssertionError("it never ended")


async def prepared(world: World) -> None:
    kill_at, world.kill_at = world.kill_at, set()
    campaigns = world.campaigns()
    row = (await campaigns.create(fields(max_attempts=2, retry_minutes=1, calls_at_once=2), leads(5))).row
    await campaigns.change(row.id, {"status": "scheduled"})
    world.points, world.kill_at = 0, kill_at


def everything_is_well(world: World) -> None:
    dialled = Counter(one.call.call_id for one in world.dialled)
    assert set(dialled.values()) == {1}
    attempts = Counter(one.number for one in world.dialled)
    for lead in world.leads():
        assert lead.status in _FINAL, lead
        assert attempts[lead.phone_number] <= lead.attempts <= 2
        if lead.phone_number.endswith("4"):
            assert (lead.status, lead.attempts) == ("skipped", 0)
    assert world.most_at_once <= 2
    began = [one.at for one in world.dialled]
    assert all(later - earlier >= 59.8 for earlier, later in zip(began, began[6:], strict=False))


def test_killed_once_at_any_point() -> None:
    calm = world_of(set())
    virtual_time.run(to_the_end(calm))
    everything_is_well(calm)
    assert calm.points > 40
    for point in range(1, calm.points + 1):
        world = world_of({point})
        virtual_time.run(to_the_end(world))
        assert not world.dead
        everything_is_well(world)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 90), min_size=2, max_size=8))
def test_killed_again_and_again(points: set[int]) -> None:
    world = world_of(points)
    virtual_time.run(to_the_end(world))
    everything_is_well(world)


def test_two_hundred_leads_of_every_kind_with_three_kills() -> None:
    """An attempt rings once at the most; never are there more at once or in a minute than allowed, never at night."""
    world = World(ends=_anybody, kill_at={97, 350, 801}, began_at=MORNING + timedelta(hours=5))

    async def run() -> None:
        kill_at, world.kill_at = world.kill_at, set()
        campaigns = world.campaigns()
        hours = {"schedule_start_time": "09:00:00", "schedule_end_time": "16:30:00"}
        row = (await campaigns.create(fields(**hours, max_attempts=3, calls_at_once=6), leads(200))).row
        await campaigns.change(row.id, {"status": "scheduled", "calls_per_minute": 12})
        world.points, world.kill_at = 0, kill_at
        while world.status() != "completed":
            try:
                async with running(world):
                    await reached(lambda: world.dead or world.status() == "completed", 80_000, step_s=5)
            except BaseExceptionGroup as exc:
                assert exc.split(Killed)[1] is None, exc
            if world.dead:
                world.recover()

    virtual_time.run(run())
    rang = Counter(one.number for one in world.dialled)
    assert {lead.status for lead in world.leads()} <= _FINAL
    assert all(rang[lead.phone_number] <= lead.attempts <= 3 for lead in world.leads())
    assert sum(lead.attempts for lead in world.leads()) - len(world.dialled) <= 3 * 6, "what a kill may have cost"
    assert world.most_at_once <= 6
    began = [one.at for one in world.dialled]
    assert all(later - earlier >= 59.8 for earlier, later in zip(began, began[12:], strict=False))
    local = [(world.began_at + timedelta(seconds=at)).astimezone(ZoneInfo("Europe/Amsterdam")).time() for at in began]
    assert min(local) >= time(9) and max(local) < time(16, 30)
    assert len({at // 40_000 for at in began}) > 1, "it took until the next morning"


def _anybody(number: str, attempt: int) -> End:
    """Always the same for the same attempt at the same number."""
    dice = Random(f"{number} {attempt}")
    kind = dice.choice(["answers", "answers", "busy", "no_answer", "voicemail", "rejected", "error"])
    seconds = dice.uniform(1, 120)
    return End(seconds=seconds) if kind == "answers" else End(kind, kind == "voicemail", seconds)


def test_a_lead_that_was_claimed_but_never_dialled_keeps_its_attempt() -> None:
    """The first point after the claim is committed."""
    world = World(kill_at={2})

    async def run() -> None:
        await prepared(world)
        await _killed(world)
        assert [one.status for one in world.leads()].count("calling") == 1
        world.recover()
        async with running(world):
            await reached(lambda: world.status() == "completed")

    virtual_time.run(run())
    assert world.states()[0] == ("completed", "user_hangup", 1)
    assert len(world.dialled) == 5


def test_a_lead_whose_call_was_cut_off_before_an_answer_is_not_called_again() -> None:
    """Nobody can know whether the telephone rang when the daemon died between its row and the PBX's answer."""
    world = World(kill_at={4})

    async def run() -> None:
        await prepared(world)
        await _killed(world)
        assert not world.dialled
        world.recover()
        async with running(world):
            await reached(lambda: world.status() == "completed")

    virtual_time.run(run())
    assert world.states()[0] == ("failed", "unknown", 1)


def test_lines_that_the_dialplan_has_after_a_crash_count_as_calls() -> None:
    """Whoever was talking is in the fallback now; nobody else is called until there is a line for him."""
    world = World(kill_at={15}, ends=lambda number, attempt: End(seconds=300.0))

    async def run() -> None:
        await prepared(world)
        await _killed(world)
        rang = len(world.dialled)
        assert rang == 2
        world.recover()
        world.left_lines = 2
        async with running(world):
            await asyncio.sleep(120)
            assert len(world.dialled) == rang
            world.left_lines = 1
            await asyncio.sleep(10)
            assert len(world.dialled) == rang + 1
            world.left_lines = 0
            await reached(lambda: world.status() == "completed")

    virtual_time.run(run())
    assert world.most_at_once <= 2


async def _killed(world: World) -> None:
    try:
        async with running(world):
            await reached(lambda: world.dead)
    except BaseExceptionGroup:
        assert world.dead
    await asyncio.sleep(1)
