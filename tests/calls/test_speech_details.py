"""What is said how, in whole calls: the spoken form at the vendor, the written one in history and report."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sovereign_pbx.media.levels import dbfs
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, QUESTION, House, assistant, house, play
from tests.calls.test_call import answers, said
from tests.waiting import until

DUTCH = {"provider": "deepgram", "model": "nova-3", "language": "nl"}
QUICK = {"turn_taking": {"endpointing_min_delay": 0.2}}


def given(place: House) -> list[str]:
    """What the voice was given to say, over socket or request, in order."""
    seen = [
        message for received in (*place.elevenlabs.sockets, *place.elevenlabs.requests) for message in received.messages
    ]
    return [message["text"].strip() for message in seen if message.get("text", "").strip()]


async def greeted(caller: AudioSocketCaller, greeting_s: float = 1.5) -> None:
    await caller.place()
    await until(lambda: len(caller.heard.sounds()) >= 1)
    await asyncio.sleep(greeting_s)


async def asked(place: House, caller: AudioSocketCaller) -> None:
    """The caller asks; the answer has begun, and a second of it has been heard."""
    before, sounds = len(place.openai.requests), len(caller.heard.sounds())
    await caller.say(QUESTION).finished.wait()
    await until(lambda: len(place.openai.requests) > before)
    await until(lambda: len(caller.heard.sounds()) > sounds)
    await asyncio.sleep(1.0)


async def told(place: House, *, greeting_s: float = 1.5, wait_s: float = 6.0) -> dict[str, Any]:
    """One question, its answer heard to the end, and the report."""
    async with place.caller() as caller:
        await greeted(caller, greeting_s)
        await asked(place, caller)
        await asyncio.sleep(wait_s)
        await caller.hang_up()
    (report,) = await place.reported()
    return report


def contents(report: dict[str, Any]) -> list[str]:
    return [content for role, content in said(report) if role == "assistant"]


def test_the_voice_is_given_words_and_the_transcript_keeps_the_figures(tmp_path: Path) -> None:
    speech = {**QUICK, "pronunciation": [{"from": "KvK", "to": "kaa vee kaa"}]}
    desk = assistant(stt_config=DUTCH, speech_config=speech, first_message="Welkom bij de KvK, om 9:00 uur.")
    answer = "Dat kost **€12,50** bij de KvK. Mail info@example.nl."

    async def scene() -> None:
        async with house(tmp_path, {"reception": desk}) as place:
            place.openai.script = (answer,)
            report = await told(place, greeting_s=4.5)
            assert "Welkom bij de kaa vee kaa, om negen uur." in given(place)
            assert "Dat kost twaalf euro vijftig bij de kaa vee kaa." in given(place)
            assert "Mail info apenstaartje example punt N L." in given(place)
            assert contents(report) == [
                "Welkom bij de KvK, om 9:00 uur.",
                "Dat kost €12,50 bij de KvK. Mail info@example.nl.",
            ]

    play(scene())


def test_an_answer_that_was_interrupted_is_kept_up_to_the_written_word(tmp_path: Path) -> None:
    answer = "The number that you want is 020 7946 0958 and the fax is 020 7946 0959 for all of our offices in town."

    async def scene() -> None:
        async with house(tmp_path) as place:
            place.openai.script = (answer, "Of course.")
            async with place.caller() as caller:
                await greeted(caller)
                await asked(place, caller)
                await asyncio.sleep(2.0)
                await caller.say(QUESTION).finished.wait()
                await until(lambda: len(place.openai.requests) >= 2)
                await caller.hang_up()
            messages = place.openai.requests[1]["messages"]
            heard = [message["content"] for message in messages if message["role"] == "assistant"][-1]
            assert answer.startswith(heard)
            assert heard != answer

    play(scene())


@pytest.mark.parametrize(("model", "kept"), [("eleven_flash_v2_5", False), ("eleven_v3", True)])
def test_audio_tags_go_to_the_voice_that_knows_them_and_never_to_the_transcript(
    tmp_path: Path, model: str, kept: bool
) -> None:
    voice = {"provider": "elevenlabs", "voice_id": "anna", "model": model}

    async def scene() -> None:
        async with house(tmp_path, {"reception": assistant(tts_config=voice)}) as place:
            place.openai.script = ("[laughs] We are open, [in a whisper] until five.",)
            report = await told(place, wait_s=3.0)
            assert ("[laughs] We are open," in given(place)) == kept
            assert any("[" in text for text in given(place)) == kept
            assert contents(report) == [GREETING, "We are open, until five."]

    play(scene())


def test_a_room_is_heard_behind_the_voice_and_in_the_recording_and_the_recogniser_hears_none_of_it(
    tmp_path: Path,
) -> None:
    room = {"enabled": True, "clip": "city", "volume": 0.3}

    async def scene() -> None:
        desk = assistant(first_message="", speech_config={**QUICK, "background_audio": room})
        async with house(tmp_path, {"reception": desk}, recording={"enabled": True}) as place:
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.frames > 200, 20.0)
                heard = caller.heard.recording()
                await caller.hang_up()
            await place.reported()
            (row,) = await place.rows()
            assert dbfs(heard[-8000 * 2 :]) == pytest.approx(-40, abs=4)
            assert row.recording_path is not None
            stereo = np.frombuffer(Path(row.recording_path).read_bytes()[44:], "<i2").reshape(-1, 2)
            assert dbfs(stereo[-8000:, 1].copy()) == pytest.approx(-40, abs=4)
            assert dbfs(stereo[-8000:, 0].copy()) < -60

    play(scene())


def test_last_words_are_said_when_the_assistant_hangs_up(tmp_path: Path) -> None:
    async def scene() -> None:
        desk = assistant(speech_config={**QUICK, "end_call_message": "Goodbye for now."})
        desk["llm_config"] = {**desk["llm_config"], "tools": [{"type": "end_call"}]}
        async with house(tmp_path, {"reception": desk}) as place:
            place.openai.script = (Answer(tools=(("end_call", "{}"),)),)
            async with place.caller() as caller:
                await greeted(caller)
                await caller.say(QUESTION).finished.wait()
                await caller.over()
            (report,) = await place.reported()
            assert contents(report)[-1] == "Goodbye for now."
            assert report["end_reason"] == "assistant_hangup"

    play(scene())


def test_a_phrase_of_farewell_ends_the_call_when_it_was_heard(tmp_path: Path) -> None:
    async def scene() -> None:
        desk = assistant(speech_config={**QUICK, "end_call_phrases": ["have a nice day"]})
        async with house(tmp_path, {"reception": desk}) as place:
            place.openai.script = ("We open at nine. Have a nice day!",)
            async with place.caller() as caller:
                await greeted(caller)
                await caller.say(QUESTION).finished.wait()
                await caller.over()
            (report,) = await place.reported()
            assert contents(report)[-1] == "We open at nine. Have a nice day!"
            assert report["end_reason"] == "assistant_hangup"

    play(scene())


@pytest.mark.parametrize(("model", "name"), [("nova-3", "keyterm"), ("nova-2", "keywords")])
def test_key_terms_reach_the_recogniser_by_the_name_that_its_model_knows(tmp_path: Path, model: str, name: str) -> None:
    async def scene() -> None:
        ear = {"provider": "deepgram", "model": model, "language": "en", "keyterms": ["Asterisk", "Jan de Vries"]}
        async with house(tmp_path, {"reception": assistant(stt_config=ear)}) as place, place.caller() as caller:
            await greeted(caller)
            assert place.deepgram.connections[-1].values(name) == ["Asterisk", "Jan de Vries"]
            await caller.hang_up()

    play(scene())


def test_a_webhook_sets_the_language_of_ear_voice_and_phrases(tmp_path: Path) -> None:
    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request", "end-of-call-report"])}
        async with house(tmp_path, saved) as place:
            place.receiver.answer = answers(
                {"assistant": {"stt_config": DUTCH, "first_message": "Goedemorgen, u bent nummer 3."}}
            )
            place.openai.script = ("",)  # a model without an answer: the caller is asked to say it again
            async with place.caller() as caller:
                await greeted(caller)
                await asked(place, caller)
                await asyncio.sleep(4.0)
                await caller.hang_up()
            (report,) = await place.reported()
            assert place.deepgram.connections[-1].values("language") == ["nl"]
            assert {received.query.get("language_code") for received in place.elevenlabs.sockets} == {"nl"}
            assert "Goedemorgen, u bent nummer drie." in given(place)
            assert contents(report)[1].startswith("Sorry, er ging aan mijn kant iets mis.")

    play(scene())


def test_in_a_call_of_several_languages_the_voice_is_bound_to_none(tmp_path: Path) -> None:
    async def scene() -> None:
        desk = assistant(stt_config={**DUTCH, "language": "multi"}, first_message="Dat is voor u nummer 3.")
        async with house(tmp_path, {"reception": desk}) as place, place.caller() as caller:
            await greeted(caller)
            await caller.hang_up()
            assert place.deepgram.connections[-1].values("language") == ["multi"]
            assert {received.query.get("language_code") for received in place.elevenlabs.sockets} == {None}
            assert "Dat is voor u nummer drie." in given(place)

    play(scene())
