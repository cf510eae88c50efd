"""`/numbers` as clients of every generation use it (contract §16.1)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.rest import Client, serving_rest

FILE = {
    "assistants": {"desk": {"name": "Front desk", "business_name": "Bakery"}},
    "trunks": {"carrier": {}},
    "numbers": [{"number": "100", "assistant": "desk", "transfer_trunk": "carrier"}],
}


def play(folder: Path, scene: Callable[[Client], Awaitable[None]], **sections: Any) -> None:
    async def run() -> None:
        async with serving_rest(folder, **sections) as api:
            await scene(api)

    asyncio.run(run())


def test_a_number_is_answered_with_the_names_of_what_it_refers_to(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        desk = (await api.get("/assistants")).body["assistants"][0]["id"]
        trunk = (await api.get("/sip-trunks")).body["trunks"][0]["id"]
        body = {"phone_number": "+31850835037", "assistant_id": desk, "transfer_trunk_id": "carrier", "name": "Main"}
        made = await api.post("/numbers", body)
        assert made.status == 201
        number = made.body["number"]
        assert number == {
            "id": number["id"],
            "phone_number": "+31850835037",
            "name": "Main",
            "assistant_id": desk,
            "agent_id": desk,
            "agent_name": "Front desk",
            "business_name": "Bakery",
            "transfer_trunk_id": trunk,
            "transfer_trunk_name": "carrier",
            "workflow_id": None,
            "workflow_name": None,
            "source": "api",
            "is_active": True,
            "created_at": number["created_at"],
            "updated_at": number["created_at"],
        }
        assert (await api.get(f"/numbers/{number['id']}")).body == {"number": number}
        listed = (await api.get("/numbers")).body["numbers"]
        assert [one["source"] for one in listed] == ["file", "api"]
        saved = {"created_at": listed[0]["created_at"], "updated_at": listed[0]["created_at"]}  # the file's own
        assert saved["created_at"] < number["created_at"]
        assert listed[0] | {"id": 0, "phone_number": 0} == number | {
            **{"id": 0, "phone_number": 0, "name": None, "source": "file", **saved}
        }

    play(tmp_path, scene, **FILE)


@pytest.mark.parametrize(
    "body",
    [
        {"number": "200", "assistant_id": "desk"},
        {"phone_number": "200", "agent_id": "desk"},
        {"phoneNumber": "200", "assistantId": "desk"},
        {"phone_number": "200", "assistant": "desk"},
    ],
)
def test_every_spelling_of_number_and_assistant_is_taken(tmp_path: Path, body: dict[str, Any]) -> None:
    async def scene(api: Client) -> None:
        made = (await api.post("/numbers", body)).body["number"]
        assert (made["phone_number"], made["agent_name"]) == ("200", "Front desk")

    play(tmp_path, scene, **FILE)


def test_null_detaches_and_what_is_not_sent_stays(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        body = {"phone_number": "200", "name": "Main", "agent_id": "desk", "transfer_trunk_id": "carrier"}
        path = f"/numbers/{(await api.post('/numbers', body)).body['number']['id']}"
        changed = (await api.patch(path, {"agent_id": None, "is_active": False})).body["number"]
        assert (changed["assistant_id"], changed["agent_name"], changed["is_active"]) == (None, None, False)
        assert (changed["name"], changed["transfer_trunk_name"]) == ("Main", "carrier")
        back = (await api.patch(path, {**changed, "assistant_id": "desk", "agent_id": "desk"})).body["number"]
        assert (back["agent_name"], back["is_active"], back["id"]) == ("Front desk", False, changed["id"])

    play(tmp_path, scene, **FILE)


def test_a_reference_that_leads_nowhere_is_refused_with_its_key(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        body = {"phone_number": "200", "assistant_id": "nobody", "transfer_trunk_id": "none", "workflow_id": "gone"}
        refused = await api.post("/numbers", body)
        assert (refused.status, refused.body["code"]) == (400, "invalid_request")
        assert refused.body["details"] == [
            'assistant_id: there is no assistant "nobody"',
            'transfer_trunk_id: there is no SIP trunk "none"',
            'workflow_id: there is no workflow "gone"',
        ]
        assert len((await api.get("/numbers")).body["numbers"]) == 1

    play(tmp_path, scene, **FILE)


@pytest.mark.parametrize("taken", ["100", "1 0-0", "+31 85 083 5037", "0031850835037"])
def test_a_number_that_exists_is_refused_however_it_is_written(tmp_path: Path, taken: str) -> None:
    async def scene(api: Client) -> None:
        assert (await api.post("/numbers", {"phone_number": "+31850835037"})).status == 201
        refused = await api.post("/numbers", {"phone_number": taken})
        assert (refused.status, refused.body["code"]) == (409, "already_in_use")
        assert ("config.toml:" in refused.body["message"]) is (not taken.startswith(("+", "0")))

    play(tmp_path, scene, **FILE)


def test_a_number_itself_can_not_be_changed_but_may_be_sent_again(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        path = f"/numbers/{(await api.post('/numbers', {'phone_number': '200'})).body['number']['id']}"
        assert (await api.patch(path, {"phone_number": "200", "name": "Same"})).status == 200
        refused = await api.patch(path, {"phone_number": "201"})
        assert (refused.status, refused.body["details"][0][:30]) == (400, "phone_number: can't be changed")
        assert (await api.patch(path, {"phone_number": None})).status == 400

    play(tmp_path, scene)


@pytest.mark.parametrize("number", ["", " ", "-", "()", "1" * 65, 31850835037, None])
def test_what_nobody_could_dial_is_no_number(tmp_path: Path, number: Any) -> None:
    async def scene(api: Client) -> None:
        refused = await api.post("/numbers", {"phone_number": number})
        assert refused.status == 400
        assert "phone_number" in refused.body["message"]

    play(tmp_path, scene)


def test_deleting_an_assistant_leaves_its_numbers_without_one(tmp_path: Path) -> None:
    async def scene(api: Client) -> None:
        assistant = (await api.post("/assistants", {"name": "Sales"})).body["assistant"]["id"]
        made = (await api.post("/numbers", {"phone_number": "200", "assistant_id": assistant})).body["number"]
        assert (await api.delete(f"/assistants/{assistant}")).status == 200
        number = (await api.get(f"/numbers/{made['id']}")).body["number"]
        assert (number["assistant_id"], number["agent_name"]) == (None, None)

    play(tmp_path, scene)


def test_an_assistant_that_the_administrators_numbers_name_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assistant = (await api.post("/assistants", {"name": "Sales"})).body["assistant"]["id"]
        async with serving_rest(tmp_path, numbers=[{"number": "300", "assistant": assistant}]) as api:
            refused = await api.delete(f"/assistants/{assistant}")
            assert (refused.status, refused.body["code"]) == (409, "in_use")
            assert "'300'" in refused.body["message"] and "config.toml:" in refused.body["message"]
            assert (await api.get(f"/assistants/{assistant}")).status == 200

    asyncio.run(run())
