"""Inworld's voice over the scripted server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from sovereign_pbx.core.audio import pcm_ms
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.catalogue import voices_of
from sovereign_pbx.speech.tts import Audio, VoiceSession
from sovereign_pbx.speech.tts.inworld import MOST_CHARACTERS, InworldVoice, pieces
from sovereign_pbx.testing.providers.inworld import ScriptedInworld
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS
from tests.speech.running import eventually, run_clean

KEY = "dGVzdC1rZXk="
TEXT = "Good morning, this is the bakery."


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[ScriptedInworld]:
    async with ScriptedInworld(**{"first_audio_ms": 5, "real_time_factor": 0.02, **settings}) as server:
        yield server


@asynccontextmanager
async def session(server: ScriptedInworld, rate: int = 8000, **block: Any) -> AsyncIterator[VoiceSession]:
    account = {"api_key": block.pop("api_key", KEY), "base_url": server.url}
    chosen = {"provider": "inworld", "voice_id": "Katrien", "first_s": 0.5, "gap_s": 0.4, **block}
    voice = InworldVoice.from_config(chosen, account)
    opened = await voice.open(rate=rate, language="nl")
    try:
        yield opened
    finally:
        await opened.close()
        await voice.aclose()


async def spoken(opened: VoiceSession, text: str = TEXT) -> list[Audio]:
    return [audio async for audio in opened.speak(text)]


async def refusal(server: ScriptedInworld, **block: Any) -> ProviderError:
    async with session(server, **block) as opened:
        with pytest.raises(ProviderError) as caught:
            await spoken(opened)
    return caught.value


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("wav_headers", [False, True])
def test_a_segment_comes_at_the_calls_rate_with_its_words_and_without_headers(rate: int, wav_headers: bool) -> None:
    async def main() -> None:
        async with serving(wav_headers=wav_headers) as server, session(server, rate, speaking_rate=2.0) as opened:
            chunks = await spoken(opened)
            assert pcm_ms(sum(len(chunk.pcm) for chunk in chunks), rate) == len(TEXT) * CHAR_MS
            words = [word for chunk in chunks for word in chunk.words]
            assert [word.text for word in words] == TEXT.split()
            assert words[1] == Word("morning,", 0.3, 0.78)
            (asked,) = server.requests
            assert (asked["language"], asked["audioConfig"]["speakingRate"]) == ("nl", 1.5)

    run_clean(main())


def test_what_the_vendor_does_not_take_at_once_is_asked_for_in_parts_that_follow_each_other() -> None:
    async def main() -> None:
        text = "word " * 450
        async with serving(real_time_factor=0.0) as server, session(server) as opened:
            chunks = await spoken(opened, text)
            assert len(server.requests) == 2
            words = [word for chunk in chunks for word in chunk.words]
            assert len(words) == 450
            assert all(one.start < other.start for one, other in pairwise(words))

    run_clean(main())
    assert all(len(piece) <= MOST_CHARACTERS for piece in pieces("x" * 5000))
    assert "".join(pieces("x" * 5000)) == "x" * 5000


@pytest.mark.parametrize(
    ("block", "kind"),
    [({"api_key": "wrong"}, "denied"), ({"voice_id": "Nobody"}, "denied"), ({"model": "none"}, "denied")],
)
def test_what_the_vendor_turns_down_for_good_is_denied(block: dict[str, Any], kind: str) -> None:
    async def main() -> None:
        async with serving() as server:
            fault = await refusal(server, **block)
            assert (fault.kind, fault.stage, fault.provider) == (kind, "tts", "inworld")
            assert KEY not in str(fault)

    run_clean(main())


@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        ("refuse", "connect", "refused"),
        ("stall", "connect", "stalled"),
        ("drop", "connect", "refused"),
        ("stall", "first", "stalled"),
        ("stall", "middle", "stalled"),
        ("drop", "middle", "dropped"),
        ("garbage", "middle", "garbled"),
    ],
)
def test_every_fault_has_its_name(fault: Any, at: Any, kind: str) -> None:
    async def main() -> None:
        async with serving() as server:
            server.faults.arm(fault, at)
            assert (await refusal(server)).kind == kind
            await eventually(lambda: server.open_requests == 0, "everybody let go")

    run_clean(main())


def test_an_error_within_the_stream_is_one() -> None:
    async def main() -> None:
        async with serving(error_in_stream="quota exceeded") as server:
            fault = await refusal(server)
            assert (fault.kind, fault.detail) == ("refused", "quota exceeded")

    run_clean(main())


def test_closing_the_iterator_ends_the_synthesis() -> None:
    async def main() -> None:
        async with serving(real_time_factor=1.0) as server, session(server) as opened:
            stream: Any = opened.speak(TEXT)
            async with aclosing(stream) as chunks:
                await anext(chunks)
            await eventually(lambda: server.cancelled == 1, "the vendor noticed")

    run_clean(main())


def test_settings_go_only_to_the_models_that_take_them() -> None:
    def fields(**block: Any) -> set[str]:
        voice = InworldVoice.from_config({"voice_id": "Erik", **block}, {"api_key": KEY})
        return set(voice.choice.request("Hi", 8000, "multi"))

    usual = {"text", "voiceId", "modelId", "audioConfig", "timestampType"}
    settings: dict[str, Any] = {"delivery_mode": "STABLE", "temperature": 0.7}
    assert fields(**settings, model="inworld-tts-2") == usual | {"deliveryMode"}
    assert fields(**settings) == usual | {"temperature"}


@pytest.mark.parametrize(
    ("block", "account", "words"),
    [
        ({}, {"api_key": KEY}, "voice_id is missing"),
        ({"voice_id": "Erik"}, {}, "api_key is missing"),
        ({"voice_id": "Erik"}, {"api_key": KEY, "base_url": "nowhere"}, "base_url"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said(block: Any, account: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        InworldVoice.from_config(block, account)


def test_the_voices_are_listed() -> None:
    async def main() -> None:
        async with serving() as server:
            account = {"api_key": KEY, "base_url": server.url}
            listed = await voices_of("inworld", account)
            assert [(voice.id, voice.language) for voice in listed][:2] == [("Katrien", "nl"), ("Lennart", "nl")]
            assert len(listed) == 4
            assert await voices_of("inworld", {}) == []
            with pytest.raises(ProviderError):
                await voices_of("inworld", {**account, "api_key": "wrong"})

    asyncio.run(main())
