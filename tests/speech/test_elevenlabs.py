"""ElevenLabs' multi-context websocket over the scripted server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest

from sovereign_pbx.core.audio import pcm_ms
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.tts import Audio, VoiceSession
from sovereign_pbx.speech.tts.elevenlabs import Deadlines, ElevenLabsVoice
from sovereign_pbx.speech.tts.voice_settings import ElevenLabsAccount, VoiceChoice
from sovereign_pbx.testing.providers import ScriptedElevenLabs
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS
from tests.speech.running import SOON_S, UNHURRIED_S, eventually, run_clean

QUICK = Deadlines(first_s=0.4, gap_s=0.3)
UNHURRIED = Deadlines(first_s=UNHURRIED_S, gap_s=UNHURRIED_S)


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[ScriptedElevenLabs]:
    async with ScriptedElevenLabs(**{"first_audio_ms": 5, "real_time_factor": 0.02, **settings}) as server:
        yield server


def voice(server: ScriptedElevenLabs, **choice: Any) -> ElevenLabsVoice:
    account = ElevenLabsAccount(choice.pop("api_key", "test-key"), server.url)
    times = {"deadlines": choice.pop("deadlines", QUICK), "connect_s": choice.pop("connect_s", 0.3)}
    return ElevenLabsVoice(account, VoiceChoice(**{"voice_id": "Ann", **choice}), **times)


@asynccontextmanager
async def session(server: ScriptedElevenLabs, rate: int = 8000, **choice: Any) -> AsyncIterator[VoiceSession]:
    speaker = voice(server, **choice)
    try:
        opened = await speaker.open(rate=rate, language="nl-NL")
        try:
            yield opened
        finally:
            await opened.close()
    finally:
        await speaker.aclose()


async def spoken(opened: VoiceSession, text: str) -> list[Audio]:
    return [audio async for audio in opened.speak(text)]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_segment_is_spoken_at_the_calls_rate_with_the_times_of_its_words(rate: int) -> None:
    async def main() -> None:
        async with serving() as server, session(server, rate) as opened:
            chunks = await spoken(opened, "We open at nine.")
            pcm = b"".join(chunk.pcm for chunk in chunks)
            assert pcm_ms(len(pcm), rate) == pytest.approx(len("We open at nine.") * CHAR_MS, abs=CHAR_MS * 3)
            words = [word for chunk in chunks for word in chunk.words]
            assert [word.text for word in words] == ["We", "open", "at", "nine."]
            assert [round(word.start, 2) for word in words] == [0.0, 0.18, 0.48, 0.66]
            assert words[-1].end == pytest.approx(0.96)
            assert server.sockets[0].query["output_format"] == f"pcm_{rate}"

    run_clean(main())


def test_each_segment_has_a_context_which_opens_with_the_settings_and_is_closed_with_its_text() -> None:
    async def main() -> None:
        async with serving() as server:
            async with session(server, settings=(("stability", 0.4), ("speed", 1.1))) as opened:
                await spoken(opened, "One.")
                await spoken(opened, "Two.")
            assert server.sockets[0].messages == [
                {"text": " ", "context_id": "s1", "voice_settings": {"stability": 0.4, "speed": 1.1}},
                {"text": "One. ", "context_id": "s1", "flush": True},
                {"context_id": "s1", "close_context": True},
                {"text": " ", "context_id": "s2", "voice_settings": {"stability": 0.4, "speed": 1.1}},
                {"text": "Two. ", "context_id": "s2", "flush": True},
                {"context_id": "s2", "close_context": True},
                {"close_socket": True},
            ]
            assert server.sockets[0].query["language_code"] == "nl"
            await eventually(lambda: server.open_requests == 0, "the vendor's side has ended")

    run_clean(main())


def test_two_segments_at_once_do_not_mix() -> None:
    async def main() -> None:
        async with serving() as server, session(server) as opened:
            first, second = await asyncio.gather(spoken(opened, "aaaa"), spoken(opened, "bbbb cccc"))
            assert [word.text for chunk in first for word in chunk.words] == ["aaaa"]
            assert [word.text for chunk in second for word in chunk.words] == ["bbbb", "cccc"]
            assert len(server.sockets) == 1

    run_clean(main())


def test_audio_of_a_cancelled_segment_is_never_heard_in_the_next_one() -> None:
    async def main() -> None:
        async with serving(real_time_factor=0.1) as server, session(server) as opened:
            async with aclosing(cast(Any, opened.speak("A very long sentence that nobody wants to hear."))) as audio:
                async for _ in audio:
                    break
            words = [word.text for chunk in await spoken(opened, "Sorry.") for word in chunk.words]
            assert words == ["Sorry."]
            assert len(server.sockets) == 1

    run_clean(main())


def test_a_sixth_segment_waits_until_the_vendor_has_room() -> None:
    async def main() -> None:
        async with serving(real_time_factor=0.05) as server, session(server) as opened:
            texts = [f"Sentence number {number}." for number in range(9)]
            parts = await asyncio.gather(*(spoken(opened, text) for text in texts))
            assert all(any(chunk.pcm for chunk in part) for part in parts)
            assert len(server.sockets) == 1

    run_clean(main())


def test_nine_interruptions_in_a_row_keep_the_one_socket() -> None:
    async def main() -> None:
        async with serving(real_time_factor=0.03) as server, session(server) as opened:
            for _ in range(9):
                async with aclosing(cast(Any, opened.speak("This is going to be interrupted."))) as audio:
                    async for _chunk in audio:
                        break
            assert await spoken(opened, "Here I am.")
            assert len(server.sockets) == 1

    run_clean(main())


def test_a_socket_closed_while_idle_is_replaced_without_the_caller_noticing() -> None:
    async def main() -> None:
        async with serving(inactivity_s=0.1) as server, session(server) as opened:
            await spoken(opened, "One.")
            await eventually(lambda: server.open_requests == 0, "the vendor closed the idle socket")
            assert await spoken(opened, "Two.")
            assert len(server.sockets) == 2

    run_clean(main())


def test_an_idle_socket_is_kept_alive() -> None:
    async def main() -> None:
        deadlines = Deadlines(keep_alive_s=0.05)
        async with serving(inactivity_s=0.2) as server, session(server, deadlines=deadlines) as opened:
            await asyncio.sleep(0.5)
            assert await spoken(opened, "Still here.")
            assert len(server.sockets) == 1

    run_clean(main())


def test_one_drop_before_the_first_audio_is_mended_on_a_new_socket() -> None:
    async def main() -> None:
        async with serving() as server, session(server) as opened:
            server.faults.arm("drop", "now", times=1)
            assert await spoken(opened, "Hello.")
            assert len(server.sockets) == 2

    run_clean(main())


@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        ("stall", "first", "stalled"),
        ("stall", "middle", "stalled"),
        ("drop", "first", "dropped"),
        ("drop", "middle", "dropped"),
        ("garbage", "first", "garbled"),
        ("garbage", "middle", "garbled"),
    ],
)
def test_a_voice_that_fails_while_speaking_is_noticed_within_the_deadline(fault: Any, at: Any, kind: str) -> None:
    async def main() -> None:
        async with serving() as server:
            server.faults.arm(fault, at)
            async with session(server, deadlines=QUICK if fault == "stall" else UNHURRIED) as opened:
                began = asyncio.get_running_loop().time()
                heard: list[Audio] = []
                with pytest.raises(ProviderError) as caught:
                    async for audio in opened.speak("We open at nine."):
                        heard.append(audio)  # noqa: PERF401 - what came before the error is the point
                assert caught.value.kind == kind
                assert bool(heard) is (at == "middle")
                assert asyncio.get_running_loop().time() - began < SOON_S

    run_clean(main())


@pytest.mark.parametrize("at", ["first", "middle"])
def test_after_a_stall_the_next_segment_gets_a_new_socket(at: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            server.faults.arm("stall", at, times=1)
            async with session(server) as opened:
                with pytest.raises(ProviderError):
                    [audio async for audio in opened.speak("We open at nine.")]
                heard = [audio async for audio in opened.speak("We open at nine.")]
                assert b"".join(audio.pcm for audio in heard)
                assert len(server.sockets) == 2

    run_clean(main())


@pytest.mark.parametrize(
    ("fault", "kind"), [("refuse", "refused"), ("deny", "denied"), ("stall", "stalled"), ("drop", "refused")]
)
def test_a_vendor_that_cannot_be_reached_is_noticed_within_the_deadline(fault: Any, kind: str) -> None:
    async def main() -> None:
        async with serving() as server:
            server.faults.arm(fault)
            speaker = voice(server, connect_s=0.3 if fault == "stall" else UNHURRIED_S)
            with pytest.raises(ProviderError) as caught:
                await speaker.open(rate=8000, language="en")
            assert caught.value.kind == kind
            await speaker.aclose()

    run_clean(main())


@pytest.mark.parametrize(
    "choice", [{"voice_id": "missing"}, {"model": "eleven_v3"}, {"api_key": "wrong-key"}, {"model": "eleven_v9"}]
)
def test_what_the_vendor_does_not_have_is_denied(choice: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving() as server:
            speaker = voice(server, **choice)
            with pytest.raises(ProviderError) as caught:
                await speaker.open(rate=8000, language="en")
            assert caught.value.kind == "denied"
            assert "wrong-key" not in str(caught.value)
            await speaker.aclose()

    run_clean(main())


def test_an_error_message_of_the_vendor_ends_the_segment_with_its_kind() -> None:
    async def main() -> None:
        async with serving() as server, session(server, settings=(("speed", 9.0),)) as opened:
            with pytest.raises(ProviderError, match="invalid_voice_settings") as caught:
                await spoken(opened, "Hello.")
            assert caught.value.kind == "denied"

    run_clean(main())


def test_audio_tags_are_no_words_and_nothing_sayable_is_nothing_said() -> None:
    async def main() -> None:
        async with serving() as server, session(server) as opened:
            words = [
                word.text for chunk in await spoken(opened, "[whispers] Hello [you] there.") for word in chunk.words
            ]
            assert words == ["Hello", "there."]
            assert await spoken(opened, " … ") == []

    run_clean(main())


def test_closing_the_session_ends_a_segment_being_spoken() -> None:
    async def main() -> None:
        async with serving(first_audio_ms=5000) as server, session(server, deadlines=Deadlines()) as opened:
            speaking = asyncio.create_task(spoken(opened, "Never heard."))
            await eventually(lambda: len(server.sockets[0].messages) == 3, "the text arrived")
            await opened.close()
            with pytest.raises(ProviderError) as caught:
                await speaking
            assert caught.value.kind == "dropped"

    run_clean(main())


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ({}, "voice_id"),
        ({"voice_id": "../admin"}, "voice_id"),
        ({"voice_id": "Ann", "stability": 1.5}, "stability"),
        ({"voice_id": "Ann", "speed": 5}, "speed"),
        ({"voice_id": "Ann", "use_speaker_boost": "yes"}, "use_speaker_boost"),
    ],
)
def test_a_bad_setting_is_named(block: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ElevenLabsVoice.from_config(block, {"api_key": "k"})
    assert caught.value.key == key


def test_settings_reach_a_model_as_it_takes_them() -> None:
    block = {"voice_id": "Ann", "stability": 0.4, "similarity_boost": 0.9, "style": 0.2, "speed": 2}
    flash = VoiceChoice.from_config(block)
    assert dict(flash.settings) == {"stability": 0.4, "similarity_boost": 0.9, "speed": 1.2}
    assert dict(VoiceChoice.from_config({**block, "model": "eleven_v3"}).settings) == {"stability": 0.5}
    multilingual = VoiceChoice.from_config({**block, "model": "eleven_multilingual_v2"})
    assert dict(multilingual.settings)["style"] == 0.2


def test_the_key_names_the_sound_and_not_the_account() -> None:
    speaker = ElevenLabsVoice.from_config({"voice_id": "Ann", "stability": 0.4}, {"api_key": "secret"})
    other = ElevenLabsVoice.from_config({"voice_id": "Ann", "stability": 0.5}, {"api_key": "secret"})
    assert "secret" not in speaker.key
    assert speaker.key != other.key
