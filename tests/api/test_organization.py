"""`/organizations` and `/account`: this installation (contract §23, §1)."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.store import CallRow
from tests.api.rest import serving_rest

SECTIONS: dict[str, Any] = {
    "assistants": {"a": {}, "b": {"is_active": False}},
    "numbers": [{"number": "100", "assistant": "a"}, {"number": "200", "is_active": False}],
}


def test_the_organization_is_this_installation_and_its_numbers_of_today(tmp_path: Path) -> None:
    async def run() -> None:
        daemon = {"state_dir": str(tmp_path / "state"), "name": "Main office"}
        async with serving_rest(tmp_path, **SECTIONS, daemon=daemon) as api:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            await api.store.create_call(CallRow(id="now", created_at=now, duration_seconds=90))
            await api.store.create_call(CallRow(id="then", created_at="2001-01-01T00:00:00.000Z", duration_seconds=600))
            api.desk.live.update(("c1", "c2"))
            shown = (await api.get("/organizations")).body
            assert shown.pop("id")
            assert shown == {
                "name": "Main office",
                "minutes_balance": 1_000_000_000,
                "monthly_usage_minutes": 1.5,
                "active_numbers": 1,
                "active_agents": 1,
                "active_calls": 2,
                "has_local_models_access": True,
                "parent_org_id": None,
                "content_retention_days": 0,
                "metadata_retention_days": 0,
            }
            assert (await api.get("/organizations", include_children="true")).body["children"] == []

    asyncio.run(run())


def test_its_id_stays_the_same_over_restarts_and_differs_between_installations(tmp_path: Path) -> None:
    async def identifier(folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        async with serving_rest(folder) as api:
            found: str = (await api.get("/organizations")).body["id"]
            return found

    first = asyncio.run(identifier(tmp_path / "a"))
    assert asyncio.run(identifier(tmp_path / "a")) == first
    assert asyncio.run(identifier(tmp_path / "b")) != first


def test_how_long_calls_are_kept_is_changed_at_once_and_stays_so(tmp_path: Path) -> None:
    wanted = {"content_retention_days": 30, "metadata_retention_days": 90}

    async def run() -> None:
        async with serving_rest(tmp_path, retention={"content_days": 365, "metadata_days": 365}) as api:
            got = await api.patch("/organizations", wanted)
            assert got.status == 200
            assert wanted.items() <= got.body.items()
        async with serving_rest(tmp_path, retention={"content_days": 365, "metadata_days": 365}) as api:
            assert wanted.items() <= (await api.get("/organizations")).body.items()

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content_retention_days": 30},
        {"metadata_retention_days": 30},
        {"content_retention_days": 90, "metadata_retention_days": 30},
        {"content_retention_days": 0, "metadata_retention_days": 30},
        {"content_retention_days": -1, "metadata_retention_days": 30},
        {"content_retention_days": "30", "metadata_retention_days": 30},
        {"content_retention_days": 30, "metadata_retention_days": 1e12},
        {"content_retention_days": None, "metadata_retention_days": None},
    ],
)
def test_days_that_make_no_sense_are_refused_and_change_nothing(tmp_path: Path, body: dict[str, Any]) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.patch("/organizations", body)
            assert got.status == 400
            assert "content_retention_days" in str(got.body) or "metadata_retention_days" in str(got.body)
            assert (await api.get("/organizations")).body["metadata_retention_days"] == 0

    asyncio.run(run())


def test_the_account_is_the_same_in_the_older_form(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, mail={"host": "mail.example.com", "sender": "pbx@example.com"}) as api:
            account = (await api.get("/account")).body
            assert (account["email"], account["company_name"]) == ("pbx@example.com", "this machine")
            assert account["id"] == (await api.get("/organizations")).body["id"]

    asyncio.run(run())


def test_another_organization_is_not_made_and_only_an_admin_changes_this_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.post("/organizations", {"name": "Client"})
            assert (got.status, got.body["code"]) == (501, "not_on_premises")
            assert "second daemon" in got.body["message"]
            caller = await api.with_scopes("read", "calls")
            body = {"content_retention_days": 1, "metadata_retention_days": 1}
            assert (await caller.patch("/organizations", body)).status == 403

    asyncio.run(run())
