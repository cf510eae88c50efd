"""Daemon, manager and Asterisk lose one another in mid-call, on the real Asterisk: nobody is left hanging, no row is
left open, and nothing is told twice."""

import asyncio

import aiohttp
import pytest

from sovereign_pbx.config import load
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.api.rest import make_key
from tests.calls.scene_daemon import until_linked
from tests.calls.scene_stage import ANSWER, Stage
from tests.calls.scene_troupe import scene
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

FALLBACK_S = 2.0
TALKERS = ("101", "102", "103", "104")
LOST = "the daemon was stopped during the call"


@scene("3", "The daemon is killed with four calls up and started again at once", bounded="at once", process=True)
async def test_a_daemon_killed_and_started_again_gives_all_its_calls_to_the_fallback(stage: Stage) -> None:
    people = [await stage.answered(number) for number in TALKERS]
    for person in people:
        await person.hears_beginning(after=0.0)
    await asyncio.sleep(1.5)
    loop = asyncio.get_running_loop()
    at = loop.time()
    await stage.process.kill()
    starting = asyncio.create_task(stage.process.start())
    tones = [await person.hears_fallback() for person in people]
    late = [tone.start - at for tone in tones]
    stage.notes.append(f"the fallback after {min(late):.2f} to {max(late):.2f} s")
    assert max(late) < FALLBACK_S, late
    await starting
    await until_linked(stage.daemon)
    await stage.take_stock()
    newcomer = await stage.greeted("105")  # who calls next is served, while the others hear the fallback
    assert all(person.call.end is None for person in people), "the audit took the fallback's callers for its own"
    await newcomer.hang_up()
    for person in people:
        await person.hang_up()
    await stage.check_nothing_left()
    rows = {row.assistant_phone: row for row in await stage.rows()}
    assert [(rows[number].status, rows[number].end_reason, rows[number].error) for number in TALKERS] == [
        ("failed", "error", LOST)
    ] * len(TALKERS)


@scene(
    "6",
    "Calls end while the manager is away and the dialplan can't tell of it",
    bounded="the roll-call after the login",
    relayed=True,
)
async def test_hang_ups_that_nobody_told_of_are_found_when_the_manager_is_back(stage: Stage) -> None:
    staying = await stage.greeted("101")
    leaving = await stage.greeted("102")
    assert stage.relay is not None
    await stage.relay.cut()
    await stage.asterisk.cli("dialplan remove extension h@sovereign-inbound")
    await leaving.hang_up(at_once=True)
    await until(lambda: len(stage.own.daemon.desk.under_way) == 1)
    await stage.relay.mend()
    await until_linked(stage.daemon)
    asked = await staying.ask()
    await staying.hears(ANSWER, after=asked)
    await staying.hang_up()
    await stage.check_nothing_left()
    assert [(row.status, row.end_reason) for row in await stage.rows()] == [("ended", "user_hangup")] * 2


@scene(
    "6",
    "Asterisk is killed with two calls up and started again, and the audit runs meanwhile",
    bounded="the sockets' end",
    asterisk={"audit_seconds": 0.3},
)
async def test_an_asterisk_that_comes_back_without_its_calls_leaves_none_open(stage: Stage) -> None:
    people = [await stage.greeted(number) for number in ("101", "102")]
    await stage.asterisk.stop()
    for person in people:
        person.call.close()
    await until(lambda: not stage.own.daemon.desk.under_way)
    await stage.asterisk.start()
    await until_linked(stage.daemon)
    another = await stage.greeted("103")
    await asyncio.sleep(1.0)
    asked = await another.ask()
    await another.hears(ANSWER, after=asked)
    assert stage.own.daemon.audit.mended == 0, "every end was told by its socket"
    await another.hang_up()
    await stage.check_nothing_left()
    assert [row.status for row in await stage.rows()] == ["ended"] * 3


@scene(
    "3",
    "The daemon is killed while a telephone rings for it, and started again",
    bounded="two seconds after the login at the manager",
    process=True,
    dialling={"allow": ["1*"]},
)
async def test_a_telephone_does_not_ring_on_for_a_daemon_that_was_killed(stage: Stage) -> None:
    key = await asyncio.to_thread(lambda: make_key(load(stage.folder / "config.toml")))
    url = f"http://127.0.0.1:{stage.settings['http']['port']}/api/v1/calls/outbound"
    wish = {"destination": "101", "assistant_id": "reception"}
    talking = await stage.answered("102")
    async with SipPhone(stage.asterisk.sip_address, user="agent", port=stage.asterisk.agent_port) as agent:
        agent.manner = "ring"
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession() as session, session.post(url, json=wish, headers=headers) as response:
            assert response.status == 200, await response.text()
        ringing = await agent.incoming()
        await stage.process.kill()
        await stage.process.start()
        await until_linked(stage.daemon)
        linked_at = asyncio.get_running_loop().time()
        assert ringing.end is None, "it rang on, as long as there was no daemon"
        assert (await asyncio.wait_for(ringing.over(), 10.0)).how == "cancelled"
        stage.notes.append(f"silent {asyncio.get_running_loop().time() - linked_at:.1f} s after the login")
        assert talking.call.end is None, "who is with the fallback is none of the daemon's"
    await stage.take_stock()
    await talking.hang_up()
    await stage.check_nothing_left()
    row = await stage.row_of("102")
    assert (row.status, row.end_reason) == ("failed", "error")
    assert {(row.status, row.end_reason) for row in await stage.rows()} == {("failed", "error")}
