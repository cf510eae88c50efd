"""Sentences rendered once and kept: greetings, fillers, apologies, whatever is said often or must not fail.

A phrase is known by its voice's key, rate, language and text. With a directory it outlives the daemon, so that a caller
hears an apology even when the voice's vendor is down after a restart.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech import phrase_files
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.tts import Voice

log = structlog.get_logger(__name__)

RENDER_S: Final = 20.0
PHRASE_BYTES: Final = 4 * 1024 * 1024  # two minutes at 16 kHz


@dataclass(frozen=True, slots=True)
class Phrase:
    """PCM s16le mono with its words."""

    pcm: bytes
    words: tuple[Word, ...] = ()


class PhraseCache:
    """At most `max_bytes` of PCM in memory, the least recently used goes first; as much again in `directory`."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024, directory: Path | None = None) -> None:
        self._max_bytes = max_bytes
        self._directory = directory
        self._phrases: OrderedDict[str, Phrase] = OrderedDict()
        self._bytes = 0
        self._rendering: dict[str, asyncio.Task[Phrase]] = {}

    async def load(self) -> None:
        """Take in what an earlier run left in the directory."""
        if self._directory is None:
            return
        found = await asyncio.to_thread(phrase_files.read_all, self._directory, self._max_bytes)
        for name, (pcm, words) in found.items():
            self._keep(name, Phrase(pcm, words))

    def get(self, voice: Voice, text: str, *, rate: int, language: str) -> Phrase | None:
        """The phrase if it is in memory, in this voice or else in one of its fallbacks."""
        for key in getattr(voice, "keys", (voice.key,)):
            name = _name(key, rate, language, text)
            phrase = self._phrases.get(name)
            if phrase is not None:
                self._phrases.move_to_end(name)
                return phrase
        return None

    async def render(self, voice: Voice, text: str, *, rate: int, language: str, keep: bool = True) -> Phrase:
        """The phrase in this voice, synthesised if need be; who asks at the same time waits for the same.

        `keep` False: what may hold personal data is for whoever asks, and leaves nothing here or in the directory.
        Raises ProviderError when the voice fails.
        """
        name = _name(voice.key, rate, language, text)
        if (known := self._phrases.get(name)) is not None:
            self._phrases.move_to_end(name)
            return known
        if not keep:
            return (await self._render(voice, text, rate, language))[0]
        task = self._rendering.get(name)
        if task is None:
            task = asyncio.create_task(self._render_and_keep(voice, text, rate, language), name="phrase")
            self._rendering[name] = task
            task.add_done_callback(lambda done: self._rendered(name, done))
        # Shielded: the others who wait for it, and the next call, still want it.
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """End what is being rendered."""
        tasks = list(self._rendering.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _render_and_keep(self, voice: Voice, text: str, rate: int, language: str) -> Phrase:
        phrase, key = await self._render(voice, text, rate, language)
        await self._store(_name(key, rate, language, text), phrase)
        return phrase

    async def _render(self, voice: Voice, text: str, rate: int, language: str) -> tuple[Phrase, str]:
        """The phrase, and the key of the voice that spoke it."""
        pcm = bytearray()
        words: list[Word] = []
        try:
            async with asyncio.timeout(RENDER_S):
                session = await voice.open(rate=rate, language=language)
                try:
                    async with closing(session.speak(text)) as chunks:
                        async for chunk in chunks:
                            pcm += chunk.pcm
                            words += chunk.words
                            if len(pcm) > PHRASE_BYTES:
                                raise ProviderError(voice.name, "tts", "garbled", "a phrase without end")
                finally:
                    await session.close()
        except TimeoutError as exc:
            raise ProviderError(voice.name, "tts", "stalled", f"no phrase within {RENDER_S:g} s") from exc
        # A fallback's sound must not pass for the voice's own, today or after a restart.
        return Phrase(bytes(pcm), tuple(words)), str(getattr(session, "spoke_with", voice.key))

    async def _store(self, name: str, phrase: Phrase) -> None:
        self._keep(name, phrase)
        if self._directory is None:
            return
        try:
            await asyncio.to_thread(
                phrase_files.write, self._directory, name, phrase.pcm, phrase.words, self._max_bytes
            )
        except OSError as exc:
            log.warning("phrase not written", error=str(exc))

    def _keep(self, name: str, phrase: Phrase) -> None:
        if (old := self._phrases.pop(name, None)) is not None:
            self._bytes -= len(old.pcm)
        self._phrases[name] = phrase
        self._bytes += len(phrase.pcm)
        while self._bytes > self._max_bytes:
            _, gone = self._phrases.popitem(last=False)
            self._bytes -= len(gone.pcm)

    def _rendered(self, name: str, task: asyncio.Task[Phrase]) -> None:
        del self._rendering[name]
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.info("phrase not rendered", error=str(exc))


def _name(key: str, rate: int, language: str, text: str) -> str:
    """A name that is safe as a file name and tells nothing of the text."""
    parts = "\0".join((key, str(rate), language, text))
    return hashlib.sha256(parts.encode()).hexdigest()
