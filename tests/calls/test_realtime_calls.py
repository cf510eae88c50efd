"""Whole calls with models that hear and speak themselves, in both dialects: the daemon, a caller, a strict vendor."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.realtime import RealtimeDialect
from tests.calls.house import GREETING, INTERRUPTION, play
from tests.calls.realtime_house import DIALECTS, asks, greeted, live_assistant, live_house, quiet
from tests.waiting import until
from tests.webhooks.receiver import Got

ANSWER = "We are open from nine to five."
LONG = "We are open from nine to five on every day of the week, and on Saturdays from ten to four."
QUESTION_WORDS = "What time do you open?"

both = pytest.mark.parametrize("dialect", DIALECTS)


@both
def test_the_greeting_is_heard_and_a_question_answered(tmp_path: Path, dialect: RealtimeDialect) -> None:
    async def scene() -> None:
        async with live_house(tmp_path, dialect) as place, place.house.caller() as caller:
            await greeted(caller)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            expected = [("assistant", GREETING), ("user", QUESTION_WORDS), ("assistant", ANSWER)]
            assert await place.messages() == expected
            (row,) = await place.house.rows()
            assert (row.status, row.end_reason) == ("ended", "user_hangup")
            (model,) = row.statistics["usage"]["llm"]
            assert model["provider"] == {"openai": "openai_live", "xai": "xai_realtime"}[dialect]
            assert (model["replies"], model["input_tokens"], model["audio_output_tokens"]) == (2, 100, 30)
            assert model["seconds"] > 3
            assert place.session.errors == []
            _, call = await place.ask("GET", f"/calls/{row.id}")
            assert [(each["role"], each["content"]) for each in call["messages"]] == expected

    play(scene())


@both
def test_an_interruption_cuts_the_sound_and_the_vendor_learns_what_was_heard(
    tmp_path: Path, dialect: RealtimeDialect
) -> None:
    async def scene() -> None:
        async with live_house(tmp_path, dialect) as place, place.house.caller() as caller:
            place.vendor.answers = [LONG, "Of course."]
            await greeted(caller)
            await asks(caller)
            await asyncio.sleep(1.2)
            began = asyncio.get_running_loop().time()
            await caller.say(INTERRUPTION).finished.wait()
            cut = [sound for sound in caller.heard.sounds() if sound.start < began][-1]
            assert cut.end - began < 0.6
            await until(lambda: caller.heard.sounds()[-1].start > cut.end)
            await quiet(caller)
            await caller.hang_up()
            messages = await place.messages()
            answer = messages[2][1]
            assert answer and LONG.startswith(answer) and answer != LONG
            if dialect == "openai":
                _, ms = place.session.truncated[0]
                assert ms == pytest.approx((cut.end - cut.start) * 1000, abs=250)
            else:  # which does not know the event, and is not the worse for it
                assert all("conversation.item.truncate" in error for error in place.session.errors)

    play(scene())


@both
def test_a_tool_is_asked_for_answered_and_spoken_of(tmp_path: Path, dialect: RealtimeDialect) -> None:
    tool = {
        "type": "function",
        "name": "look_up",
        "description": "Look up a table.",
        "parameters": {"type": "object", "properties": {}},
    }

    async def scene() -> None:
        assistant = live_assistant(dialect, llm={"tools": [tool]})
        async with live_house(tmp_path, dialect, assistant) as place, place.house.caller() as caller:

            async def answer(got: Got) -> web.StreamResponse:
                calls = got.body["message"].get("tool_call_list", [])
                results = [{"tool_call_id": call["id"], "result": "Table for two."} for call in calls]
                return web.json_response({"results": results})

            place.house.receiver.answer = answer
            place.vendor.answers = [Answer("", (("look_up", "{}"),)), "I have a table for two."]
            await greeted(caller)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            assert (await place.messages())[-1] == ("assistant", "I have a table for two.")
            outputs = [each["item"] for each in place.session.of("conversation.item.create")]
            assert [each["output"] for each in outputs if each["type"] == "function_call_output"] == ["Table for two."]
            assert place.session.errors == []

    play(scene())


@both
def test_the_model_hangs_up_when_its_last_words_were_heard(tmp_path: Path, dialect: RealtimeDialect) -> None:
    async def scene() -> None:
        assistant = live_assistant(dialect, llm={"tools": [{"type": "end_call"}]})
        async with live_house(tmp_path, dialect, assistant) as place, place.house.caller() as caller:
            place.vendor.answers = [Answer("Goodbye, until then.", (("end_call", "{}"),))]
            await greeted(caller)
            await asks(caller)
            await caller.over(10)
            assert (await place.messages())[-1] == ("assistant", "Goodbye, until then.")
            (row,) = await place.house.rows()
            assert row.end_reason == "assistant_hangup"

    play(scene())


@both
def test_commands_speak_inform_and_end(tmp_path: Path, dialect: RealtimeDialect) -> None:
    async def scene() -> None:
        async with live_house(tmp_path, dialect) as place, place.house.caller() as caller:
            await greeted(caller)
            assert (await place.order(type="say", content="One moment please."))[0] == 200
            await until(lambda: len(caller.heard.sounds()) >= 2)
            await quiet(caller)
            assert (await place.order(type="inject-context", content="He is a friend.", trigger_response=True))[
                0
            ] == 200
            await until(lambda: len(caller.heard.sounds()) >= 3)
            await quiet(caller)
            assert (await place.order(type="end-call", message="Goodbye then."))[0] == 200
            await caller.over(10)
            said = [text for _, text in await place.messages()]
            assert said == [GREETING, "One moment please.", ANSWER, "Goodbye then."]
            (row,) = await place.house.rows()
            assert row.end_reason == "api_end_call"

    play(scene())


@both
@pytest.mark.parametrize("kind", ["drop", "stall", "garbage"])
def test_a_vendor_that_dies_in_mid_turn_is_replaced_and_the_caller_answered(
    tmp_path: Path, dialect: RealtimeDialect, kind: Any
) -> None:
    async def scene() -> None:
        async with live_house(tmp_path, dialect) as place, place.house.caller() as caller:
            await greeted(caller)
            place.vendor.faults.arm(kind, "now", times=1)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            assert len(place.vendor.sessions) == 2
            messages = await place.messages()
            assert messages[-1] == ("assistant", ANSWER)
            replayed = [each["item"] for each in place.session.of("conversation.item.create")]
            assert replayed[0]["role"] == "assistant"
            assert replayed[0]["content"][0]["text"] == GREETING

    play(scene())


@both
def test_without_any_vendor_the_caller_goes_to_the_dialplan(tmp_path: Path, dialect: RealtimeDialect) -> None:
    async def scene() -> None:
        async with live_house(tmp_path, dialect) as place, place.house.caller() as caller:
            await greeted(caller)
            place.vendor.faults.arm("refuse", "connect")
            place.vendor.faults.arm("drop", "now", times=1)
            await caller.say(INTERRUPTION).finished.wait()
            await caller.over(10)
            assert caller.variables["SOVEREIGN_NEXT"] == "fallback"
            await place.house.reported()
            (row,) = await place.house.rows()
            assert row.end_reason == "error"

    play(scene())


@both
def test_an_interruption_by_keys_is_a_turn(tmp_path: Path, dialect: RealtimeDialect) -> None:
    async def scene() -> None:
        async with live_house(tmp_path, dialect) as place, place.house.caller() as caller:
            place.vendor.answers = ["You have chosen two."]
            await caller.place()
            await until(lambda: len(caller.heard.sounds()) >= 1)
            await asyncio.sleep(0.6)
            caller.press("2#")
            await quiet(caller)
            await caller.hang_up()
            assert (await place.messages())[-2:] == [("user", "DTMF: 2"), ("assistant", "You have chosen two.")]

    play(scene())


@both
def test_a_silent_caller_is_asked_and_hung_up_on(tmp_path: Path, dialect: RealtimeDialect) -> None:
    silence = {"first_check_seconds": 1, "interval_seconds": 3, "max_attempts": 2, "final_message": "Goodbye then."}

    async def scene() -> None:
        assistant = live_assistant(dialect, autonomous_silence_handling=True, speech_config={"silence": silence})
        async with live_house(tmp_path, dialect, assistant) as place, place.house.caller() as caller:
            place.vendor.answers = [place.vendor.aside]  # xAI's dialect has no instructions for one answer
            await caller.place()
            await caller.over(20)
            said = [text for _, text in await place.messages()]
            assert said == [GREETING, place.vendor.aside, "Goodbye then."]
            (row,) = await place.house.rows()
            assert row.end_reason == "silence_timeout"

    play(scene())


def test_the_administrators_own_voice_says_exact_words(tmp_path: Path) -> None:
    """Where a voice is named, `say` does not depend on what the model makes of it."""

    async def scene() -> None:
        assistant = live_assistant(tts_config={"provider": "elevenlabs", "voice_id": "ben"})
        async with ScriptedElevenLabs(first_audio_ms=20, real_time_factor=0.05) as voice:
            providers = {"elevenlabs": {"api_key": "test-key", "base_url": voice.url}}
            async with (
                live_house(tmp_path, "openai", assistant, providers=providers) as place,
                place.house.caller() as caller,
            ):
                await greeted(caller)
                assert (await place.order(type="say", content="One moment please."))[0] == 200
                await until(lambda: len(caller.heard.sounds()) >= 2)
                await quiet(caller)
                await caller.hang_up()
                assert await place.messages() == [("assistant", GREETING), ("assistant", "One moment please.")]
                told = place.session.of("conversation.item.create")[-1]["item"]
                assert (told["role"], told["content"][0]["text"]) == ("assistant", "One moment please.")
                (row,) = await place.house.rows()
                assert row.statistics["usage"]["tts"][0]["provider"] == "elevenlabs"

    play(scene())


def test_nobody_is_answered_by_a_model_without_a_voice(tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_house(tmp_path) as place, place.house.caller() as caller:
            place.vendor.faults.arm("deny", "connect")
            with pytest.raises(NotAnswered) as caught:
                await caller.place()
            assert caught.value.action == "fallback"

    play(scene())


def test_a_session_is_renewed_before_the_vendor_ends_it(tmp_path: Path) -> None:
    async def scene() -> None:
        assistant = live_assistant(llm={"session_s": 64.0})
        async with live_house(tmp_path, "openai", assistant) as place, place.house.caller() as caller:
            await greeted(caller)
            await until(lambda: len(place.vendor.sessions) == 2, 8.0)
            await until(lambda: place.vendor.open_requests == 1, 3.0)
            await asks(caller)
            await quiet(caller)
            await caller.hang_up()
            assert (await place.messages())[-1] == ("assistant", ANSWER)
            assert place.session.of("conversation.item.create")[0]["item"]["content"][0]["text"] == GREETING

    play(scene())
