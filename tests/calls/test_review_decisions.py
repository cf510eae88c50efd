"""What is decided while it rings, where the usual way is barred."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.assistants import model
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from tests.calls.house import assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got

UNLINKED: dict[str, Any] = {"numbers": [{"number": "*", "name": "Main line"}]}


async def closed(got: Got) -> web.StreamResponse:
    return web.json_response({"error": "We are closed."} if got.event == "assistant-request" else {})


def test_a_rejection_for_a_number_without_an_assistant_is_spoken_by_the_usual_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {**model.EMBEDDED, "tts_config": {"provider": "elevenlabs", "voice_id": "anna"}}
    monkeypatch.setattr(model, "EMBEDDED", usual)

    async def scene() -> None:
        async with house(tmp_path, **UNLINKED) as place, place.caller() as caller:
            place.receiver.answer = closed
            await caller.place()
            await caller.over(15)
            assert caller.heard.sounds()
            assert caller.variables["SOVEREIGN_NEXT"] == "hangup"
            (report,) = await place.reported()
            assert report["messages"] == [{"role": "assistant", "content": "We are closed."}]
            assert report["end_reason"] == "rejected"

    play(scene())


def test_a_rejection_that_no_voice_can_speak_is_a_rejection_still(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request"])}
        async with house(tmp_path, saved) as place, place.caller() as caller:
            place.receiver.answer = closed
            place.elevenlabs.faults.arm("deny")
            with pytest.raises(NotAnswered) as refused:
                await caller.place()
            assert refused.value.action == "reject"
            await until(lambda: len(place.daemon.desk) == 0)
            (row,) = await place.rows()
            assert (row.status, row.end_reason) == ("ended", "rejected")

    play(scene())


def test_a_decision_that_takes_too_long_is_not_called_the_callers_hang_up(tmp_path: Path) -> None:
    async def slow(got: Got) -> web.StreamResponse:
        if got.event == "assistant-request":
            await got.over.wait()
        return web.json_response({})

    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request"])}
        async with house(tmp_path, saved) as place:
            await place.stop()
            place.settings["asterisk"]["agi"]["decide_timeout_seconds"] = 1.0
            await place.start()
            place.receiver.answer = slow
            async with place.caller() as caller:
                with pytest.raises(NotAnswered) as refused:
                    await caller.place()
                assert refused.value.action == "fallback"
            place.receiver.over.set()
            await until(lambda: len(place.daemon.desk) == 0)
            (row,) = await place.rows()
            assert (row.status, row.end_reason) == ("failed", "error")
            assert "no decision within 1 s" in (row.error or "")

    play(scene())


def test_a_greeting_of_blanks_is_no_greeting(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, {"reception": assistant(first_message=" \n")}) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.frames > 25)
            await caller.hang_up()
            (report,) = await place.reported()
            assert report["messages"] == []

    play(scene())


def test_a_call_whose_assistant_is_saved_nowhere_names_none_of_the_saved_ones(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **UNLINKED) as place, place.caller() as caller:
            place.receiver.answer = bringing(assistant(name="Just for you"))
            await caller.place()
            await until(lambda: caller.heard.sounds())
            await caller.hang_up()
            await place.reported()
            (row,) = await place.rows()
            assert (row.assistant_id, row.assistant_name) == (None, "Just for you")

    play(scene())


def bringing(whole: dict[str, Any]) -> Any:
    async def answer(got: Got) -> web.StreamResponse:
        return web.json_response({"assistant": whole} if got.event == "assistant-request" else {})

    return answer
