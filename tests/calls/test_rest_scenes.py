"""The whole path on the real Asterisk: a request, a telephone that rings, commands that are heard, the call shown."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sovereign_pbx.testing.sip_caller import SipPhone
from tests.api.rest import make_key
from tests.calls.house import assistant
from tests.calls.scene_person import Person
from tests.calls.scene_stage import Stage, play, stage
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]

OURS = "+31850835037"
CALLEE = "+31612345678"
FIRST = "Hello, this is the workshop calling."
SAID = "Your bicycle is ready."
NEWS = "The code was correct."
ANSWER = "Yes, it was."
BYE = "Thank you, goodbye."
SECTIONS: dict[str, Any] = {
    "http": {"enabled": True},
    "assistants": {"reception": assistant(id="reception")},
    "numbers": [
        {"number": OURS, "name": "Main line", "id": "main", "assistant": "reception", "transfer_trunk": "carrier"}
    ],
    "trunks": {"carrier": {"endpoint": "agent"}},
    "dialling": {"allow": ["+316*"], "ring_seconds": 10.0},
}


class Client:
    """Asks the stage's daemon as an admin does."""

    def __init__(self, session: aiohttp.ClientSession, made: Stage) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{made.settings['http']['port']}/api/v1"

    async def get(self, path: str) -> Any:
        async with self._session.get(self._url + path) as response:
            assert response.status == 200
            return await response.json()

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        async with self._session.post(self._url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def order(self, call_id: str, **command: Any) -> float:
        await asyncio.sleep(0.6)  # a pause by which the ear tells one phrase from the next
        began = asyncio.get_running_loop().time()
        status, body = await self.post(f"/calls/{call_id}/control", command)
        assert (status, body) == (200, {"success": True, "message": "Command sent successfully"})
        return began


def test_a_call_is_placed_steered_and_ended_through_the_api_and_shown_by_it(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def conversation(made: Stage, callee: SipPhone, api: Client) -> str:
        made.openai.script = (ANSWER,)
        order = {"destination": CALLEE, "agent_id": "reception", "number_id": "main", "first_message": FIRST}
        status, placed = await api.post("/calls/outbound", order, **{"Idempotency-Key": "order-7"})
        assert (status, placed["status"]) == (200, "dialing")
        _, again = await api.post("/calls/outbound", order, **{"Idempotency-Key": "order-7"})
        call_id: str = placed["call_id"]
        assert again["call_id"] == call_id
        call = await callee.incoming()
        assert (await api.get(f"/calls/{call_id}"))["status"] == "connecting"
        call.ring()
        await call.answer()
        person = Person(call, frozenset(made.phrases))
        made.people.append(person)
        await person.hears(FIRST)
        began = await api.order(call_id, type="say", content=SAID)
        await person.hears(SAID, after=began)
        began = await api.order(call_id, type="inject-context", content=NEWS, trigger_response=True)
        await person.hears(ANSWER, after=began)
        refused, body = await api.post(f"/calls/{call_id}/control", {"type": "transfer", "destination": "+4412345678"})
        assert (refused, body["code"]) == (403, "destination_not_allowed")
        assert (await api.get(f"/calls/{call_id}"))["status"] == "in-progress"
        await api.order(call_id, type="end-call", message=BYE)
        await person.hears(BYE)
        assert (await call.over()).how == "they hung up"
        assert len(callee.calls) == 1
        return call_id

    async def shown(made: Stage, api: Client, call_id: str) -> None:
        await until(lambda: made.webhooks("end-of-call-report"))
        call = await api.get(f"/calls/{call_id}")
        assert (call["status"], call["direction"], call["end_reason"]) == ("ended", "outbound", "api_end_call")
        assert (call["caller_phone"], call["assistant_phone"], call["number_id"]) == (CALLEE, OURS, "main")
        assert (call["agent_id"], call["agent_name"]) == ("reception", "reception")
        spoken = [message["content"] for message in call["messages"] if message["role"] == "assistant"]
        assert spoken == [FIRST, SAID, ANSWER, BYE]
        (listed,) = (await api.get("/calls?direction=outbound&status=ended"))["calls"]
        assert listed == call
        assert (await api.get("/usage"))["logs"][0]["duration_sec"] == call["duration_seconds"]
        assert (await api.get("/organizations"))["active_calls"] == 0

    async def scene() -> None:
        async with stage(asterisk_root, tmp_path, phrases=(FIRST, SAID, ANSWER, BYE), **SECTIONS) as made:
            async with SipPhone(made.asterisk.sip_address, user="agent", port=made.asterisk.agent_port) as callee:
                key = await asyncio.to_thread(make_key, made.own.daemon.config)
                async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
                    api = Client(session, made)
                    await shown(made, api, await conversation(made, callee, api))
            await made.check_nothing_left()

    play(scene())


def test_a_call_that_nobody_answers_is_shown_with_its_reason(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(asterisk_root, tmp_path, **SECTIONS) as made:
            async with SipPhone(made.asterisk.sip_address, user="agent", port=made.asterisk.agent_port) as callee:
                callee.manner = "busy"
                key = await asyncio.to_thread(make_key, made.own.daemon.config)
                async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
                    api = Client(session, made)
                    order = {"destination": CALLEE, "assistant": assistant(first_message=FIRST)}
                    _, placed = await api.post("/calls/outbound", order)
                    await until(lambda: made.webhooks("end-of-call-report", placed["call_id"]))
                    call = await api.get(f"/calls/{placed['call_id']}")
                    assert (call["status"], call["end_reason"], call["messages"]) == ("failed", "busy", [])
                    assert (call["started_at"], call["duration_seconds"]) == (None, 0)
            await made.check_nothing_left()

    play(scene())
