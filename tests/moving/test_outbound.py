"""Calls the customer places and steers (contract §6, §7, §15.1)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.providers.deepgram import Utterance
from tests.calls.house import QUESTION, play
from tests.moving.client import ApiError
from tests.moving.customer import BLOCKS, LINE, Callee, Place, moved, quiet
from tests.waiting import until

CALLEE = "+31612345678"


def orders(at: Place) -> list[dict[str, str]]:
    assert at.ami is not None
    return at.ami.actions("Originate")


async def line(at: Place, assistant: dict[str, Any] | None = None) -> dict[str, Any]:
    """His number, with a trunk for outbound dialling."""
    trunk = await at.client.trunks.create(name="Carrier", provider="Example", address="sip.example.com")
    return await at.number(assistant, transfer_trunk_id=trunk["id"])


async def not_answered(at: Place, cause: int) -> None:
    assert at.ami is not None
    order = orders(at)[-1]
    at.ami.event("DialBegin", DestUniqueid=order["ChannelId"])
    at.ami.event("OriginateResponse", ActionID=order["ActionID"], Response="Failure", Reason="0")
    at.ami.event("Hangup", Uniqueid=order["ChannelId"], Cause=str(cause))


def test_a_call_that_is_placed_talks_is_steered_and_is_reported(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            desk = await at.assistant(metadata={"crm_id": "1"})
            number = await line(at, desk)
            call_id = await at.client.outbound(destination=CALLEE, assistant_id=desk["id"], number_id=number["id"])
            row = await at.client.call(call_id)
            assert (row["status"], row["direction"]) == ("connecting", "outbound")
            with pytest.raises(ApiError) as caught:
                await at.client.say(call_id, "Too early.")
            assert caught.value.status == 400
            async with Callee(at, orders(at)[-1]) as callee:
                await callee.pick_up()
                await quiet(callee)
                assert (await at.client.call(call_id))["status"] == "in-progress"
                said = asyncio.get_running_loop().time()
                await at.client.say(call_id, "One moment please.")
                await until(lambda: any(sound.start > said for sound in callee.heard.sounds()))
                await quiet(callee)
                await at.client.control(call_id, type="inject-context", content="He has paid.", trigger_response=True)
                await until(lambda: len(at.house.openai.requests) > 0)
                assert "He has paid." in str(at.house.openai.requests[-1]["messages"])
                await until(lambda: callee.heard.sounds()[-1].end > said + 1.5)
                await quiet(callee)
                await at.client.control(call_id, type="end-call", message="Goodbye.")
                await callee.over(10.0)
            (report,) = await at.reports()
            assert at.server.order == ["status-update", "status-update", "end-of-call-report"]
            assert report["call"] == {"id": call_id, "type": "outbound_phone_call", "status": "ended"}
            assert report["customer"] == {"number": CALLEE}
            assert report["phone_number"]["number"] == LINE
            assert report["assistant"]["metadata"] == {"crm_id": "1"}
            words = [message["content"] for message in report["messages"]]
            assert "One moment please." in words and words[-1] == "Goodbye."
            row = await at.client.call(call_id)
            assert (row["status"], row["end_reason"], row["caller_phone"]) == ("ended", "api_end_call", CALLEE)
            with pytest.raises(ApiError) as caught:
                await at.client.control(call_id, type="end-call")
            assert (caught.value.status, bool(caught.value.error)) == (400, True)
            with pytest.raises(ApiError) as caught:
                await at.client.control("5c4d030f-0000-4000-8000-000000000000", type="end-call")
            assert caught.value.status == 404

    play(scene())


@pytest.mark.parametrize(
    ("command", "steps", "reason"),
    [
        ({"type": "transfer", "destination": "+31201234567", "message": "To sales."}, ["dial"], "transferred"),
        ({"type": "say", "content": "That was it.", "end_after": True}, ["hangup"], "api_end_call"),
        ({"type": "endCall"}, ["hangup"], "api_end_call"),
    ],
)
def test_commands_that_end_a_call_end_it(
    tmp_path: Path, command: dict[str, Any], steps: list[str], reason: str
) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            await at.number(await at.assistant())
            async with at.house.caller(LINE) as caller:
                await caller.place()
                await quiet(caller)
                (live,) = (await at.client.calls(status="in-progress"))["calls"]
                await at.client.control(live["id"], **command)
                await until(lambda: bool(caller.steps), 10.0)
                await caller.hang_up()
            (report,) = await at.reports()
            assert (caller.steps[:1], report["end_reason"]) == (steps, reason)

    play(scene())


MODES: dict[str, Any] = {
    "reference": lambda desk: {"assistant_id": desk},
    "agent_id": lambda desk: {"agent_id": desk},
    "hybrid": lambda desk: {"assistant_id": desk, "assistant_override": {"first_message": "Changed.", "a": 1}},
    "agent_override": lambda desk: {"agent_id": desk, "agent_override": {"first_message": "Changed.", "a": 1}},
    "agent_config": lambda desk: {"agent_id": desk, "agent_config": {"firstMessage": "Changed.", "a": 1}},
    "transient": lambda desk: {"assistant": {**BLOCKS, "first_message": "Changed.", "a": 1}},
    "agent": lambda desk: {"agent": {**BLOCKS, "first_message": "Changed.", "a": 1}},
    "first_message": lambda desk: {"assistant_id": desk, "first_message": "Changed."},
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_spelling_dials_and_the_report_tells_what_it_ran_on(tmp_path: Path, mode: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            desk = await at.assistant()
            number = await line(at)
            body = MODES[mode](desk["id"])
            await at.client.outbound(destination=CALLEE, number_id=number["id"], **body)
            await not_answered(at, 17)
            server = at.account if mode in ("transient", "agent") else at.server
            (report,) = await at.reports(of=server)
            assert (report["end_reason"], report["messages"]) == ("busy", [])
            plain = mode in ("reference", "agent_id")
            assert report["assistant"]["first_message"] == ("Hello." if plain else "Changed.")
            assert report["assistant"].get("a") == (None if plain or mode == "first_message" else 1)

    play(scene())


@pytest.mark.parametrize(("cause", "reason"), [(17, "busy"), (19, "no_answer"), (21, "rejected")])
def test_a_call_that_nobody_takes_fails_with_a_reason(tmp_path: Path, cause: int, reason: str) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            desk = await at.assistant()
            await line(at, desk)
            call_id = await at.client.outbound(destination=CALLEE, assistant_id=desk["id"])
            await not_answered(at, cause)
            await at.reports()
            row = await at.client.call(call_id)
            assert (row["status"], row["end_reason"], row["started_at"]) == ("failed", reason, None)
            assert (await at.client.calls(status="failed"))["calls"] == [row]

    play(scene())


def test_a_mailbox_is_left_its_message(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            at.house.deepgram.script = (Utterance(("Please leave a message after the beep.",)),)
            desk = await at.assistant(voicemail_detection=True, voicemail_message="Please call us back.")
            await line(at, desk)
            call_id = await at.client.outbound(destination=CALLEE, assistant_id=desk["id"])
            async with Callee(at, orders(at)[-1]) as callee:
                await callee.pick_up()
                callee.say(QUESTION)
                await callee.over(30.0)
            (report,) = await at.reports()
            assert at.server.order == ["status-update", "status-update", "end-of-call-report"]
            assert report["call"]["status"] == "ended" and report["end_reason"] == "voicemail"
            said = [(message["role"], message["content"]) for message in report["messages"]]
            assert ("assistant", "Please call us back.") in said
            assert any(role == "user" and "leave a message" in content for role, content in said)
            assert report["summary"]
            assert (await at.client.call(call_id))["end_reason"] == "voicemail"

    play(scene())


def test_a_wrong_order_says_what_is_wrong_in_a_string(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            desk = (await at.assistant())["id"]
            bodies: list[tuple[dict[str, Any], int]] = [
                ({}, 400),
                ({"destination": CALLEE}, 400),
                ({"destination": CALLEE, "assistant_id": "5c4d030f-0000-4000-8000-000000000000"}, 404),
                ({"destination": "+4912345", "assistant_id": desk}, 403),
                ({"destination": CALLEE, "assistant_id": desk, "number_id": "nowhere"}, 404),
            ]
            for body, status in bodies:
                with pytest.raises(ApiError) as caught:
                    await at.client.outbound(**body)
                assert (caught.value.status, bool(caught.value.error)) == (status, True), body
            assert not orders(at)
            await asyncio.sleep(0)

    play(scene())
