"""What a client library relies on without saying so: keys, errors, limits, paging, what is not here (§1, §3, §17)."""

from pathlib import Path
from typing import Any

import pytest

from tests.calls.house import play
from tests.moving.client import ApiError
from tests.moving.customer import LINE, moved


def test_a_wrong_key_and_none_are_told_as_the_platform_tells_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            assert at.client.key.startswith("fl_live_")
            await at.client.assistants.list()
            assert at.client.headers["X-RateLimit-Limit"] == "100"
            for key in ("fl_live_wrong", ""):
                at.client.key = key
                with pytest.raises(ApiError) as caught:
                    await at.client.assistants.list()
                assert caught.value.status == 401
                assert caught.value.error == "Unauthorized"
                assert caught.value.message.startswith("Invalid or missing API key")

    play(scene())


def test_every_answer_says_what_is_left_and_a_refusal_when_to_come_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, http={"requests_per_minute": 3}) as at:
            for left in ("2", "1", "0"):
                await at.client.assistants.list()
                assert at.client.headers["X-RateLimit-Limit"] == "3"
                assert at.client.headers["X-RateLimit-Remaining"] == left
                assert at.client.headers["X-RateLimit-Reset"].isdecimal()

            async def no_sleep(seconds: float) -> None:
                return None

            at.client.sleep = no_sleep
            with pytest.raises(ApiError) as caught:
                await at.client.assistants.create(name="Desk")
            assert (caught.value.status, caught.value.body["code"]) == (429, "rate_limit_exceeded")
            after = int(caught.value.headers["Retry-After"])
            assert 0 < after <= 60 and caught.value.body["retry_after"] == after
            assert at.client.waited == pytest.approx([min(after, 30), min(after, 30)], abs=1)

    play(scene())


def test_a_call_takes_ten_commands_a_minute(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            await at.number(await at.assistant())
            async with at.house.caller(LINE) as caller:
                await caller.place()
                (live,) = (await at.client.calls())["calls"]
                for _ in range(10):
                    await at.client.control(live["id"], type="inject-context", content="x", trigger_response=False)
                status, _ = await at.client._once("POST", f"/calls/{live['id']}/control", {"type": "end-call"}, {})
                assert status == 429 and at.client.headers["Retry-After"].isdecimal()
                await caller.hang_up()

    play(scene())


def test_the_pager_sees_every_call_once_the_newest_first(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            await at.number(await at.assistant())
            for _ in range(3):
                await at.call_in(question=False)
            await at.reports(3)
            ids = [call["id"] async for call in at.client.every_call()]
            assert len(set(ids)) == 3
            assert [call["id"] async for call in at.client.every_call(step=1)] == ids
            made = [(await at.client.call(each))["created_at"] for each in ids]
            assert made == sorted(made, reverse=True)
            page = await at.client.calls(limit=50, status="ended", start_date="2025-12-01", end_date="2099-12-31")
            assert page["pagination"] == {"total": 3, "limit": 50, "offset": 0}
            assert [call["id"] for call in page["calls"]] == ids
            assert (await at.client.calls(end_date="2025-12-31T00:00:00Z"))["calls"] == []
            assert [entry["id"] for entry in (await at.client.usage(limit=100, offset=0))["logs"]]

    play(scene())


def test_a_restart_is_survived_by_the_librarys_own_retries(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            desk = await at.assistant()

            async def meanwhile(seconds: float) -> None:
                await at.house.start()

            at.client.sleep = meanwhile
            await at.house.stop()
            assert await at.client.assistants.get(desk["id"]) == desk
            assert at.client.waited == [1.0]

    play(scene())


def test_an_object_of_the_administrators_is_read_by_type_and_refuses_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        trunks = {"carrier": {"endpoint": "carrier"}}
        async with moved(tmp_path, trunks=trunks) as at:
            (trunk,) = await at.client.trunks.list()
            (desk,) = await at.client.assistants.list()
            for collection, own in ((at.client.trunks, trunk), (at.client.assistants, desk)):
                assert await collection.get(own["id"]) == own
                with pytest.raises(ApiError) as caught:
                    await collection.delete(own["id"])
                assert (caught.value.status, caught.value.error) == (409, "Conflict")
                assert "config.toml:" in caught.value.message

    play(scene())


ELSEWHERE = [
    *[("POST", "/organizations"), ("GET", "/domains"), ("POST", "/domains"), ("DELETE", "/domains")],
    *[("GET", "/domains/sync"), ("POST", "/domains/sync"), ("POST", "/domains/verify"), ("POST", "/domains/refresh")],
    *[("GET", "/chats"), ("POST", "/chats"), ("DELETE", "/chats/1"), ("GET", "/chats/context")],
]


def test_what_can_not_be_on_premises_says_why(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            root = at.client.base_url

            async def no_sleep(seconds: float) -> None:
                return None

            at.client.sleep = no_sleep
            for method, path in ELSEWHERE:
                await refused(at.client, method, path)
            at.client.base_url = root.removesuffix("/api/v1")
            await refused(at.client, "POST", "/v1/web-calls")

    async def refused(client: Any, method: str, path: str) -> None:
        with pytest.raises(ApiError) as caught:
            await client.ask(method, path, {} if method == "POST" else None)
        assert (caught.value.status, caught.value.body["code"]) == (501, "not_on_premises"), path
        assert caught.value.message

    play(scene())


def test_a_wrong_body_names_each_fault_in_strings(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            wrong: list[tuple[str, str, Any]] = [
                ("POST", "/assistants", {}),
                ("POST", "/assistants", {"name": 7, "max_duration_seconds": "long"}),
                ("POST", "/numbers", {}),
                ("POST", "/sip-trunks", {"host": "x"}),
                ("POST", "/campaigns", {"name": "x"}),
                ("POST", "/tool-templates", {"tool_type": "function"}),
                ("POST", "/analysis-templates", {"description": "x"}),
                ("POST", "/workflows", {"name": "x"}),
                ("POST", "/mcp-servers", {"url": "https://x.example"}),
                ("POST", "/calls/outbound", []),
            ]
            for method, path, body in wrong:
                with pytest.raises(ApiError) as caught:
                    await at.client.ask(method, path, body)
                assert (caught.value.status, caught.value.error) == (400, "Bad Request"), path
                assert caught.value.message and caught.value.body["code"] in ("invalid_request", "missing_field")
                assert caught.value.details and all(isinstance(detail, str) for detail in caught.value.details)

    play(scene())
