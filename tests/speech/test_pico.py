"""Pico: settings, and the real engine in its process."""

import asyncio
import os
import signal
from multiprocessing.resource_tracker import ensure_running
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.tts import pico
from sovereign_pbx.speech.tts.pico import Pico, voice_for
from tests.speech import phone_audio as audio
from tests.speech.test_whisper import transcribed


@pytest.fixture(scope="module", autouse=True)
def what_stays_for_good() -> None:
    """multiprocessing keeps the pipe to its tracker until the process ends; better now than in the middle of a test."""
    ensure_running()


@pytest.mark.parametrize(
    ("language", "voice", "found"),
    [
        ("de", "", "de-DE"),
        ("en", "", "en-US"),
        ("en-GB", "", "en-GB"),
        ("", "", "en-US"),
        ("nl", "", ""),
        ("nl", "fr-FR", "fr-FR"),
        ("de", "xx", ""),
    ],
)
def test_the_voice_follows_the_language_unless_it_is_named(language: str, voice: str, found: str) -> None:
    assert voice_for(language, voice) == found


@pytest.mark.parametrize(
    ("block", "key"),
    [({"language": "nl"}, "no voice for nl"), ({"voice_id": "nl-NL"}, "voice_id"), ({"speed": 0}, "speed")],
)
def test_a_wrong_setting_is_refused_by_name(block: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Pico.from_config(block, {})


def test_a_language_without_a_voice_is_refused_when_a_call_opens() -> None:
    with pytest.raises(ProviderError, match="denied"):
        asyncio.run(Pico().open(rate=8000, language="nl"))


@pytest.mark.speech
def test_a_language_is_spoken_so_that_whisper_understands_it() -> None:
    async def run() -> None:
        voice = Pico()
        session = await voice.open(rate=8000, language="en")
        said = "Hello, how can I help you today?"
        sound = b"".join([chunk.pcm async for chunk in session.speak(said)])
        await voice.aclose()
        (text,) = await transcribed("tiny.en", "en", [audio.over_the_phone(sound)])
        assert audio.word_errors(audio.words(said), audio.words(text)) <= 1, text

    asyncio.run(run())


@pytest.mark.speech
def test_a_worker_that_dies_costs_one_sentence_and_is_started_again() -> None:
    async def run() -> None:
        voice = Pico()
        session = await voice.open(rate=8000, language="de")
        assert pico._workers._pool is not None
        (worker,) = pico._workers._pool._processes.values()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ProviderError, match="dropped"):
            [chunk async for chunk in session.speak("Guten Tag.")]
        assert [chunk async for chunk in session.speak("Guten Tag.")]
        await voice.aclose()

    asyncio.run(run())


@pytest.mark.speech
def test_markup_and_control_characters_are_not_commands_to_the_engine() -> None:
    async def run() -> None:
        voice = Pico()
        session = await voice.open(rate=8000, language="en")
        plain = b"".join([chunk.pcm async for chunk in session.speak("Hello")])
        marked = b"".join([chunk.pcm async for chunk in session.speak("<volume level='10'>Hello\0</volume>")])
        assert len(marked) > 2 * len(plain)  # the words of the tag are spoken, not obeyed
        await voice.aclose()

    asyncio.run(run())
