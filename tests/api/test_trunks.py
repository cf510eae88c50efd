"""`/sip-trunks` as clients of every generation use it (contract §16.2)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.rest import serving_rest

NEWEST = {"name": "Carrier", "provider": "Example", "address": "sip.example.com", "auth_username": "me"}


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ({**NEWEST, "auth_password": "hunter2!"}, "sip.example.com"),
        (
            {"name": "Carrier", "host": "192.168.1.100", "port": 5060, "username": "me", "password": "hunter2!"},
            "192.168.1.100",
        ),
        ({"name": "Carrier", "host": "192.168.1.100", "port": 5070, "username": "me"}, "192.168.1.100:5070"),
        ({"name": "Carrier", "host": "2001:db8::1", "port": 5070, "username": "me"}, "[2001:db8::1]:5070"),
        ({"name": "Carrier", "address": "example.com:5080", "port": 5070, "username": "me"}, "example.com:5080"),
        (
            {
                **{"name": "Carrier", "provider": "Example", "outbound_address": "sip.example.com"},
                **{"inbound_addresses": ["192.0.2.1"], "outbound_number": "+31850835037"},
                **{"auth_username": "me", "auth_password": "hunter2!"},
            },
            "sip.example.com",
        ),
    ],
)
def test_three_generations_of_bodies_make_the_same_trunk(tmp_path: Path, body: dict[str, Any], address: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/sip-trunks", body)
            assert made.status == 201, made.body
            trunk = made.body["trunk"]
            assert (trunk["name"], trunk["address"], trunk["auth_username"]) == ("Carrier", address, "me")
            assert (trunk["transport"], trunk["is_active"]) == ("udp", True)
            assert set(trunk) >= {"id", "provider", "created_at", "updated_at"}
            assert trunk["org_id"] == (await api.get("/organizations")).body["id"]
            for name in ("inbound_addresses", "outbound_number"):
                assert trunk.get(name) == body.get(name)
            everything = [
                made.body,
                (await api.get("/sip-trunks")).body,
                (await api.get(f"/sip-trunks/{trunk['id']}")).body,
            ]
            assert "password" not in str(everything) and "hunter2" not in str(everything)
            assert everything[1:] == [{"trunks": [trunk]}, {"trunk": trunk}]

    asyncio.run(run())


def test_the_password_is_kept_for_the_pbx(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            await api.post("/sip-trunks", {**NEWEST, "auth_password": "hunter2!"})
        async with serving_rest(tmp_path) as api:
            (entry,) = api.backend.estate.trunks
            assert entry.thing.auth_password == "hunter2!"
            assert "hunter2" not in repr(entry)

    asyncio.run(run())


def test_a_trunk_has_no_patch(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            trunk = (await api.post("/sip-trunks", NEWEST)).body["trunk"]
            got = await api.patch(f"/sip-trunks/{trunk['id']}", {"name": "Other"})
            assert (got.status, got.headers["Allow"]) == (405, "DELETE,GET")

    asyncio.run(run())


def test_a_trunk_that_numbers_go_out_on_stays_and_says_which(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            trunk = (await api.post("/sip-trunks", NEWEST)).body["trunk"]["id"]
            number = {"phone_number": "+31850835037", "transfer_trunk_id": trunk}
            path = f"/numbers/{(await api.post('/numbers', number)).body['number']['id']}"
            refused = await api.delete(f"/sip-trunks/{trunk}")
            assert (refused.status, refused.body["code"]) == (409, "in_use")
            assert "+31850835037" in refused.body["message"]
            await api.patch(path, {"transfer_trunk_id": None})
            assert (await api.delete(f"/sip-trunks/{trunk}")).body == {"success": True}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({}, "name"),
        ({"name": "x", "transport": "sctp"}, "transport"),
        ({"name": "x", "port": 0, "host": "a"}, "port"),
        ({"name": "x", "port": 5070}, "port"),
        ({"name": "x", "endpoint": "a/b,c"}, "endpoint"),
        ({"name": "x", "auth_password": 7}, "auth_password"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, body: dict[str, Any], key: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            refused = await api.post("/sip-trunks", body)
            assert refused.status == 400 and key in refused.body["details"][0]

    asyncio.run(run())
