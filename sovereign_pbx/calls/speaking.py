"""A call's mouth: segments are synthesised, in order, into the playout queue."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import served_by
from sovereign_pbx.core.audio import pcm_ms
from sovereign_pbx.core.commands import Prepare, Speak
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, PlayoutFlushed, SpeechAudio, SpeechDone, SpeechFailed
from sovereign_pbx.core.values import Word
from sovereign_pbx.media.playout import Playout
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.tts import Audio, VoiceSession

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

# The next segment is synthesised while this one still is, so that a vendor's first-audio delay is not heard
# between sentences; more would spend characters that an interruption throws away.
_AHEAD = 2


@dataclass(slots=True, eq=False)
class _Utterance:
    """What is being synthesised. Without a `segment` it is prepared: its sound is kept until it is to be heard."""

    text: str
    segment: int | None = None
    sound: bytearray = field(default_factory=bytearray)  # what was kept
    ms: float = 0.0
    words: tuple[Word, ...] = ()
    voice: str = ""  # whose, once there is sound
    over: bool = False
    failed: bool = False
    task: "asyncio.Task[None] | None" = None


class Speaking:
    """Performs `Speak`, `Prepare`, `Flush`, `DropReply`. `phrase` finds what was rendered before the call."""

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
        self._prepared: dict[int, _Utterance] = {}  # by reply; never more than one
        self.characters: Counter[str] = Counter()  # sent to be spoken, by who spoke
        self.in_vain: Counter[str] = Counter()  # the same of what was prepared and never spoken

    def speak(self, command: Speak) -> None:
        """Queue the segment; a cached phrase is complete at once."""
        self._playout.open(command.segment, ahead=command.ahead)
        self._reply_of[command.segment] = command.reply
        phrase = self._phrase(command.text)
        if phrase is not None:
            self._playout.add(command.segment, phrase.pcm)
            self._playout.finish(command.segment)
            self._feed(SpeechAudio(command.segment, pcm_ms(len(phrase.pcm), self._rate), phrase.words))
            self._feed(SpeechDone(command.segment))
            return
        prepared = self._prepared.get(command.reply) if command.reply is not None else None
        if prepared is not None and prepared.text == command.text and not prepared.failed:
            self._take_over(prepared, command)
        else:
            self._begin(_Utterance(command.text, command.segment), f"speak-{command.segment}")

    def prepare(self, command: Prepare) -> None:
        """Synthesise now what may be spoken soon. Only one at a time: another one replaces it."""
        for reply in list(self._prepared):
            self._forget(reply)
        if self._phrase(command.text) is None:
            one = _Utterance(command.text)
            self._prepared[command.reply] = one
            self._begin(one, f"prepare-{command.reply}")

    def _begin(self, one: _Utterance, name: str) -> None:
        one.task = self._spawn(self._synthesise(one, self._voice), name)
        self._register(one)

    def _register(self, one: _Utterance) -> None:
        if one.segment is not None and one.task is not None and not one.task.done():
            segment = one.segment
            self._tasks[segment] = one.task
            one.task.add_done_callback(lambda _: self._tasks.pop(segment, None))

    def _take_over(self, one: _Utterance, command: Speak) -> None:
        """What was prepared is to be heard: what there is of it at once, the rest as it comes."""
        if command.reply is not None:
            del self._prepared[command.reply]
        one.segment = command.segment
        self._register(one)
        if one.ms:
            self.characters[one.voice] += len(one.text)
            self._playout.add(command.segment, bytes(one.sound))
            one.sound.clear()
            self._feed(SpeechAudio(command.segment, one.ms, one.words))
        if one.over:
            self._finish(command.segment)

    def _forget(self, reply: int) -> None:
        """What was prepared for it will not be spoken."""
        one = self._prepared.pop(reply, None)
        if one is None:
            return
        if one.task is not None:
            one.task.cancel()
        if one.ms:
            self.in_vain[one.voice] += len(one.text)
            self._tracer.emit("speculation.spoken", characters=len(one.text))

    def switch(
        self, coming: "asyncio.Future[VoiceSession]"
    ) -> tuple["asyncio.Future[VoiceSession]", list["asyncio.Task[None]"]]:
        """What is spoken from here on waits for `coming`. Gives back the voice until now, and who still speaks with it.
        `coming` must get a result in time: the old voice, where there is no new one."""
        old, self._voice = self._voice, coming
        preparing = [one.task for one in self._prepared.values() if one.task is not None and not one.task.done()]
        return old, [*self._tasks.values(), *preparing]

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
        self._forget(reply)
        for segment in [s for s, r in self._reply_of.items() if r == reply]:
            del self._reply_of[segment]
            task = self._tasks.get(segment)
            if task is not None:
                task.cancel()
            self._playout.drop(segment)

    def finished(self, segment: int) -> None:
        """The segment has been played to its end."""
        self._reply_of.pop(segment, None)

    async def _synthesise(self, one: _Utterance, voice_of: "asyncio.Future[VoiceSession]") -> None:
        async with self._turns:
            voice = await asyncio.shield(voice_of)
            try:
                with self._tracer.step("tts.segment", characters=len(one.text)):
                    async with closing(voice.speak(one.text)) as stream:
                        async for audio in stream:
                            self._heard(one, audio, voice)
            except ProviderError as exc:
                one.failed = True
                if one.segment is not None:
                    self._playout.finish(one.segment)
                    self._feed(SpeechFailed(one.segment, exc))
                return
        one.over = True
        if one.segment is not None:
            self._finish(one.segment)

    def _heard(self, one: _Utterance, audio: Audio, voice: VoiceSession) -> None:
        if not one.ms:  # by now it is known who speaks, and vendors count whole sentences
            one.voice = served_by(voice)
            if one.segment is not None:
                self.characters[one.voice] += len(one.text)
        if audio.again and one.segment is not None:
            self.characters[served_by(voice)] += audio.again
        one.ms += pcm_ms(len(audio.pcm), self._rate)
        one.words += audio.words
        if one.segment is None:
            one.sound += audio.pcm
        else:
            self._playout.add(one.segment, audio.pcm)
            self._feed(SpeechAudio(one.segment, one.ms, one.words))

    def _finish(self, segment: int) -> None:
        self._playout.finish(segment)
        self._feed(SpeechDone(segment))
