"""A call's mouth: segments are synthesised, in order, into the playout queue."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import served_by
from sovereign_pbx.core.audio import pcm_ms
from sovereign_pbx.core.commands import Speak
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, PlayoutFlushed, SpeechAudio, SpeechDone, SpeechFailed
from sovereign_pbx.core.values import Word
from sovereign_pbx.media.playout import Playout
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.tts import VoiceSession

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

# The next segment is synthesised while this one still is, so that a vendor's first-audio delay is not heard
# between sentences; more would spend characters that an interruption throws away.
_AHEAD = 2


class Speaking:
    """Performs `Speak`, `Flush`, `DropReply`. `phrase` finds a sentence that was rendered before the call."""

    def __init__(
        self,
        *,
        voice: VoiceSession,
        playout: Playout,
        rate: int,
        phrase: Callable[[str], Phrase | None],
        feed: Callable[[Event], None],
        spawn: Spawn,
        tracer: Tracer,
    ) -> None:
        self._voice: asyncio.Future[VoiceSession] = asyncio.get_running_loop().create_future()
        self._voice.set_result(voice)
        self._playout = playout
        self._rate = rate
        self._phrase = phrase
        self._feed = feed
        self._spawn = spawn
        self._tracer = tracer
        self._turns = asyncio.Semaphore(_AHEAD)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._reply_of: dict[int, int | None] = {}
        self.characters: Counter[str] = Counter()  # sent to be spoken, by who spoke

    def speak(self, command: Speak) -> None:
        """Queue the segment; a cached phrase is complete at once."""
        self._playout.open(command.segment)
        self._reply_of[command.segment] = command.reply
        phrase = self._phrase(command.text)
        if phrase is not None:
            self._playout.add(command.segment, phrase.pcm)
            self._playout.finish(command.segment)
            self._feed(SpeechAudio(command.segment, pcm_ms(len(phrase.pcm), self._rate), phrase.words))
            self._feed(SpeechDone(command.segment))
            return
        task = self._spawn(self._synthesise(command.segment, command.text, self._voice), f"speak-{command.segment}")
        self._tasks[command.segment] = task
        task.add_done_callback(lambda _: self._tasks.pop(command.segment, None))

    def switch(
        self, coming: "asyncio.Future[VoiceSession]"
    ) -> tuple["asyncio.Future[VoiceSession]", list["asyncio.Task[None]"]]:
        """What is spoken from here on waits for `coming`. Gives back the voice until now, and who still speaks with it.
        `coming` must get a result in time: the old voice, where there is no new one."""
        old, self._voice = self._voice, coming
        return old, list(self._tasks.values())

    def flush(self) -> None:
        """Silence now; every open segment is answered with what was played of it."""
        cut = self._playout.flush()
        for task in list(self._tasks.values()):
            task.cancel()
        self._reply_of.clear()
        for segment, played_ms in cut:
            self._feed(PlayoutFlushed(segment, played_ms))

    def drop(self, reply: int) -> None:
        """Forget what was to be spoken of a reply that is no longer wanted."""
        for segment in [s for s, r in self._reply_of.items() if r == reply]:
            del self._reply_of[segment]
            task = self._tasks.get(segment)
            if task is not None:
                task.cancel()
            self._playout.drop(segment)

    def finished(self, segment: int) -> None:
        """The segment has been played to its end."""
        self._reply_of.pop(segment, None)

    async def _synthesise(self, segment: int, text: str, voice_of: "asyncio.Future[VoiceSession]") -> None:
        words: tuple[Word, ...] = ()
        ms = 0.0
        async with self._turns:
            voice = await asyncio.shield(voice_of)
            try:
                with self._tracer.step("tts.segment", characters=len(text)):
                    async with closing(voice.speak(text)) as stream:
                        async for audio in stream:
                            if not ms:  # by now it is known who speaks, and vendors count whole sentences
                                self.characters[served_by(voice)] += len(text)
                            self._playout.add(segment, audio.pcm)
                            ms += pcm_ms(len(audio.pcm), self._rate)
                            words += audio.words
                            self._feed(SpeechAudio(segment, ms, words))
            except ProviderError as exc:
                self._playout.finish(segment)
                self._feed(SpeechFailed(segment, exc))
                return
        self._playout.finish(segment)
        self._feed(SpeechDone(segment))
