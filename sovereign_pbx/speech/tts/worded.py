"""A voice that is given the spoken form of each text, and tells its word times for the written one.

It stands round every adapter, inside the fallback: the next voice of a chain may want another form. What is said stays
the written text for everybody else: history, transcript, phrase cache, billing.

Adapters say what they can, as attributes; without them a voice is taken to know neither:
* `knows_tags`: audio tags such as [laughs] are delivered, not read aloud (contract §4.4);
* `reads_numbers`: it puts numbers, money, dates, times and units of the language into words by itself.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.core.speakable import TAG, speakable, tagged
from sovereign_pbx.core.spoken import RULES, Pronunciation, Spoken, compile_rules, lexicon_of, say, uncompiled
from sovereign_pbx.core.spoken.alignment import Alignment, estimated_words
from sovereign_pbx.core.spoken.guess import guess
from sovereign_pbx.core.spoken.lexicon import Lexicon
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.tts import Audio, Voice, VoiceSession

MODES: Final = ("auto", "full", "addresses", "off")
_SEVERAL: Final = ("multi", "auto", "")  # languages, of which each sentence may be in another
_USUAL: Final = "en"
_LONG: Final = 400  # characters; a longer text is put into words by a thread (up to 5 us a character)


class Wording:
    """How texts are put for one voice."""

    def __init__(self, language: str, mode: str, *, full: bool, tags: bool, pronunciation: Pronunciation) -> None:
        self._language = language
        self._last = _USUAL
        self._mode = mode
        self._full = full
        self._tags = tags
        self._pronunciation = pronunciation

    def of(self, text: str) -> tuple[str, Spoken, str]:
        """(what the voice is given, its form without tags, the written text without tags)."""
        written = speakable(text)
        lexicon = self._lexicon(written)
        form = say(written, lexicon, full=self._full, pronunciation=self._pronunciation)
        if not self._tags or not TAG.search(text):
            return form.text, form, written
        sent = say(tagged(text), lexicon, full=self._full, pronunciation=self._pronunciation)
        return sent.text, form, written

    def _lexicon(self, text: str) -> Lexicon | None:
        if self._mode == "off":
            return None
        if self._language not in _SEVERAL:
            return lexicon_of(self._language)
        self._last = guess(text) or self._last
        return lexicon_of(self._last)


class WordedSession:
    """One call's voice."""

    def __init__(self, session: VoiceSession, wording: Wording, rate: int) -> None:
        self._session = session
        self._wording = wording
        self._second = rate * SAMPLE_BYTES

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        """One segment, as the adapter speaks its spoken form."""
        if len(text) > _LONG:
            sent, form, written = await asyncio.to_thread(self._wording.of, text)
        else:
            sent, form, written = self._wording.of(text)
        if not any(char.isalnum() for char in form.text):
            return  # vendors refuse, and engines make a breath or a click of lone punctuation
        same = form.text == written
        alignment = Alignment(written, form)
        timed, size = False, 0
        async with closing(self._session.speak(sent)) as chunks:
            async for chunk in chunks:
                timed = timed or bool(chunk.words)
                size += len(chunk.pcm)
                yield chunk if same or not chunk.words else Audio(chunk.pcm, alignment.feed(chunk.words), chunk.again)
        if not timed and not same and size:
            yield Audio(b"", estimated_words(written, form, 1000 * size / self._second))

    async def close(self) -> None:
        await self._session.close()


class Worded:
    """A configured voice with its wording."""

    def __init__(
        self, voice: Voice, *, language: str = "", mode: str = "auto", pronunciation: Pronunciation | None = None
    ) -> None:
        """`language`: the voice's own, where it has one; otherwise that of the call."""
        self.voice = voice
        self.name = voice.name
        self._language = language
        self._mode = mode
        self._full = mode == "full" or (mode == "auto" and not getattr(voice, "reads_numbers", False))
        self._tags = bool(getattr(voice, "knows_tags", False))
        self._pronunciation = pronunciation or Pronunciation()
        self.key = f"{voice.key}/{self._mark()}"

    @classmethod
    def from_config(cls, voice: Voice, block: Mapping[str, Any], listed: Iterable[Mapping[str, Any]]) -> "Worded":
        """Round the voice of a `tts_config`, with `speech_config.pronunciation`. Raises ConfigError."""
        settings = Settings(block, "tts_config")
        mode = settings.text("text_normalization", "auto")
        if mode not in MODES:
            raise ConfigError(
                f"tts_config: text_normalization must be one of {', '.join(MODES)}", key="text_normalization"
            )
        return cls(voice, language=settings.text("language"), mode=mode, pronunciation=Pronunciation.of(listed))

    def _mark(self) -> str:
        """What of the wording changes the sound, in short: for the phrase cache."""
        said = json.dumps([RULES, self._mode, self._full, self._pronunciation.entries])
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    async def open(self, *, rate: int, language: str) -> WordedSession:
        """Connect as the adapter does."""
        spoken = self._language or language
        if lexica := uncompiled(() if spoken in _SEVERAL else (spoken,), full=self._full):
            await asyncio.to_thread(compile_rules, lexica, full=self._full)
        session = await self.voice.open(rate=rate, language=language)
        wording = Wording(spoken, self._mode, full=self._full, tags=self._tags, pronunciation=self._pronunciation)
        return WordedSession(session, wording, rate)

    async def aclose(self) -> None:
        await self.voice.aclose()
