"""`POST /calls/outbound` in its three modes (contract §6), and requests that are sent twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.api.resources.once import HEADER
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.store.failure import StoreError
from tests.api.rest import Client, Got, serving_rest

SECTIONS: dict[str, Any] = {
    "dialling": {"allow": ["+31*", "200"]},
    "trunks": {"carrier": {"name": "Carrier"}},
    "assistants": {
        "reception": {
            "id": "reception",
            "first_message": "Good morning.",
            "llm_config": {"provider": "openai", "model": "gpt-5.4"},
            "speech_config": {"first_message_outbound": "Hello, this is the bakery.", "end_call_message": "Bye."},
        },
        "asleep": {"id": "asleep", "is_active": False},
    },
    "numbers": [
        {"number": "100", "id": "inside", "assistant": "reception"},
        {"number": "+31201111111", "id": "spare", "transfer_trunk": "carrier"},
        {"number": "+31202222222", "id": "own", "assistant": "reception", "transfer_trunk": "carrier"},
        {"number": "+31203333333", "id": "off", "is_active": False, "transfer_trunk": "carrier"},
    ],
}
CALLED = "+31612345678"


async def dial(api: Client, idempotency_key: str = "", **body: Any) -> Got:
    """An outbound call with this body."""
    headers = {"Authorization": f"Bearer {api.key}"} | ({HEADER: idempotency_key} if idempotency_key else {})
    url = f"{api.address}/api/v1/calls/outbound"
    async with api.session.post(url, json={"destination": CALLED, **body}, headers=headers) as response:
        return Got(response.status, await response.json(), dict(response.headers))


def test_reference_mode_dials_with_the_saved_assistant(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            got = await dial(api, assistant_id="reception", number_id="spare")
            assert got.status == 200
            assert got.body == {"success": True, "call_id": "call-1", "status": "dialing", "room_name": "call-1"}
            (request,) = api.desk.placed
            assert request.destination == CALLED
            assert request.assistant == api.backend.estate.directory.assistant("reception")
            assert request.number is not None
            assert request.number.id == "spare"

    asyncio.run(run())


def test_hybrid_mode_replaces_whole_blocks_of_the_saved_assistant(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            override = {"llm_config": {"provider": "mistral", "model": "large"}, "metadata": {"crm": 7}}
            assert (await dial(api, assistant_id="reception", assistant_override=override)).status == 200
            assistant = api.desk.placed[0].assistant
            assert assistant.llm_config["provider"] == "mistral"
            assert assistant.first_message == "Good morning."
            assert assistant.metadata == {"crm": 7}
            assert assistant.id == "reception"

    asyncio.run(run())


def test_transient_mode_dials_with_an_assistant_that_is_saved_nowhere(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            whole = {"firstMessage": "Hello.", "llm_config": {"messages": [{"role": "system", "content": "Be brief."}]}}
            assert (await dial(api, assistant=whole, number_id="+31201111111")).status == 200
            assistant = api.desk.placed[0].assistant
            assert assistant.first_message == "Hello."
            assert assistant.stt_config["provider"] == "whisper"  # the embedded ones stand in
            assert len((await api.get("/assistants")).body["assistants"]) == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        {"agent_id": "reception"},
        {"agentId": "reception"},
        {"assistantId": "reception"},
        {"agent": {"first_message": "Hi."}},
        {"agent_id": "reception", "agent_override": {"first_message": "Hi."}},
        {"agent_id": "reception", "agent_config": {"firstMessage": "Hi."}},
        {"assistantId": "reception", "assistantOverride": {"first_message": "Hi."}, "numberId": "own"},
        {"assistant_id": "reception", "firstMessage": "Hi."},
    ],
)
def test_every_older_spelling_is_taken(tmp_path: Path, body: dict[str, Any]) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            got = await dial(api, **body)
            assert got.status == 200, got.body
            said = api.desk.placed[0].assistant.first_message
            assert said == ("Hi." if "Hi." in str(body) else "Good morning.")

    asyncio.run(run())


@pytest.mark.parametrize("how", [{"first_message": "Hi."}, {"assistant_override": {"first_message": "Hi."}}])
def test_what_this_call_is_to_say_first_wins_over_the_saved_outbound_greeting(tmp_path: Path, how: Any) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            await dial(api, assistant_id="reception", **how)
            assistant = api.desk.placed[0].assistant
            assert assistant.first_message == "Hi."
            assert "first_message_outbound" not in assistant.speech_config
            assert assistant.speech_config["end_call_message"] == "Bye."

    asyncio.run(run())


def test_without_number_id_the_assistants_own_number_with_a_trunk_is_taken_else_any_else_none(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            await dial(api, assistant_id="reception")
            await dial(api, assistant_id="reception", first_message="Hi.")
            await dial(api, assistant={"first_message": "Hi."})
            numbers = [request.number.id for request in api.desk.placed if request.number is not None]
            assert numbers == ["own", "own", "spare"]

    asyncio.run(run())


def test_where_no_number_has_a_trunk_the_call_goes_without(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **{**SECTIONS, "numbers": [{"number": "100"}]}) as api:
            await dial(api, assistant_id="reception")
            assert api.desk.placed[0].number is None

    asyncio.run(run())


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"assistant_id": "reception", "destination": ""}, 400, "destination"),
    ({"assistant_id": "reception", "destination": None}, 400, "destination"),
    ({"assistant_id": "reception", "destination": "PJSIP/200&PJSIP/201"}, 400, "destination"),
    ({"assistant_id": "reception", "destination": "+31 6\r\nAction: Command"}, 400, "destination"),
    ({}, 400, "assistant_id"),
    ({"assistant_id": "reception", "assistant": {"first_message": "Hi."}}, 400, "assistant_id"),
    ({"assistant": {"first_message": "Hi."}, "assistant_override": {}}, 400, "assistant_override"),
    ({"assistant": {}}, 400, "assistant"),
    ({"assistant": {"name": "x", "metadata": {}}}, 400, "assistant"),
    ({"assistant": {"llm_config": {"temperature": 9}}}, 400, "assistant.llm_config.temperature"),
    ({"assistant_id": "reception", "assistant_override": {"stt_config": 5}}, 400, "assistant_override.stt_config"),
    ({"assistant_id": 5}, 400, "assistant_id"),
    ({"assistant": {"stt_config": {"provider": "gladia"}}}, 400, "assistant.stt_config.provider"),
    (
        {"assistant_id": "reception", "agentOverride": {"tts_config": {"provider": "x"}}},
        400,
        "assistant_override.tts_config",
    ),
    ({"assistant_id": "nobody"}, 404, ""),
    ({"assistant_id": "reception", "number_id": "nowhere"}, 404, ""),
    ({"assistant_id": "asleep"}, 409, ""),
    ({"assistant_id": "reception", "number_id": "off"}, 409, ""),
    ({"assistant_id": "reception", "destination": "+4915112345678"}, 403, ""),
    ({"assistant_id": "reception", "destination": "+31906123456"}, 403, ""),
]


@pytest.mark.parametrize(("body", "status", "key"), WRONG)
def test_what_can_not_be_dialled_is_refused_with_its_reason_and_nobody_is_called(
    tmp_path: Path, body: dict[str, Any], status: int, key: str
) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            got = await dial(api, **body)
            assert got.status == status, got.body
            assert isinstance(got.body["error"], str)
            assert not key or any(key in detail for detail in got.body["details"])
            assert api.desk.placed == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "status"),
    [("dialling_limit_reached", 429), ("too_many_calls", 503), ("pbx_unavailable", 503), ("shutting_down", 503)],
)
def test_a_limit_that_is_reached_is_told_by_its_status(tmp_path: Path, code: str, status: int) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            api.desk.refusal = Refused(code, "not now")
            got = await dial(api, assistant_id="reception")
            assert (got.status, got.body["code"], got.body["message"]) == (status, code, "not now")

    asyncio.run(run())


def test_a_key_that_may_only_read_calls_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            assert (await dial(await api.with_scopes("read"), assistant_id="reception")).status == 403
            assert (await dial(await api.with_scopes("calls"), assistant_id="reception")).status == 200

    asyncio.run(run())


# --- sent twice


def test_the_same_key_and_request_dials_once_also_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            first = await dial(api, "order-7", assistant_id="reception")
            again = await dial(api, "order-7", assistant_id="reception")
            assert again.body == first.body
            assert len(api.desk.placed) == 1
            key = api.key
        async with serving_rest(tmp_path, **SECTIONS) as api:
            late = await dial(api.as_key(key), "order-7", assistant_id="reception")
            assert late.body == first.body
            assert api.desk.placed == []

    asyncio.run(run())


def test_two_at_the_same_moment_dial_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            many = await asyncio.gather(*(dial(api, "k", assistant_id="reception") for _ in range(8)))
            assert {got.body["call_id"] for got in many} == {"call-1"}
            assert len(api.desk.placed) == 1

    asyncio.run(run())


def test_without_a_key_every_request_dials(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            assert {(await dial(api, assistant_id="reception")).body["call_id"] for _ in range(2)} == {
                "call-1",
                "call-2",
            }

    asyncio.run(run())


def test_the_same_key_with_another_request_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            await dial(api, "k", assistant_id="reception")
            got = await dial(api, "k", assistant_id="reception", first_message="Hi.")
            assert (got.status, got.body["code"]) == (422, "idempotency_key_reused")
            assert len(api.desk.placed) == 1

    asyncio.run(run())


def test_another_api_key_has_idempotency_keys_of_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            await dial(api, "k", assistant_id="reception")
            await dial(await api.with_scopes("calls"), "k", assistant_id="reception")
            assert len(api.desk.placed) == 2

    asyncio.run(run())


def test_what_was_refused_may_be_tried_again_with_the_same_key(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            api.desk.refusal = Refused("pbx_unavailable", "not now")
            assert (await dial(api, "k", assistant_id="reception")).status == 503
            api.desk.refusal = None
            assert (await dial(api, "k", assistant_id="reception")).status == 200

    asyncio.run(run())


def test_a_request_whose_outcome_is_unknown_is_not_dialled_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            api.desk.fault = RuntimeError("the daemon dies")
            assert (await dial(api, "k", assistant_id="reception")).status == 500
            api.desk.fault = None
            got = await dial(api, "k", assistant_id="reception")
            assert (got.status, got.body["code"]) == (409, "outcome_unknown")
            assert api.desk.placed == []

    asyncio.run(run())


def test_a_disk_that_fails_after_the_call_was_placed_does_not_hide_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(key: str, call_id: str) -> None:
        raise StoreError("the disk is full")

    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            monkeypatch.setattr(api.store.claims, "settle", full)
            got = await dial(api, "k", assistant_id="reception")
            assert (got.status, got.body["call_id"]) == (200, "call-1")
            assert (await dial(api, "k", assistant_id="reception")).body["code"] == "outcome_unknown"

    asyncio.run(run())


@pytest.mark.parametrize("key", ["x" * 256, "é"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **SECTIONS) as api:
            assert (await dial(api, key, assistant_id="reception")).status == 400
            assert api.desk.placed == []

    asyncio.run(run())
