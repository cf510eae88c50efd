"""`POST /calls/{id}/control` (contract §7)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.values import TransferTerms
from tests.api.rest import Client, Got, serving_rest

DIALLING = {"allow": ["+31*", "sip:*@example.org"]}


async def order(api: Client, body: Any, call_id: str = "c1") -> Got:
    api.desk.live.add("c1")
    return await api.post(f"/calls/{call_id}/control", body)


COMMANDS: list[tuple[dict[str, Any], Instructed]] = [
    ({"type": "say", "content": "One moment."}, Instructed("say", "One moment.")),
    ({"type": "say", "content": "Bye.", "end_after": True}, Instructed("say", "Bye.", then=True)),
    ({"type": "say", "content": "Bye.", "endAfter": True}, Instructed("say", "Bye.", then=True)),
    ({"type": "say", "content": "Bye.", "end_after": None}, Instructed("say", "Bye.")),
    ({"type": "inject-context", "content": "Paid."}, Instructed("inject", "Paid.")),
    (
        {"type": "inject-context", "content": "Paid.", "trigger_response": True},
        Instructed("inject", "Paid.", then=True),
    ),
    ({"type": "injectContext", "content": "Paid.", "triggerResponse": True}, Instructed("inject", "Paid.", then=True)),
    ({"type": "end-call"}, Instructed("end")),
    ({"type": "endCall", "message": "Goodbye."}, Instructed("end", "Goodbye.")),
    (
        {"type": "transfer", "destination": "+31201234567", "message": "I connect you."},
        Instructed("transfer", "I connect you.", destination="+31201234567"),
    ),
    (
        {"type": "transfer", "destination": "sip:anna@example.org"},
        Instructed("transfer", destination="sip:anna@example.org"),
    ),
    (
        {
            "type": "transfer",
            "destination": "+31201234567",
            "mode": "attended",
            "summary": "He asks for a quote.",
            "ringTimeoutSeconds": 20,
        },
        Instructed(
            "transfer",
            destination="+31201234567",
            terms=TransferTerms(mode="attended", ring_s=20, summary="He asks for a quote."),
        ),
    ),
]


@pytest.mark.parametrize(("body", "expected"), COMMANDS)
def test_a_command_reaches_the_call_and_is_confirmed(
    tmp_path: Path, body: dict[str, Any], expected: Instructed
) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, dialling=DIALLING) as api:
            got = await order(api, body)
            assert (got.status, got.body) == (200, {"success": True, "message": "Command sent successfully"})
            assert api.desk.orders == [("c1", expected)]

    asyncio.run(run())


WRONG: list[tuple[Any, int, str]] = [
    ({}, 400, "missing_field"),
    ([], 400, "invalid_request"),
    ({"type": "hold"}, 400, "invalid_request"),
    ({"type": 5}, 400, "invalid_request"),
    ({"type": "say"}, 400, "missing_field"),
    ({"type": "say", "content": ""}, 400, "invalid_request"),
    ({"type": "say", "content": None}, 400, "missing_field"),
    ({"type": "say", "content": "x" * 5001}, 400, "invalid_request"),
    ({"type": "say", "content": "Hi.", "end_after": "yes"}, 400, "invalid_request"),
    ({"type": "inject-context", "trigger_response": True}, 400, "missing_field"),
    ({"type": "transfer"}, 400, "missing_field"),
    ({"type": "transfer", "destination": "Local/200"}, 400, "invalid_request"),
    ({"type": "transfer", "destination": "+4915112345678"}, 403, "destination_not_allowed"),
    ({"type": "end-call", "message": 7}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("body", "status", "code"), WRONG)
def test_a_wrong_command_is_refused_and_never_reaches_the_call(
    tmp_path: Path, body: Any, status: int, code: str
) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, dialling=DIALLING) as api:
            got = await order(api, body)
            assert (got.status, got.body["code"]) == (status, code)
            assert api.desk.orders == []

    asyncio.run(run())


def test_an_unknown_call_is_a_404_and_one_that_is_over_a_400(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            api.desk.over.add("ended")
            hang_up = {"type": "end-call"}
            assert (await order(api, hang_up, "nothing")).status == 404
            got = await order(api, hang_up, "ended")
            assert (got.status, got.body["code"]) == (400, "call_not_active")

    asyncio.run(run())


def test_a_call_takes_so_many_commands_a_minute_whoever_sends_them(tmp_path: Path) -> None:
    async def run() -> None:
        http = {"commands_per_minute": 2, "requests_per_minute": 1000}
        async with serving_rest(tmp_path, http=http) as api:
            say = {"type": "say", "content": "Hi."}
            first = await order(api, say)
            assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
            await order(await api.with_scopes("calls"), say)
            got = await order(api, say)
            assert (got.status, got.body["code"]) == (429, "rate_limit_exceeded")
            assert got.headers["X-RateLimit-Limit"] == "2"
            assert int(got.headers["Retry-After"]) == got.body["retry_after"] > 0
            assert len(api.desk.orders) == 2
            api.desk.live.add("c2")
            assert (await order(api, say, "c2")).status == 200

    asyncio.run(run())


def test_a_key_that_may_only_read_steers_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assert (await order(await api.with_scopes("read"), {"type": "end-call"})).status == 403

    asyncio.run(run())
