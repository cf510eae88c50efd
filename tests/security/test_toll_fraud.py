"""A caller, a webhook, a key or a workflow that wants a call to cost the owner money: nothing is dialled, ever."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.assistants.dialling import DialRules
from sovereign_pbx.calls.transfer import TransferPolicy
from sovereign_pbx.core.commands import HandOver
from sovereign_pbx.core.destinations import wanted
from sovereign_pbx.core.errors import BadInput, Refused
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.plan import Plan, Transfer
from sovereign_pbx.core.values import BLIND
from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.pbx.steps import checked_step
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.openai import Answer
from tests.api.rest import make_key
from tests.calls.house import QUESTION, House, assistant, house, play
from tests.security.disguises import ALLOWED, DISGUISES, PREMIUM, SALES
from tests.waiting import until
from tests.webhooks.receiver import Got

RULES = DialRules(allow=("+31*", "200"), country="31")
DISGUISED = pytest.mark.parametrize("destination", DISGUISES.values(), ids=DISGUISES)
CANT = "I can't put you through there."


def transferring(number: str) -> dict[str, Any]:
    """An assistant that may put callers through to `number`."""
    destination = {"type": "number", "number": number, "description": "Sales", "message": "I put you through."}
    tools = [{"type": "transfer_call", "destinations": [destination]}]
    return assistant(llm_config={**assistant()["llm_config"], "tools": tools})


def wants(destination: str) -> Answer:
    """A model that does whatever the caller talks it into."""
    return Answer(tools=(("transfer_call", json.dumps({"destination": destination})),))


def told(place: House) -> list[dict[str, Any]]:
    """What the model was told of what it tried."""
    return [
        message for request in place.openai.requests for message in request["messages"] if message["role"] == "tool"
    ]


# --- the rules, and whoever asks them


@DISGUISED
def test_no_disguise_passes_the_allow_list(destination: str) -> None:
    assert RULES.refusal(destination)


@DISGUISED
def test_a_model_names_none_but_its_own_destinations(destination: str) -> None:
    plan = Plan(transfers=(Transfer(SALES, "I put you through.", BLIND),), refusal=RULES.refusal)
    found = wanted(plan, destination, "", 0)
    assert isinstance(found, str) or found[0].destination == SALES


@given(st.text(max_size=80))
def test_whatever_a_model_writes_only_a_planned_destination_is_dialled(text: str) -> None:
    plan = Plan(transfers=(Transfer(SALES, "", BLIND), Transfer("200", "", BLIND)), refusal=RULES.refusal)
    found = wanted(plan, text, "", 0)
    assert isinstance(found, str) or (isinstance(found[0], HandOver) and found[0].destination in (SALES, "200"))


FORBIDDEN = ("200&201", "200,30", "200\r\nAction: x", "${SHELL(id)}", "200)", "200|g", "200^1", "a b", '"', "200;x=y")


@pytest.mark.parametrize("field", ["destination", "trunk", "caller_id", "diverted_from", "music"])
@pytest.mark.parametrize("text", FORBIDDEN)
def test_no_field_of_a_transfer_brings_anything_else_into_the_dialplan(field: str, text: str) -> None:
    fields: dict[str, Any] = {"step": "dial", "destination": "200", field: text}
    with pytest.raises(BadInput):
        checked_step(NextStep(**fields))


@pytest.mark.parametrize("dialled", [*FORBIDDEN, "sip:evil@example.org", "\u0663\u0661", "x" * 300])
def test_a_number_that_was_dialled_to_reach_us_is_shown_only_where_it_is_one(dialled: str) -> None:
    step = TransferPolicy(caller_id="number").step(SALES, None, BLIND, dialled=dialled)
    assert set(step.caller_id + step.diverted_from) <= set("+0123456789")
    checked_step(step)


# --- whole calls


def obeying(*destinations: str) -> Callable[[dict[str, Any]], Answer]:
    """A model that tries them one after the other, and gives up."""

    def answer(request: dict[str, Any]) -> Answer:
        tried = sum(message["role"] == "tool" for message in request["messages"])
        return wants(destinations[tried]) if tried < len(destinations) and request.get("tools") else Answer(CANT)

    return answer


def test_a_caller_who_talks_the_model_into_a_premium_number_is_not_put_through(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = {"reception": transferring(SALES)}
        async with house(tmp_path, saved, dialling=ALLOWED) as place, place.caller() as caller:
            place.openai.script = obeying(PREMIUM, DISGUISES["a second destination"])
            await caller.place()
            await until(lambda: caller.heard.sounds())
            await caller.say(QUESTION).finished.wait()
            await until(lambda: len(told(place)) >= 1, 15.0)
            assert all("Not transferred" in message["content"] for message in told(place))
            await caller.hang_up()
            (report,) = await place.reported()
            assert report["end_reason"] == "user_hangup"
            assert caller.steps == [] and "SOVEREIGN_DEST" not in caller.variables

    play(scene())


@pytest.mark.parametrize("number", [PREMIUM, "+442071234567"])
def test_a_webhook_that_answers_with_a_destination_of_its_own_has_nobody_dialled(tmp_path: Path, number: str) -> None:
    async def hostile(got: Got) -> web.StreamResponse:
        changed = {"assistant": transferring(number)}
        return web.json_response(changed if got.event == "assistant-request" else {})

    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request", "end-of-call-report"])}
        async with house(tmp_path, saved, dialling=ALLOWED) as place, place.caller() as caller:
            place.receiver.answer = hostile
            place.openai.script = obeying(number)
            await caller.place()
            await until(lambda: caller.heard.sounds())
            await caller.say(QUESTION).finished.wait()
            await until(lambda: told(place), 15.0)
            assert "Not transferred" in told(place)[0]["content"]
            await caller.hang_up()
            await place.reported()
            assert caller.steps == [] and "SOVEREIGN_DEST" not in caller.variables

    play(scene())


@pytest.mark.parametrize("caller_id", ["200", "+31900123456", "admin", "100", ""])
def test_whom_a_caller_claims_to_be_gives_him_no_right_to_dial(tmp_path: Path, caller_id: str) -> None:
    async def scene() -> None:
        saved = {"reception": transferring(SALES)}
        async with house(tmp_path, saved, dialling=ALLOWED) as place, place.caller(caller=caller_id) as caller:
            await caller.place()
            await until(lambda: place.daemon.desk.under_way)
            (call_id,) = place.daemon.desk.under_way
            for destination in (PREMIUM, "201", "+442071234567"):
                with pytest.raises(Refused, match=r"not allowed|costs extra"):
                    await place.daemon.desk.instruct(call_id, Instructed("transfer", "", destination=destination))
            await caller.hang_up()
            assert "SOVEREIGN_DEST" not in caller.variables

    play(scene())


# --- the API


@asynccontextmanager
async def with_api(folder: Path) -> AsyncIterator[tuple[House, Callable[..., Awaitable[tuple[int, dict[str, Any]]]]]]:
    """A daemon and `post(path, body)`, with a key that may place and steer calls, and is no admin."""
    ports = reserve_ports()
    try:
        port = ports.take(socket.SOCK_STREAM)
        http = {"port": port, "requests_per_minute": 1000, "commands_per_minute": 1000}
        saved = {"reception": {"id": "reception", **assistant()}}
        async with house(folder, saved, http=http, dialling=ALLOWED) as place, aiohttp.ClientSession() as session:
            key = await asyncio.to_thread(make_key, place.daemon.config, ("calls",))

            async def post(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
                headers = {"Authorization": f"Bearer {key}"}
                async with session.post(f"http://127.0.0.1:{port}/api/v1{path}", json=body, headers=headers) as got:
                    return got.status, await got.json()

            yield place, post
    finally:
        ports.release()


def test_a_key_that_may_steer_calls_transfers_nobody_to_where_it_is_not_allowed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, post), place.caller() as caller:
            await caller.place()
            (call_id,) = place.daemon.desk.under_way
            for name, destination in DISGUISES.items():
                status, body = await post(f"/calls/{call_id}/control", {"type": "transfer", "destination": destination})
                assert 400 <= status < 500, (name, status, body)
            assert place.daemon.desk.under_way == {call_id}, "the call itself goes on"
            await caller.hang_up()
            assert "SOVEREIGN_DEST" not in caller.variables

    play(scene())


def test_a_key_that_may_place_calls_calls_nobody_who_is_not_allowed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, post):
            for name, destination in DISGUISES.items():
                wish = {"destination": destination, "assistant_id": "reception"}
                status, body = await post("/calls/outbound", wish)
                assert status in (400, 403, 422), (name, status, body)
            assert place.daemon.desk.present == frozenset()
            assert await place.rows() == []

    play(scene())


def test_a_campaign_calls_no_lead_who_is_not_allowed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, post):
            for name, destination in DISGUISES.items():
                campaign = {"name": name, "assistant_id": "reception", "leads": [{"phone_number": destination}]}
                status, body = await post("/campaigns", campaign)
                assert status in (400, 403, 422), (name, status, body)
            assert await place.rows() == []

    play(scene())
