"""Realtime models where calls are not plain: workflows, webhooks' answers, calls that we place, the API's own view."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.providers.realtime import ScriptedRealtime
from tests.calls.house import GREETING, play
from tests.calls.realtime_house import asks, greeted, live_assistant, live_house, quiet
from tests.calls.test_outbound import office
from tests.calls.test_workflow import graph
from tests.waiting import until
from tests.webhooks.receiver import Got


def test_a_workflow_is_not_conducted_by_a_model_that_it_can_not_change(tmp_path: Path) -> None:
    """Honestly: the administrator's own people get the caller, and `check` has said so before."""

    async def scene() -> None:
        numbers = [{"number": "*", "assistant": "reception", "workflow": "shop"}]
        async with (
            live_house(tmp_path, workflows={"shop": {"definition": graph()}}, numbers=numbers) as place,
            place.house.caller() as caller,
        ):
            with pytest.raises(NotAnswered) as caught:
                await caller.place()
            assert caught.value.action == "fallback"
            await place.house.reported(0)
            warned = [str(finding) for finding in place.house.daemon.config.warnings]
            assert any("can't be conducted" in line for line in warned)

    play(scene())


def test_a_webhooks_answer_may_bring_a_realtime_assistant(tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_house(tmp_path) as place, place.house.caller() as caller:

            async def answer(got: Got) -> web.StreamResponse:
                wanted = {"assistant": {"llm_config": {"provider": "openai_realtime", "model": "gpt-realtime-2.1"}}}
                return web.json_response(wanted if got.event == "assistant-request" else {})

            place.house.receiver.answer = answer
            await greeted(caller)
            await caller.hang_up()
            assert await place.messages() == [("assistant", GREETING)]

    play(scene())


def test_the_saved_assistant_takes_a_call_for_which_a_webhook_named_what_is_not_here(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = live_assistant(webhook_events=["assistant-request", "end-of-call-report"])
        async with live_house(tmp_path, "openai", saved) as place, place.house.caller() as caller:

            async def answer(got: Got) -> web.StreamResponse:
                wanted = {"assistant": {"first_message": "No.", "llm_config": {"provider": "google_realtime"}}}
                return web.json_response(wanted if got.event == "assistant-request" else {})

            place.house.receiver.answer = answer
            await greeted(caller)
            await caller.hang_up()
            assert await place.messages() == [("assistant", GREETING)]

    play(scene())


def test_the_greeting_is_made_while_it_still_rings_at_whom_we_call(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedRealtime() as vendor:
            providers = {"openai": {"api_key": "test-key", "base_url": vendor.base_url}}
            async with office(tmp_path, providers=providers) as opened:
                directory = opened.house.daemon.estate.directory
                saved = directory.assistant("reception")
                assert saved is not None
                live = saved.merged({"llm_config": {"provider": "openai_live"}, "tts_config": None})
                assert await opened.desk.place(opened.request(assistant=live))
                await until(lambda: len(vendor.sessions) == 1)
                await until(lambda: len(vendor.sessions[0].of("response.create")) == 1)
                assert GREETING in vendor.sessions[0].of("response.create")[0]["response"]["instructions"]
            assert vendor.open_requests == 0

    play(scene())


def test_the_api_makes_and_shows_realtime_assistants(tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_house(tmp_path) as place:
            body: dict[str, Any] = {
                "name": "Live",
                "llm_config": {
                    "provider": "openai_realtime",
                    "model": "gpt-realtime-2.1",
                    "turn_detection": {"threshold": 3, "prefix_padding_ms": -4},
                },
                "tts_config": None,
            }
            status, made = await place.ask("POST", "/assistants", body)
            assert status == 201, made
            shown = made["assistant"]
            assert shown["tts_config"] is None
            assert shown["llm_config"]["provider"] == "openai_live"
            assert shown["llm_config"]["turn_detection"] == {"threshold": 1, "prefix_padding_ms": 0}
            refused, why = await place.ask(
                "POST", "/assistants", {**body, "llm_config": {"provider": "openai_live", "model": "gpt-live-1"}}
            )
            assert (refused, why["details"][0].startswith("llm_config.model: gpt-live-1")) == (400, True), why
            status, made = await place.ask(
                "PATCH", f"/assistants/{shown['id']}", {"llm_config": {"provider": "receptionist"}}
            )
            assert status == 200, made
            assert made["assistant"]["tts_config"]["provider"] == "hibari"

    play(scene())


def test_a_held_caller_is_silence_to_the_model(tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_house(tmp_path) as place, place.house.caller() as caller:
            await greeted(caller)
            (call,) = await place.house.rows()
            place.house.daemon.desk.held(call.id, True)
            question = caller.say(b"\x40\x1f" * 8000)  # a second of loud music
            await question.finished.wait()
            await asyncio.sleep(0.5)
            assert len(place.vendor.sessions[0].events) == 2  # its settings, and the greeting
            place.house.daemon.desk.held(call.id, False)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            assert len(await place.messages()) == 3

    play(scene())
