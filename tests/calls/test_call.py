"""One call from the offer to the report, through the whole daemon, with scripted vendors."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from sovereign_pbx.calls.desk import CallDesk
from sovereign_pbx.pbx.link import Decision, Offer
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, INTERRUPTION, QUESTION, House, assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got


def said(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in report["messages"]]


def answers(value: dict[str, Any]) -> Any:
    async def answer(got: Got) -> web.StreamResponse:
        return web.json_response(value if got.event == "assistant-request" else {})

    return answer


async def one_question(place: House) -> None:
    """Call, hear the greeting, ask, hear the answer, hang up."""
    async with place.caller() as caller:
        await caller.place()
        await until(lambda: len(caller.heard.sounds()) >= 1)
        await asyncio.sleep(1.5)
        question = caller.say(QUESTION)
        await question.finished.wait()
        await until(lambda: len(place.openai.requests) >= 1)
        await until(lambda: len(caller.heard.sounds()) >= 2)
        await asyncio.sleep(1.0)
        await caller.hang_up()


def test_a_question_is_answered_and_the_call_is_reported(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            await one_question(place)
            (report,) = await place.reported()
            assert said(report)[:2] == [("assistant", GREETING), ("user", "What time do you open?")]
            assert report["end_reason"] == "user_hangup"
            assert report["phone_number"]["name"] == "Main line"
            assert report["customer"]["number"] == "+31612345678"
            states = [message["call"]["status"] for message in place.webhooks("status-update")]
            assert states == ["in-progress", "ended"]
            (row,) = await place.rows()
            assert (row.status, row.end_reason, row.summary) == ("ended", "user_hangup", report["summary"])

    play(scene())


def test_the_greeting_stands_at_the_very_beginning_of_what_is_heard(tmp_path: Path) -> None:
    """By its place in the audio, not by the clock: two frames (40 ms) before it, and what a voice takes to begin."""

    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            audio = np.abs(np.frombuffer(caller.heard.recording(), "<i2").astype(int))
            await caller.hang_up()
        assert np.flatnonzero(audio > 1000)[0] / 8000 < 0.1

    play(scene())


def test_frames_keep_coming_while_nobody_speaks(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, {"reception": assistant(first_message="")}) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.frames > 100, 20.0)
            assert not caller.heard.sounds()
            await caller.hang_up()

    play(scene())


def test_the_recording_holds_both_sides(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, recording={"enabled": True}) as place:
            await one_question(place)
            await place.reported()
            (row,) = await place.rows()
            assert row.recording_path is not None
            assert Path(row.recording_path).stat().st_size > 8000 * 4 * 2  # two seconds of stereo

    play(scene())


def test_the_webhook_chooses_the_greeting_before_the_answer(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request", "end-of-call-report"])}
        async with house(tmp_path, saved) as place:
            place.receiver.answer = answers({"assistant": {"first_message": "Hi Jan.", "metadata": {"crm": "12"}}})
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await asyncio.sleep(1.5)
                await caller.hang_up()
            (report,) = await place.reported()
            assert said(report) == [("assistant", "Hi Jan.")]
            assert report["assistant"]["metadata"] == {"crm": "12"}

    play(scene())


@pytest.mark.parametrize("answer", [{"assistant": "nonsense"}, {"assistant_id": "nobody"}])
def test_a_webhook_that_answers_nonsense_costs_the_caller_nothing(tmp_path: Path, answer: dict[str, Any]) -> None:
    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request", "end-of-call-report"])}
        async with house(tmp_path, saved) as place:
            place.receiver.answer = answers(answer)
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await asyncio.sleep(1.5)
                await caller.hang_up()
            (report,) = await place.reported()
            assert said(report) == [("assistant", GREETING)]

    play(scene())


def test_an_error_of_the_webhook_is_spoken_and_the_call_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX is told that only that follows, and may play it before the answer."""
    decided: list[Decision] = []
    offered = CallDesk.offered

    async def watched(desk: CallDesk, offer: Offer) -> Decision:
        decided.append(await offered(desk, offer))
        return decided[-1]

    monkeypatch.setattr(CallDesk, "offered", watched)

    async def scene() -> None:
        events = ["assistant-request", "end-of-call-report"]
        async with house(tmp_path, {"reception": assistant(webhook_events=events)}) as place:
            place.receiver.answer = answers({"error": "We are closed today."})
            async with place.caller() as caller:
                await caller.place()
                await caller.over(15)
                assert caller.heard.sounds()
                assert caller.variables["SOVEREIGN_NEXT"] == "hangup"
            (report,) = await place.reported()
            assert report["end_reason"] == "rejected"
            assert said(report) == [("assistant", "We are closed today.")]
            assert decided == [Decision("answer", early=True)]

    play(scene())


def test_a_tool_is_asked_and_its_result_reaches_the_model(tmp_path: Path) -> None:
    tool = {
        "name": "opening_hours",
        "description": "When the shop is open",
        "parameters": {"type": "object", "properties": {"day": {"type": "string"}}},
    }

    async def answer(got: Got) -> web.StreamResponse:
        calls = got.body["message"].get("tool_call_list", [])
        results = [{"tool_call_id": call["id"], "result": "from nine to five"} for call in calls]
        return web.json_response({"results": results})

    async def scene() -> None:
        llm = {**assistant()["llm_config"], "tools": [tool]}
        async with house(tmp_path, {"reception": assistant(llm_config=llm)}) as place:
            place.receiver.answer = answer
            place.openai.script = (
                Answer(tools=(("opening_hours", '{"day": "sunday"}'),)),
                "On Sunday we are open from nine to five.",
            )
            await one_question(place)
            (asked,) = place.webhooks("tool-calls")
            assert asked["tool_call_list"][0]["function"] == {"name": "opening_hours", "arguments": {"day": "sunday"}}
            again = place.openai.requests[1]["messages"]
            assert again[-1]["role"] == "tool"
            assert again[-1]["content"] == "from nine to five"

    play(scene())


def test_end_call_hangs_up_after_the_last_word_was_heard(tmp_path: Path) -> None:
    async def scene() -> None:
        llm = {**assistant()["llm_config"], "tools": [{"type": "end_call"}]}
        async with house(tmp_path, {"reception": assistant(llm_config=llm)}) as place:
            place.openai.script = (Answer("Goodbye, and thank you.", tools=(("end_call", "{}"),)),)
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await asyncio.sleep(1.5)
                caller.say(QUESTION)
                await caller.over(20)
                assert caller.variables["SOVEREIGN_NEXT"] == "hangup"
            (report,) = await place.reported()
            assert report["end_reason"] == "assistant_hangup"
            assert said(report)[-1] == ("assistant", "Goodbye, and thank you.")

    play(scene())


def test_a_caller_who_interrupts_leaves_only_what_he_heard(tmp_path: Path) -> None:
    async def scene() -> None:
        long = "We open at nine, close at five, and on Sundays we are closed all day long, as everybody knows. " * 3
        async with house(tmp_path) as place:
            place.openai.script = (long, "All right.")
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await asyncio.sleep(1.5)
                await caller.say(QUESTION).finished.wait()
                await until(lambda: len(caller.heard.sounds()) >= 2)
                await asyncio.sleep(1.5)
                await caller.say(INTERRUPTION).finished.wait()
                await until(lambda: len(place.openai.requests) >= 2)
                await asyncio.sleep(1.0)
                await caller.hang_up()
            (report,) = await place.reported()
            heard = said(report)[2][1]
            assert long.startswith(heard.rstrip("…").rstrip())
            assert 0 < len(heard) < len(long) / 2

    play(scene())


@pytest.mark.parametrize("stage", ["deepgram", "elevenlabs"])
def test_without_ears_or_voice_the_dialplan_keeps_the_caller(tmp_path: Path, stage: str) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            getattr(place, stage).faults.arm("deny")
            async with place.caller() as caller:
                with pytest.raises(NotAnswered) as refused:
                    await caller.place()
                assert refused.value.action == "fallback"
            await until(lambda: len(place.daemon.desk) == 0)
            (row,) = await place.rows()
            assert row.status == "failed"
            assert stage in (row.error or "")

    play(scene())


def test_over_the_limit_the_dialplan_keeps_the_caller(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, limits={"max_calls": 1}) as place, place.caller() as first:
            await first.place()
            async with place.caller() as second:
                with pytest.raises(NotAnswered) as refused:
                    await second.place()
                assert refused.value.action == "fallback"
            await first.hang_up()

    play(scene())


def test_a_caller_who_hangs_up_while_it_rings_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request"])}
        async with house(tmp_path, saved) as place:
            waiting = asyncio.Event()

            async def slow(got: Got) -> web.StreamResponse:
                waiting.set()
                await got.over.wait()
                return web.json_response({})

            place.receiver.answer = slow
            async with place.caller() as caller:
                placing = asyncio.create_task(caller.place())
                await waiting.wait()
                await caller.hang_up()
                with pytest.raises(NotAnswered):
                    await placing
            await until(lambda: len(place.daemon.desk) == 0)
            (row,) = await place.rows()
            assert (row.end_reason, row.started_at) == ("user_hangup", None)

    play(scene())


def test_a_daemon_that_stops_gives_its_callers_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            await place.stop()
            await caller.over(5)
            assert caller.variables.get("SOVEREIGN_NEXT", "fallback") == "fallback"
            await place.start()
            (report,) = await place.reported()
            assert report["end_reason"] == "shutdown"

    play(scene())
