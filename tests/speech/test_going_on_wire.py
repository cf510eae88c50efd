"""A provider that breaks off in the middle, over real sockets: no word lost, no word twice."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.catalogue import build_llm
from sovereign_pbx.speech.llm import Abandoned, TextDelta
from sovereign_pbx.speech.standing import Choice, Choices, Standings
from sovereign_pbx.speech.stt.deepgram import DeepgramNova
from sovereign_pbx.speech.stt.fallback import FallbackStt
from sovereign_pbx.speech.stt.live import Patience
from sovereign_pbx.speech.tts import Voice
from sovereign_pbx.speech.tts.elevenlabs import ElevenLabsVoice
from sovereign_pbx.speech.tts.fallback import FallbackVoice
from sovereign_pbx.speech.tts.voice_settings import ElevenLabsAccount, VoiceChoice
from sovereign_pbx.testing.providers import ScriptedDeepgram, ScriptedElevenLabs, ScriptedOpenAI
from sovereign_pbx.testing.providers.openai import Answer
from tests.speech.hearing import hearing
from tests.speech.running import SOON_S, eventually, run_clean
from tests.speech.sounds import talk

SENTENCE = "We repair bicycles of every make and age."


def voices(*servers: ScriptedElevenLabs) -> Choices[Voice]:
    made: list[Choice[Voice]] = [
        Choice(ElevenLabsVoice(ElevenLabsAccount("test-key", server.url), VoiceChoice("Ann")), server.url)
        for server in servers
    ]
    return Choices(made, Standings())


@pytest.mark.parametrize("fault", ["drop", "stall"])
@pytest.mark.parametrize("spare", [True, False])
def test_a_sentence_is_finished_from_the_word_where_its_voice_broke_off(fault: Any, spare: bool) -> None:
    async def main() -> None:
        async with (
            ScriptedElevenLabs(first_audio_ms=1, real_time_factor=0.5) as first,
            ScriptedElevenLabs(first_audio_ms=1, real_time_factor=0.05) as second,
        ):
            voice = FallbackVoice(voices(first, second) if spare else voices(first), dry_s=0.2)
            session = await voice.open(rate=8000, language="en")
            words: list[str] = []
            async for chunk in session.speak(SENTENCE):
                words += [word.text for word in chunk.words]
                if words == ["We", "repair"] and not first.faults.happened and not first.faults.armed:
                    first.faults.arm(fault, "now", times=1)
            assert words == SENTENCE.split()
            assert first.faults.happened == 1
            await session.close()
            await voice.aclose()

    run_clean(main())


@pytest.mark.parametrize(("fault", "first_part"), [("drop", "We"), ("stall", "We")])
def test_a_reply_is_finished_by_the_spare_from_its_last_word(fault: Any, first_part: str) -> None:
    async def main() -> None:
        def goes_on(body: dict[str, Any]) -> Answer:
            told = [each["content"] for each in body["messages"] if each["role"] == "assistant"]
            # A connection that is reset may take the first word with it before it was read.
            assert told == [first_part] or (fault == "drop" and not told)
            return Answer("We repair bicycles of every make and age.")  # it begins anew

        async with ScriptedOpenAI([SENTENCE], first_token_ms=1) as first, ScriptedOpenAI(goes_on) as second:
            first.faults.arm(fault, "middle")
            second.first_token_ms = 1
            providers = {
                "openai": {"api_key": "test-key", "base_url": first.base_url},
                "mistral": {"api_key": "test-key", "base_url": f"{second.url}/mistral/v1"},
            }
            block = {"provider": "openai", "gap_s": 0.3, "fallbacks": [{"provider": "mistral"}]}
            chat = build_llm(block, providers)
            events = [event async for event in chat.reply([Message("user", "What do you repair?")])]
            assert "".join(event.text for event in events if isinstance(event, TextDelta)) == SENTENCE
            assert sum(isinstance(event, Abandoned) for event in events) == 1 or fault == "drop"
            await chat.aclose()

    run_clean(main())


def nova(server: ScriptedDeepgram, outage_s: float = 5.0) -> Choice[Any]:
    patience = Patience(answer_s=30.0, final_s=0.3, outage_s=outage_s)
    return Choice(DeepgramNova(api_key="test-key", base_url=server.url, patience=patience), server.url)


@pytest.mark.parametrize("spare", [True, False])
def test_a_final_text_that_was_asked_for_and_does_not_come_is_asked_for_elsewhere(spare: bool) -> None:
    async def main() -> None:
        said = ["A table for two, please."]
        async with (
            ScriptedDeepgram(said, final_ms=5000) as first,
            ScriptedDeepgram(said, final_ms=20) as second,
        ):
            engines = [nova(first, 0.2), nova(second)] if spare else [nova(first)]
            async with hearing(FallbackStt(Choices(engines, Standings()))) as heard:
                heard.stream.speech(True)
                await talk(heard.stream, 1000, 200)
                heard.stream.speech(False)
                await eventually(lambda: bool(heard.interims), "it listens")
                first.faults.arm("stall", "now", times=1)
                began = asyncio.get_running_loop().time()
                heard.stream.finalize()
                await eventually(lambda: heard.finals == said, "the sentence was heard")
                assert asyncio.get_running_loop().time() - began < SOON_S
            assert heard.finals == said  # once
            assert heard.error is None

    run_clean(main())


def test_a_cough_that_nobody_answers_does_not_cost_a_recogniser() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["Hello."], final_ms=20) as server:
            async with hearing(FallbackStt(Choices([nova(server)], Standings()))) as heard:
                server.faults.arm("stall", "now", times=1)
                heard.stream.speech(True)
                await talk(heard.stream, 100, 200)
                heard.stream.speech(False)
                heard.stream.finalize()
                await asyncio.sleep(0.8)
                assert heard.error is None
            assert len(server.connections) == 1

    run_clean(main())


def test_a_recogniser_that_falls_silent_as_the_caller_does_is_noticed_before_the_turn_is_decided() -> None:
    async def main() -> None:
        said = ["A table for two, please."]
        patience = Patience(answer_s=30.0, ended_s=0.3)
        async with ScriptedDeepgram(said, final_ms=5000) as server:
            nova = DeepgramNova(api_key="test-key", base_url=server.url, patience=patience)
            async with hearing(nova) as heard:
                heard.stream.speech(True)
                await talk(heard.stream, 1000, 0)
                await eventually(lambda: bool(heard.interims), "it listens")
                server.faults.arm("stall", "now", times=1)
                server.final_ms = 20
                await talk(heard.stream, 0, 200)
                heard.stream.speech(False)
                await eventually(lambda: len(server.connections) == 2, "a new connection was made")
                await talk(heard.stream, 0, 400)
                await eventually(lambda: heard.finals == said, "the sentence was heard")
            assert heard.error is None

    run_clean(main())


def test_words_that_are_final_already_are_not_waited_for_once_more() -> None:
    async def main() -> None:
        patience = Patience(answer_s=30.0, ended_s=0.2)
        async with ScriptedDeepgram(["A table for two, please."], final_ms=20) as server:
            nova = DeepgramNova(api_key="test-key", base_url=server.url, patience=patience)
            async with hearing(nova) as heard:
                heard.stream.speech(True)
                await talk(heard.stream, 1000, 200)
                await eventually(lambda: bool(heard.finals), "the sentence was heard")
                server.faults.arm("stall", "now", times=1)
                heard.stream.speech(False)
                await asyncio.sleep(0.6)
            assert len(server.connections) == 1

    run_clean(main())
