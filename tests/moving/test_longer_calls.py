"""Calls that need more than a question and an answer: campaigns, recordings, silence, limits (§10, §15, §20)."""

import asyncio
from pathlib import Path
from typing import Any

from tests.calls.house import QUESTION, play
from tests.moving.customer import BLOCKS, CALLER, LINE, Callee, Place, asked, moved, quiet
from tests.moving.test_objects import campaign, outbound_desk
from tests.waiting import until


async def completed(at: Place, campaign_id: str) -> dict[str, Any]:
    """Once it is, as somebody finds out who may only ask."""
    async with asyncio.timeout(15.0):
        while True:
            found: dict[str, Any] = await at.client.campaigns.get(campaign_id)
            if found["status"] == "completed":
                return found
            await asyncio.sleep(0.2)


def test_a_campaign_calls_its_lead_with_his_variables_and_is_completed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, dials=True) as at:
            hours = {"schedule_start_time": "00:00:00", "schedule_end_time": "23:59:59", "timezone": "UTC"}
            made = await at.client.campaigns.create(**campaign(await outbound_desk(at), **hours))
            await at.client.campaigns.update(made["id"], status="scheduled")
            assert at.ami is not None
            ami = at.ami
            await until(lambda: ami.actions("Originate"), 20.0)
            (lead,) = await at.client.leads(made["id"]).list()
            assert (lead["status"], lead["attempts"]) == ("calling", 1)
            async with Callee(at, ami.actions("Originate")[0]) as callee:
                await callee.pick_up()
                await quiet(callee)
                await at.client.control(lead["call_id"], type="inject-context", content="x", trigger_response=True)
                await until(lambda: len(at.house.openai.requests) > 0)
                assert "Call Jan about 2026-03-25" in str(at.house.openai.requests[0]["messages"])
                await callee.hang_up()
                ami.event("Hangup", Uniqueid=ami.actions("Originate")[0]["ChannelId"], Cause="16")
            (report,) = await at.reports()
            assert report["call"] == {"id": lead["call_id"], "type": "outbound_phone_call", "status": "ended"}
            over = await completed(at, made["id"])
            assert (over["total_leads"], over["completed_leads"], over["failed_leads"]) == (1, 1, 0)
            (lead,) = await at.client.leads(made["id"]).list()
            assert lead["status"] == "completed" and lead["last_attempt_at"]

    play(scene())


def test_a_recording_has_an_address_that_anybody_with_it_can_fetch(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path, recording={"enabled": True}) as at:
            await at.number(await at.assistant())
            await at.call_in()
            (report,) = await at.reports()
            row = await at.client.call(report["call"]["id"])
            assert row["recording_url"] and report["recording_url"].partition("?")[0] in row["recording_url"]
            async with at.client.session.get(report["recording_url"]) as response:
                assert response.status == 200 and (await response.read())[:4] == b"RIFF"

    play(scene())


def test_a_call_that_broke_is_told_with_its_error(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            await at.number(await at.assistant())
            async with at.house.caller(LINE, CALLER) as caller:
                await caller.place()
                await quiet(caller)
                at.house.deepgram.faults.arm("drop", "now")
                at.house.deepgram.faults.arm("refuse")
                caller.say(QUESTION)
                await until(lambda: bool(caller.steps), 30.0)
                await caller.hang_up()
            (report,) = await at.reports()
            _, ended = at.server.messages("status-update")
            assert ended["call"]["status"] == "ended-with-error" and ended["error"] and ended["end_reason"] == "error"
            row = await at.client.call(report["call"]["id"])
            assert (row["status"], row["error"]) == ("failed", ended["error"])

    play(scene())


def test_a_silent_caller_is_asked_and_then_hung_up_on(tmp_path: Path) -> None:
    async def scene() -> None:
        silence = {"messages": ["Still there?"], "final_message": "Bye.", "first_check_seconds": 1}
        config = {"silence": {**silence, "interval_seconds": 3, "max_attempts": 2}}
        async with moved(tmp_path) as at:
            desk = await at.assistant(autonomous_silence_handling=True, speech_config=config)
            await at.number(desk)
            async with at.house.caller(LINE, CALLER) as caller:
                await caller.place()
                await quiet(caller)
                await asked(caller)
                await caller.over(20.0)
            (report,) = await at.reports()
            assert report["end_reason"] == "silence_timeout"
            assert [said["content"] for said in report["messages"]][-2:] == ["Still there?", "Bye."]
            offered = at.house.openai.requests[0]["tools"]  # it was not among his own
            assert [tool["function"]["name"] for tool in offered] == ["end_call"]

    play(scene())


def test_a_limit_ends_the_call_and_a_withheld_number_is_null(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            at.server.answers["assistant-request"] = lambda message: {"max_duration_seconds": 3}
            await at.number(await at.assistant())
            async with at.house.caller(LINE, "unknown") as caller:
                await caller.place()
                await caller.over(20.0)
            (report,) = await at.reports()
            assert report["end_reason"] == "max_duration" and report["customer"] == {"number": None}
            assert (await at.client.call(report["call"]["id"]))["caller_phone"] is None

    play(scene())


def test_an_unknown_assistant_in_an_answer_leaves_the_saved_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with moved(tmp_path) as at:
            unknown = "497f6eca-0000-4000-8000-000000000000"
            at.server.answers["assistant-request"] = lambda message: {"assistant_id": unknown}
            await at.number(await at.assistant(**BLOCKS))
            await at.call_in(question=False)
            (report,) = await at.reports()
            assert report["messages"][0]["content"] == "Hello."

    play(scene())
