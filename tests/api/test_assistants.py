"""`/assistants` as a client of the hosted platform uses it (contract §4)."""

import asyncio
from pathlib import Path

from tests.api.rest import serving_rest


def test_an_assistant_is_made_read_changed_and_removed(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/assistants", {"name": "Front desk", "first_message": "Hello."})
            assert made.status == 201
            assistant = made.body["assistant"]
            assert (await api.get("/assistants")).body == {"assistants": [assistant]}
            changed = await api.patch(f"/assistants/{assistant['id']}", {"first_message": None, "is_active": False})
            assert changed.body["assistant"]["first_message"] is None
            assert changed.body["assistant"]["is_active"] is False
            assert changed.body["assistant"]["name"] == "Front desk"
            assert (await api.delete(f"/assistants/{assistant['id']}")).body == {"success": True}
            assert (await api.get(f"/assistants/{assistant['id']}")).status == 404

    asyncio.run(run())


def test_an_assistant_is_there_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            fields = {"name": "Desk", "metadata": {"crm": None}, "webhook_secret": "a secret"}
            made = (await api.post("/assistants", fields)).body["assistant"]
        async with serving_rest(tmp_path) as api:
            assert (await api.get(f"/assistants/{made['id']}")).body == {"assistant": made}
            assert made["metadata"] == {"crm": None}

    asyncio.run(run())


def test_the_administrators_own_is_readable_and_refuses_changes_with_its_place(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, assistants={"desk": {"webhook_secret": "a secret"}}) as api:
            (assistant,) = (await api.get("/assistants")).body["assistants"]
            assert assistant["webhook_secret"] is None
            for got in (
                await api.patch(f"/assistants/{assistant['id']}", {"name": "Mine"}),
                await api.delete(f"/assistants/{assistant['id']}"),
            ):
                assert (got.status, got.body["code"]) == (409, "owned_by_file")
                assert "config.toml:" in got.body["message"]

    asyncio.run(run())


def test_without_a_key_and_with_too_small_a_scope_nothing_is_done(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assert (await api.as_key("").get("/assistants")).status == 401
            assert (await api.as_key("fl_live_guess").get("/assistants")).body["code"] == "unauthorized"
            reader = await api.with_scopes("read")
            assert (await reader.get("/assistants")).status == 200
            refused = await reader.post("/assistants", {"name": "Desk"})
            assert (refused.status, refused.body["error"], refused.body["code"]) == (403, "Forbidden", "forbidden")

    asyncio.run(run())
