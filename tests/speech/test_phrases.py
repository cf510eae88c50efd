"""Phrases rendered once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.phrases import Phrase, PhraseCache
from sovereign_pbx.speech.standing import Choice, Choices, Standings
from sovereign_pbx.speech.tts import Audio
from sovereign_pbx.speech.tts.fallback import FallbackVoice
from tests.speech.running import run_clean

SORRY = {"rate": 8000, "language": "en"}


class Speaker:
    """A fake voice; every phrase is `size` bytes."""

    def __init__(self, key: str = "voice/1", size: int = 320, fails: ProviderError | None = None) -> None:
        self.name = self.key = key
        self.size = size
        self.fails = fails
        self.spoken: list[str] = []
        self.open_sessions = 0

    async def open(self, *, rate: int, language: str) -> "Speaker":
        self.open_sessions += 1
        return self

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        self.spoken.append(text)
        await asyncio.sleep(0.01)
        if self.fails is not None:
            raise self.fails
        yield Audio(bytes(self.size // 2), (Word(text, 0.0, 0.5),))
        yield Audio(b"\1" * (self.size // 2))

    async def close(self) -> None:
        self.open_sessions -= 1

    async def aclose(self) -> None:
        pass


def test_a_phrase_is_synthesised_once_and_then_at_hand() -> None:
    async def main() -> None:
        cache, voice = PhraseCache(), Speaker()
        assert cache.get(voice, "Sorry.", rate=8000, language="en") is None
        phrase = await cache.render(voice, "Sorry.", rate=8000, language="en")
        assert phrase == Phrase(bytes(160) + b"\1" * 160, (Word("Sorry.", 0.0, 0.5),))
        assert await cache.render(voice, "Sorry.", rate=8000, language="en") is phrase
        assert cache.get(voice, "Sorry.", rate=8000, language="en") is phrase
        assert voice.spoken == ["Sorry."]
        assert voice.open_sessions == 0

    run_clean(main())


@pytest.mark.parametrize(
    "other", [{"rate": 16000}, {"language": "nl"}, {"text": "Pardon."}, {"voice": Speaker("voice/2")}]
)
def test_voice_rate_language_and_text_make_different_phrases(other: dict[str, Any]) -> None:
    async def main() -> None:
        cache = PhraseCache()
        asked: dict[str, Any] = {"voice": Speaker(), "text": "Sorry.", "rate": 8000, "language": "en"}
        await cache.render(**asked)
        assert cache.get(**asked) is not None
        assert cache.get(**{**asked, **other}) is None

    run_clean(main())


def test_calls_that_ask_at_once_wait_for_the_same_rendering() -> None:
    async def main() -> None:
        cache, voice = PhraseCache(), Speaker()
        await asyncio.gather(*(cache.render(voice, "Sorry.", rate=8000, language="en") for _ in range(5)))
        assert voice.spoken == ["Sorry."]

    run_clean(main())


def test_a_call_that_gives_up_does_not_take_the_phrase_from_the_others() -> None:
    async def main() -> None:
        cache, voice = PhraseCache(), Speaker()
        first = asyncio.create_task(cache.render(voice, "Sorry.", rate=8000, language="en"))
        second = asyncio.create_task(cache.render(voice, "Sorry.", rate=8000, language="en"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).pcm
        assert voice.spoken == ["Sorry."]

    run_clean(main())


def test_a_voice_that_fails_is_reported_to_all_and_tried_again_later() -> None:
    async def main() -> None:
        cache, voice = PhraseCache(), Speaker(fails=ProviderError("voice", "tts", "stalled"))
        renders = [cache.render(voice, "Sorry.", rate=8000, language="en") for _ in range(2)]
        results = await asyncio.gather(*renders, return_exceptions=True)
        assert all(isinstance(result, ProviderError) for result in results)
        voice.fails = None
        assert (await cache.render(voice, "Sorry.", rate=8000, language="en")).pcm
        assert len(voice.spoken) == 2

    run_clean(main())


def test_the_least_recently_used_phrase_goes_first() -> None:
    async def main() -> None:
        cache, voice = PhraseCache(max_bytes=960), Speaker()
        for text in ("a", "b", "c"):
            await cache.render(voice, text, rate=8000, language="en")
        cache.get(voice, "a", rate=8000, language="en")
        await cache.render(voice, "d", rate=8000, language="en")
        kept = [text for text in "abcd" if cache.get(voice, text, rate=8000, language="en")]
        assert kept == ["a", "c", "d"]

    run_clean(main())


def test_phrases_outlive_the_daemon_and_its_provider(tmp_path: Path) -> None:
    async def main() -> None:
        directory = tmp_path / "phrases"
        voice = Speaker()
        before = await PhraseCache(directory=directory).render(voice, "Sorry.", rate=8000, language="en")
        cache = PhraseCache(directory=directory)
        await cache.load()
        assert (
            cache.get(Speaker(fails=ProviderError("v", "tts", "refused")), "Sorry.", rate=8000, language="en") == before
        )

    run_clean(main())


def test_files_are_private_and_tell_nothing_by_their_names(tmp_path: Path) -> None:
    async def main() -> None:
        directory = tmp_path / "phrases"
        await PhraseCache(directory=directory).render(Speaker("../../etc"), "../passwd", rate=8000, language="en")
        (file,) = directory.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert directory.stat().st_mode & 0o777 == 0o700
        assert file.suffix == ".phrase"
        assert len(file.stem) == 64

    run_clean(main())


@pytest.mark.parametrize(
    "content", [b"", b"{}\nxx", b'{"version":1,"words":[[1]]}\n', b"\xff\xfe\n", b'{"version":1}\n1']
)
def test_a_damaged_file_is_passed_over(tmp_path: Path, content: bytes) -> None:
    async def main() -> None:
        (tmp_path / ("0" * 64 + ".phrase")).write_bytes(content)
        cache = PhraseCache(directory=tmp_path)
        await cache.load()
        assert (await cache.render(Speaker(), "Sorry.", rate=8000, language="en")).pcm

    run_clean(main())


def test_the_directory_is_bounded_too(tmp_path: Path) -> None:
    async def main() -> None:
        cache = PhraseCache(max_bytes=2000, directory=tmp_path)
        for number in range(12):
            await cache.render(Speaker(), f"phrase {number}", rate=8000, language="en")
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000

    run_clean(main())


def test_a_directory_that_cannot_be_written_costs_nothing_but_the_memory_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        blocked = tmp_path / "file"
        blocked.write_text("in the way")
        cache = PhraseCache(directory=blocked)
        await cache.load()
        assert (await cache.render(Speaker(), "Sorry.", rate=8000, language="en")).pcm

    run_clean(main())


def test_a_fallback_voices_sound_does_not_pass_for_the_voices_own() -> None:
    async def main() -> None:
        first, second = Speaker("first", fails=ProviderError("first", "tts", "refused")), Speaker("second")
        both = FallbackVoice(Choices([Choice(first, "first"), Choice(second, "second")], Standings()))
        cache = PhraseCache()
        assert (await cache.render(both, "Sorry.", rate=8000, language="en")).pcm
        assert cache.get(first, "Sorry.", rate=8000, language="en") is None
        assert cache.get(second, "Sorry.", rate=8000, language="en") is not None
        assert cache.get(both, "Sorry.", rate=8000, language="en") is not None  # better than nothing in an outage

    run_clean(main())


def test_closing_ends_what_is_being_rendered() -> None:
    async def main() -> None:
        cache, voice = PhraseCache(), Speaker()
        rendering = asyncio.create_task(cache.render(voice, "Sorry.", rate=8000, language="en"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await cache.aclose()
        with pytest.raises(asyncio.CancelledError):
            await rendering
        assert voice.open_sessions == 0

    run_clean(main())
