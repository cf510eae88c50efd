"""hibari: settings, and the real voice."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.tts.hibari import Hibari


@pytest.mark.parametrize(
    ("block", "key"), [({"language": "nl"}, "English only"), ({"speed": 9}, "speed"), ({"voice_id": 3}, "voice_id")]
)
def test_a_wrong_setting_is_refused_by_name(block: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Hibari.from_config(block, {})


def test_another_language_is_refused_when_a_call_opens() -> None:
    with pytest.raises(ProviderError, match="denied"):
        asyncio.run(Hibari().open(rate=8000, language="fr"))


@pytest.mark.speech
def test_a_voice_that_is_not_here_is_refused_and_never_downloaded(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    with pytest.raises(ProviderError, match="is not on this machine"):
        asyncio.run(Hibari(voice="emma").open(rate=8000, language="en"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.speech
def test_the_same_sentence_is_the_same_audio_at_the_links_rate() -> None:
    async def run() -> None:
        session = await Hibari().open(rate=8000, language="en-US")
        first, second = [[chunk.pcm async for chunk in session.speak("Good morning.")] for _ in range(2)]
        assert first == second
        assert 0.4 < sum(map(len, first)) / 16000 < 2.0

    asyncio.run(run())


@pytest.mark.speech
def test_a_long_answer_comes_in_pieces_and_stops_when_closed() -> None:
    async def run() -> None:
        session = await Hibari().open(rate=8000, language="en")
        text = "This is one sentence of several, and it is not short. " * 12
        count = 0
        async for _ in session.speak(text):
            count += 1
            if count == 2:
                await session.close()
        assert count == 2

    asyncio.run(run())


@pytest.mark.speech
def test_text_without_sound_gives_no_audio() -> None:
    async def run() -> None:
        session = await Hibari().open(rate=8000, language="en")
        for text in ("", "  ", "🙂", "…"):
            assert [chunk async for chunk in session.speak(text)] == []

    asyncio.run(run())
