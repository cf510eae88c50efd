"""ElevenLabs' HTTP stream through its SDK over the scripted server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest

from sovereign_pbx.core.audio import pcm_ms
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.tts import Audio, VoiceSession, elevenlabs_http
from sovereign_pbx.speech.tts.elevenlabs import Deadlines
from sovereign_pbx.speech.tts.elevenlabs_http import ElevenLabsHttp
from sovereign_pbx.speech.tts.voice_settings import ElevenLabsAccount, VoiceChoice
from sovereign_pbx.testing.providers import ScriptedElevenLabs
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS
from tests.speech.running import SOON_S, UNHURRIED_S, eventually, run_clean

QUICK = Deadlines(first_s=0.3, gap_s=0.2)
UNHURRIED = Deadlines(first_s=UNHURRIED_S, gap_s=UNHURRIED_S)


@asynccontextmanager
async def session(server: ScriptedElevenLabs, rate: int = 8000, **choice: Any) -> AsyncIterator[VoiceSession]:
    deadlines = choice.pop("deadlines", QUICK)
    account = ElevenLabsAccount(choice.pop("api_key", "test-key"), server.url)
    chosen = VoiceChoice(**{"voice_id": "Ann", "model": "eleven_v3", **choice})
    speaker = ElevenLabsHttp(account, chosen, deadlines=deadlines)
    opened = await speaker.open(rate=rate, language="nl")
    try:
        yield opened
    finally:
        await opened.close()
        await speaker.aclose()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[ScriptedElevenLabs]:
    async with ScriptedElevenLabs(**{"first_audio_ms": 5, "real_time_factor": 0.02, **settings}) as server:
        yield server


async def spoken(opened: VoiceSession, text: str) -> list[Audio]:
    return [audio async for audio in opened.speak(text)]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_segment_streams_in_frames_at_the_calls_rate_with_its_settings_and_tags(rate: int) -> None:
    async def main() -> None:
        async with serving() as server:
            async with session(server, rate, settings=(("stability", 0.5),)) as opened:
                chunks = await spoken(opened, "[warmly] Hello there.")
            assert pcm_ms(sum(len(chunk.pcm) for chunk in chunks), rate) == len("[warmly] Hello there.") * CHAR_MS
            assert max(pcm_ms(len(chunk.pcm), rate) for chunk in chunks) <= 20
            assert server.requests[0].messages == [
                {
                    "text": "[warmly] Hello there.",
                    "model_id": "eleven_v3",
                    "language_code": "nl",
                    "voice_settings": {"stability": 0.5},
                }
            ]

    run_clean(main())


def test_a_missing_package_is_told_before_a_call_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elevenlabs_http, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'sovereign-pbx\[elevenlabs\]'"):
        ElevenLabsHttp.from_config({"voice_id": "Ann"}, {"api_key": "k"})


def test_closing_the_segment_closes_the_request() -> None:
    async def main() -> None:
        async with serving(real_time_factor=1.0) as server, session(server) as opened:
            async with aclosing(cast(Any, opened.speak("A long sentence that is cut off."))) as audio:
                async for _ in audio:
                    break
            await eventually(lambda: server.cancelled == 1, "the vendor saw the client go", within_s=0.5)

    run_clean(main())


@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        ("deny", "connect", "denied"),
        ("refuse", "connect", "refused"),
        ("stall", "connect", "stalled"),
        ("stall", "first", "stalled"),
        ("stall", "middle", "stalled"),
        ("drop", "connect", "dropped"),
        ("drop", "first", "dropped"),
        ("drop", "middle", "dropped"),
    ],
)
def test_every_failure_is_noticed_within_the_deadline(fault: Any, at: Any, kind: str) -> None:
    async def main() -> None:
        deadlines = QUICK if fault == "stall" else UNHURRIED
        async with serving() as server, session(server, deadlines=deadlines) as opened:
            server.faults.arm(fault, at)
            began = asyncio.get_running_loop().time()
            with pytest.raises(ProviderError) as caught:
                await spoken(opened, "We open at nine.")
            assert caught.value.kind == kind
            assert asyncio.get_running_loop().time() - began < SOON_S

    run_clean(main())


def test_a_server_that_is_not_there_is_refused_and_a_wrong_key_denied() -> None:
    async def main() -> None:
        async with serving() as server:
            async with session(server, api_key="wrong-key") as opened:
                with pytest.raises(ProviderError) as caught:
                    await spoken(opened, "Hello.")
                assert caught.value.kind == "denied"
                assert "wrong-key" not in str(caught.value)
            async with session(server) as opened:
                await server.stop()
                with pytest.raises(ProviderError) as caught:
                    await spoken(opened, "Hello.")
                assert caught.value.kind == "refused"

    run_clean(main())
