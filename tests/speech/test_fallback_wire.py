"""Fallbacks between scripted vendors: a caller in the middle of a sentence keeps his words."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.catalogue import build_llm, build_voice
from sovereign_pbx.speech.llm import TextDelta
from sovereign_pbx.speech.standing import Choice, Choices, Standings
from sovereign_pbx.speech.stt.deepgram import DeepgramNova
from sovereign_pbx.speech.stt.fallback import FallbackStt
from sovereign_pbx.speech.stt.live import Patience
from sovereign_pbx.speech.tts import Voice
from sovereign_pbx.speech.tts.elevenlabs import ElevenLabsVoice
from sovereign_pbx.speech.tts.fallback import FallbackVoice
from sovereign_pbx.speech.tts.voice_settings import ElevenLabsAccount, VoiceChoice
from sovereign_pbx.testing.providers import ScriptedDeepgram, ScriptedElevenLabs, ScriptedOpenAI
from tests.speech.hearing import hearing
from tests.speech.running import eventually, run_clean
from tests.speech.sounds import talk


def nova(server: ScriptedDeepgram) -> Choice[Any]:
    patience = Patience(answer_s=0.3, outage_s=0.2)
    return Choice(DeepgramNova(api_key="test-key", base_url=server.url, patience=patience), server.url)


@pytest.mark.parametrize("fault", ["stop", "stall", "deny"])
def test_the_second_recogniser_hears_the_sentence_in_which_the_first_was_lost(fault: str) -> None:
    async def main() -> None:
        said = ["A table for two, please."]
        async with ScriptedDeepgram(said, final_ms=20) as first, ScriptedDeepgram(said, final_ms=20) as second:
            stt = FallbackStt(Choices([nova(first), nova(second)], Standings()))
            async with hearing(stt) as heard:
                heard.stream.speech(True)
                if fault == "stall":
                    first.faults.arm("stall", "now")
                await talk(heard.stream, 600, 0)
                if fault != "stall":
                    port = first.port
                    await first.stop()
                    if fault == "deny":
                        first.faults.arm("deny")
                        await first.start(port)
                await talk(heard.stream, 600, 300)
                heard.stream.speech(False)
                await eventually(lambda: heard.overs == 1, "the sentence was heard")
            assert heard.finals == said
            assert len(second.connections) == 1
            assert second.connections[0].audio_bytes >= 75 * 320  # all 1.5 s of it

    run_clean(main())


@pytest.mark.parametrize(("fault", "at"), [("refuse", "connect"), ("stall", "first"), ("drop", "first")])
def test_the_second_model_answers_when_the_first_does_not(fault: Any, at: Any) -> None:
    async def main() -> None:
        async with (
            ScriptedOpenAI(["First."], first_token_ms=1) as first,
            ScriptedOpenAI(["Second."], first_token_ms=1) as second,
        ):
            first.faults.arm(fault, at)
            providers = {
                "openai": {"api_key": "test-key", "base_url": first.base_url},
                "mistral": {"api_key": "test-key", "base_url": f"{second.url}/mistral/v1"},
            }
            chat = build_llm(
                {"provider": "openai", "switch_after_s": 0.4, "fallbacks": [{"provider": "mistral"}]}, providers
            )
            began = asyncio.get_running_loop().time()
            events = [event async for event in chat.reply([Message("user", "Hello?")])]
            assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta("Second.")]
            assert asyncio.get_running_loop().time() - began < 2.5
            await chat.aclose()

    run_clean(main())


@pytest.mark.parametrize(("fault", "at"), [("refuse", "connect"), ("stall", "first"), ("drop", "first")])
def test_the_second_voice_speaks_when_the_first_does_not(fault: Any, at: Any) -> None:
    async def main() -> None:
        async with ScriptedElevenLabs(first_audio_ms=1) as first, ScriptedElevenLabs(first_audio_ms=1) as second:
            first.faults.arm(fault, at)
            voices: list[Choice[Voice]] = [
                Choice(ElevenLabsVoice(ElevenLabsAccount("test-key", server.url), VoiceChoice("Ann")), server.url)
                for server in (first, second)
            ]
            voice = FallbackVoice(Choices(voices, Standings()), switch_s=0.3)
            session = await voice.open(rate=8000, language="en")
            chunks = [chunk async for chunk in session.speak("Hello there.")]
            assert chunks[0].pcm
            assert second.sockets
            await session.close()
            await voice.aclose()

    run_clean(main())


def test_a_built_voice_speaks() -> None:
    async def main() -> None:
        async with ScriptedElevenLabs(first_audio_ms=1, real_time_factor=0.01) as server:
            providers = {"elevenlabs": {"api_key": "test-key", "base_url": server.url}}
            voice = build_voice({"provider": "11labs", "voice_id": "Ann", "speed": 1.1}, providers)
            session = await voice.open(rate=16000, language="en")
            assert [chunk async for chunk in session.speak("Hello there.")]
            await session.close()
            await voice.aclose()

    run_clean(main())
