"""Campaigns on the real Asterisk: people who answer, are busy, are not there, or turn the call down."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sovereign_pbx.config import load
from sovereign_pbx.store import campaign_queries
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.api.rest import make_key
from tests.calls.house import assistant
from tests.calls.scene_daemon import until_linked
from tests.calls.scene_person import Person
from tests.calls.scene_stage import Stage, play, stage

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]

NAMES = ("Anna", "Bram", "Carla", "Dirk", "Els", "Frits")
GREETED = {name: f"Good morning {name}, your bicycle is ready." for name in NAMES}
SETTINGS: dict[str, Any] = {
    "assistants": {"reception": assistant(first_message="Good morning {{name}}, your bicycle is ready.")},
    "numbers": [{"number": "+31850835037", "assistant": "reception", "transfer_trunk": "carrier"}],
    "trunks": {"carrier": {"endpoint": "agent"}},
    "http": {"requests_per_minute": 10_000},
    "dialling": {"allow": ["+316*"], "ring_seconds": 5.0},
}
CAMPAIGN: dict[str, Any] = {
    "name": "Bicycles",
    "agent_id": "reception",
    "schedule_start_time": "00:00",
    "schedule_end_time": "00:00",
    "timezone": "Europe/Amsterdam",
    "calls_per_minute": 60,
}


def number_of(index: int) -> str:
    return f"+3161234560{index}"


LEADS = [{"phone_number": number_of(index), "variables": {"name": name}} for index, name in enumerate(NAMES)]


@dataclass
class Street:
    """Whom the campaign may reach: `homes` says what each does whose telephone rings, by his number."""

    stage: Stage
    phone: SipPhone
    homes: dict[str, Callable[["Street", SipCall, str], Awaitable[None]]] = field(default_factory=dict)
    rang: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0

    async def live(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                call = await self.phone.incoming(100.0)
                number = re.search(r"sip:(\+[0-9]+)@", call.invite.start)
                assert number is not None
                self.rang[number[1]] += 1
                group.create_task(self._home(call, number[1]))

    async def _home(self, call: SipCall, number: str) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.homes[number](self, call, number)
            await call.over(30.0)
        finally:
            self.at_once -= 1


async def listens(street: Street, call: SipCall, number: str) -> None:
    call.ring()
    await call.answer()
    person = Person(call, frozenset(street.stage.phrases))
    street.stage.people.append(person)
    await person.hears(GREETED[NAMES[int(number[-1])]])
    await person.hang_up()


async def is_busy(street: Street, call: SipCall, number: str) -> None:
    call.decline("486 Busy Here")


async def declines(street: Street, call: SipCall, number: str) -> None:
    call.decline("603 Decline")


async def is_out(street: Street, call: SipCall, number: str) -> None:
    call.ring()


async def is_short(street: Street, call: SipCall, number: str) -> None:
    call.ring()
    await call.answer()
    await asyncio.sleep(3.0)  # long enough for a machine that is busy
    await call.hang_up()


async def talks_on(street: Street, call: SipCall, number: str) -> None:
    call.ring()
    await call.answer()


@dataclass
class Client:
    """The REST API of the daemon on the stage."""

    session: aiohttp.ClientSession
    url: str

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, f"{self.url}/api/v1{path}", json=body) as response:
            answer = await response.json()
            assert response.status < 300, answer
            return answer


def act(root: Path, folder: Path, scene: Callable[[Street, Client], Awaitable[None]]) -> None:
    async def body() -> None:
        async with stage(root, folder, process=True, phrases=GREETED.values(), **SETTINGS) as made:
            config = await asyncio.to_thread(load, folder / "config.toml")
            key = await asyncio.to_thread(make_key, config, ("read", "calls"))
            agent = SipPhone(made.asterisk.sip_address, user="agent", port=made.asterisk.agent_port)
            headers = {"Authorization": f"Bearer {key}"}
            async with agent, aiohttp.ClientSession(headers=headers) as session:
                street = Street(made, agent)
                living = asyncio.create_task(street.live())
                try:
                    await scene(street, Client(session, f"http://127.0.0.1:{made.settings['http']['port']}"))
                finally:
                    living.cancel()
                    await asyncio.gather(living, return_exceptions=True)
                await made.asterisk.wait_for_channels(0, 8.0)

    play(body())


async def completed(api: Client, path: str, within_s: float = 60.0) -> list[dict[str, Any]]:
    """The leads, once the campaign has called all of them."""
    async with asyncio.timeout(within_s):
        while (await api.send("GET", path))["campaign"]["status"] != "completed":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    leads: list[dict[str, Any]] = (await api.send("GET", f"{path}/leads"))["leads"]
    return leads


def test_six_leads_of_every_kind(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene(street: Street, api: Client) -> None:
        homes = (listens, is_busy, is_out, declines, listens)
        street.homes = {number_of(index): home for index, home in enumerate(homes)}
        leads = [*LEADS[:5], {"phone_number": "+3290012345", "variables": {"name": "Frits"}}]
        campaign = (await api.send("POST", "/campaigns", {**CAMPAIGN, "calls_at_once": 2, "leads": leads}))["campaign"]
        path = f"/campaigns/{campaign['id']}"
        await api.send("PATCH", path, {"status": "scheduled"})
        found = await completed(api, path)
        assert [(one["status"], one["outcome"], one["attempts"]) for one in found[:5]] == [
            ("completed", "user_hangup", 1),
            ("failed", "busy", 1),
            ("failed", "no_answer", 1),
            ("failed", "rejected", 1),
            ("completed", "user_hangup", 1),
        ]
        denied = found[5]
        assert (denied["status"], denied["attempts"], denied["outcome"]) == ("skipped", 0, "destination_not_allowed")
        assert "[dialling] allow" in denied["error"]
        assert street.rang == {number_of(index): 1 for index in range(5)}
        assert street.most_at_once == 2
        rows = {row.id: row for row in await street.stage.rows()}
        called = [rows[one["call_id"]] for one in found[:5]]
        assert [row.caller_phone for row in called] == [number_of(index) for index in range(5)]
        assert [row.assistant["metadata"]["lead_id"] for row in called] == [one["id"] for one in found[:5]]

    act(asterisk_root, tmp_path, scene)


def test_a_daemon_that_is_killed_twice_in_a_campaign_rings_nobody_twice(asterisk_root: Path, tmp_path: Path) -> None:
    """Once while people talk, once while a telephone rings. One attempt for each: who was cut off stays cut off."""

    async def scene(street: Street, api: Client) -> None:
        homes = (talks_on, talks_on, talks_on, is_out, is_short, is_short)
        street.homes = {number_of(index): home for index, home in enumerate(homes)}
        campaign = (await api.send("POST", "/campaigns", {**CAMPAIGN, "calls_at_once": 2, "leads": LEADS}))["campaign"]
        path = f"/campaigns/{campaign['id']}"
        await api.send("PATCH", path, {"status": "scheduled"})
        for talking, ringing in (([0, 1], []), ([2], [3])):
            await _until(street, talking, ringing)
            await street.stage.process.kill()
            for call in street.phone.calls.values():
                if call.end is None and call.answered_at is not None:
                    await call.hang_up()
            await street.stage.process.start()
            await until_linked(street.stage.daemon)
        found = await completed(api, path)
        assert street.rang == {number_of(index): 1 for index in range(6)}
        assert [one["attempts"] for one in found] == [1] * 6
        ends = [(one["status"], one["outcome"]) for one in found]
        assert ends[:3] == [("completed", "interrupted")] * 3, "they had answered"
        assert ends[3] == ("failed", "unknown"), "nobody can know whether he would have answered"
        assert ends[4:] == [("completed", "user_hangup")] * 2
        attempts = await street.stage.read(lambda connection: campaign_queries.starts(connection, ""))
        assert len(attempts) == 6

    act(asterisk_root, tmp_path, scene)


async def _until(street: Street, talking: list[int], ringing: list[int]) -> None:
    """Wait until these people talk, as the books have it, and these telephones ring."""
    async with asyncio.timeout(30):
        while True:
            live = {row.caller_phone for row in await street.stage.rows() if row.status == "in-progress"}
            if {number_of(one) for one in talking} <= live and all(street.rang[number_of(one)] for one in ringing):
                return
            await asyncio.sleep(0.05)
