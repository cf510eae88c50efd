"""Provider sockets that die when nobody speaks: pipecat 1818, 1113, 471; livekit 2281. Ten minutes on hold, by the
vendors' own clocks (Deepgram closes after 10 s, ElevenLabs after 180 s, pools of connections after a while).
"""

import asyncio

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.catalogue import build_llm
from sovereign_pbx.speech.llm import TextDelta
from sovereign_pbx.speech.stt.deepgram import DeepgramNova
from sovereign_pbx.speech.stt.deepgram_flux import DeepgramFlux
from sovereign_pbx.speech.tts.elevenlabs import ElevenLabsVoice
from sovereign_pbx.speech.tts.voice_settings import ElevenLabsAccount, VoiceChoice
from sovereign_pbx.testing import virtual_time
from sovereign_pbx.testing.providers import ScriptedDeepgram, ScriptedElevenLabs, ScriptedOpenAI
from tests.speech.hearing import hearing
from tests.speech.sounds import talk

HOLD_S = 600.0


def test_a_recogniser_hears_the_first_words_after_ten_minutes_of_nothing() -> None:
    """pipecat 1818, 471; livekit 2281. Deepgram NET-0001: ten seconds without audio or keep-alive."""

    async def main() -> None:
        async with ScriptedDeepgram(["I am back."], final_ms=100) as server:
            async with hearing(DeepgramNova(api_key="test-key", base_url=server.url)) as heard:
                await asyncio.sleep(HOLD_S)
                await talk(heard.stream, 600, 600, pace=0.02)
                await asyncio.sleep(1)
                assert heard.finals == ["I am back."]
            assert len(server.connections) == 1

    virtual_time.run(main())


def test_a_recogniser_without_a_word_for_it_is_kept_by_silence() -> None:
    """Flux has no KeepAlive."""

    async def main() -> None:
        async with ScriptedDeepgram(["I am back."], final_ms=100) as server:
            async with hearing(DeepgramFlux(api_key="test-key", base_url=server.url)) as heard:
                await asyncio.sleep(HOLD_S)
                await talk(heard.stream, 800, 800, pace=0.02)
                await asyncio.sleep(2)
                assert heard.finals == ["I am back."]
            assert len(server.connections) == 1

    virtual_time.run(main())


def test_a_voice_speaks_after_ten_minutes_of_nothing() -> None:
    """pipecat 1113. ElevenLabs closes a socket after its inactivity time, 180 s at most."""

    async def main() -> None:
        async with ScriptedElevenLabs(first_audio_ms=50) as server:
            voice = ElevenLabsVoice(ElevenLabsAccount("test-key", server.url), VoiceChoice("Ann"))
            session = await voice.open(rate=8000, language="en")
            for _ in range(2):
                assert [chunk async for chunk in session.speak("Hello there.")]
                await asyncio.sleep(HOLD_S)
            assert len(server.sockets) == 1
            await session.close()
            await voice.aclose()

    virtual_time.run(main())


def test_a_model_answers_over_a_pool_whose_connections_were_closed_meanwhile() -> None:
    """Servers and balancers close idle connections, mostly after a minute; found out by using them."""

    async def main() -> None:
        async with ScriptedOpenAI(["Hello."], first_token_ms=1) as server:
            chat = build_llm(
                {"provider": "openai", "first_s": 30}, {"openai": {"api_key": "test-key", "base_url": server.base_url}}
            )
            for _ in range(3):
                events = [event async for event in chat.reply([Message("user", "Hi")])]
                assert events[0] == TextDelta("Hello.")
                port = server.port
                await server.stop()  # every connection is closed from the other side
                await server.start(port)
            await chat.aclose()

    asyncio.run(main())
