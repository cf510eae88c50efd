"""Several voices as one: who fails or stalls before its first sound is replaced at once, and who breaks off in the
middle of a sentence is gone on for from the word where it stopped, by the next or, where there is none, by itself on a
new connection. What was heard is not said again (`going_on.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.fallback import close_all, closing, hurried, note_switch
from sovereign_pbx.speech.standing import Choice, Choices
from sovereign_pbx.speech.tts import Audio, Voice, VoiceSession
from sovereign_pbx.speech.tts.going_on import UNTIMED_MS, moved, rest_of, spread

# First audio of hosted voices has its median at 0.16 to 0.31 s (engine notes §0.11): three times the slowest is late.
TTS_SWITCH_S: Final = 1.0
# A voice that has fallen silent in mid-sentence is waited for so long after what it delivered has been played.
DRY_S: Final = 1.0
_PASSING: Final = ("dropped", "stalled")


class _Sentence:
    """One segment on its way: what has been delivered of it, over all voices."""

    def __init__(self, text: str, second: int) -> None:
        self.text = text
        self.left = text  # for the voice at work
        self.words: tuple[Word, ...] = ()
        self.ms = 0.0
        self.dry_at: float | None = None  # when what was delivered has been played, if it was played at once
        self._second = second  # bytes
        self._began_ms = 0.0  # of the voice at work
        self._timed = False  # it tells when its words are
        self._gone_on = False

    def take(self, audio: Audio, now: float) -> Audio:
        """A chunk of the voice at work, with its words on the segment's own clock."""
        words = moved(audio.words, self._began_ms / 1000) if self._gone_on else audio.words
        again = len(self.left) if self._gone_on and self.ms == self._began_ms else 0
        ms = 1000 * len(audio.pcm) / self._second
        self.ms += ms
        self.dry_at = max(self.dry_at or now, now) + ms / 1000
        if self._gone_on and not self._timed and not words and self.ms - self._began_ms > UNTIMED_MS:
            words = spread(self.left, estimate_ms(self.left), self._began_ms / 1000)
        self._timed = self._timed or bool(words)
        self.words += words
        return Audio(audio.pcm, words, again)

    @property
    def pace(self) -> tuple[float, float] | None:
        """(milliseconds taken, milliseconds estimated), when one voice has said it all."""
        return None if self._gone_on or not self.ms else (self.ms, estimate_ms(self.text))

    def break_off(self, pace: float) -> Audio | None:
        """The voice at work is lost. Words for what it said without telling when; `left` is what it has not said."""
        said, self.left = rest_of(self.text, self.words, self.ms, pace)
        self._gone_on = True
        self._began_ms = self.ms
        self._timed = False
        if self.words or not said:
            return None
        self.words = spread(said, self.ms)
        return Audio(b"", self.words)


@dataclass(slots=True, eq=False)
class _Open:
    """A session of one voice. One that was left is closed when the last sentence on it has ended, however it ends."""

    session: VoiceSession
    users: int = 0
    left: bool = False


class FallbackVoiceSession:
    """One call's voices. A caller hears one voice as long as it works: after a change it stays changed."""

    def __init__(self, voices: Choices[Voice], rate: int, language: str, switch_s: float, dry_s: float) -> None:
        self._voices = voices
        self._rate = rate
        self._language = language
        self._switch_s = switch_s
        self._dry_s = dry_s
        self._sessions: dict[str, _Open] = {}
        self._current: Choice[Voice] | None = None
        self._opening = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._taken_ms = self._estimated_ms = 0.0
        self._clock = asyncio.get_running_loop().time

    @property
    def spoke_with(self) -> str:
        """The key of the voice that spoke last."""
        return (self._current or self._voices.all[0]).implementation.key

    @property
    def served_by(self) -> str:
        """The name of the voice that spoke last."""
        return (self._current or self._voices.all[0]).implementation.name

    async def open(self) -> None:
        """Open the first voice that can be opened; ProviderError of the last one when none can."""
        order = self._voices.in_order()
        for place, choice in enumerate(order):
            try:
                await self._session(choice)
                self._current = choice
                return
            except ProviderError as exc:
                self._voices.failed(choice, exc)
                if place + 1 == len(order):
                    raise
                note_switch("tts", choice.implementation, exc, order[place + 1].implementation)

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        """One segment, from the first voice that begins it in time; gone on with where it breaks off."""
        order = self._order()
        turns = order if len(order) > 1 else order * 2  # who stands alone gets one more chance
        sentence = _Sentence(text, self._rate * SAMPLE_BYTES)
        for place, choice in enumerate(turns):
            spare = turns[place + 1] if place + 1 < len(turns) else None
            try:
                async with closing(self._say(choice, sentence, spare)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                self._learn(sentence)
                return
            except ProviderError as fault:
                self._voices.failed(choice, fault)
                if spare is None or not _replaceable(choice, spare, fault, begun=bool(sentence.ms)):
                    raise
                note_switch("tts", choice.implementation, fault, spare.implementation)
            if sentence.ms:
                if (known := sentence.break_off(self._pace)) is not None:
                    yield known
                if not sentence.left:
                    return  # only its end was not told

    async def close(self) -> None:
        for known in self._sessions.values():
            await known.session.close()
        await asyncio.gather(*self._leaving)

    async def _say(
        self, choice: Choice[Voice], sentence: _Sentence, spare: Choice[Voice] | None
    ) -> AsyncIterator[Audio]:
        """What is left of the sentence, in one voice. Raises ProviderError."""
        name = choice.implementation.name
        first_s = self._switch_s if spare is not None and spare is not choice else None
        begun = False
        try:
            async with asyncio.timeout(first_s):
                known = await self._session(choice)
        except TimeoutError as exc:
            raise ProviderError(name, "tts", "stalled", "no connection within the time for a change") from exc
        async with (
            self._in_use(choice, known),
            closing(hurried(known.session.speak(sentence.left), first_s, name, "tts")) as chunks,
        ):
            while (chunk := await self._next(chunks, sentence, name, bounded=spare is not None and begun)) is not None:
                if not begun:
                    begun = True
                    self._current = choice
                    self._voices.worked(choice)
                yield sentence.take(chunk, self._clock())

    async def _next(
        self, chunks: AsyncIterator[Audio], sentence: _Sentence, name: str, *, bounded: bool
    ) -> Audio | None:
        """The next chunk, None at the end. Who can be replaced is not waited for in silence."""
        dry_at = sentence.dry_at
        try:
            async with asyncio.timeout_at(dry_at + self._dry_s if bounded and dry_at is not None else None):
                return await anext(chunks, None)
        except TimeoutError as exc:
            raise ProviderError(name, "tts", "stalled", f"silent for {self._dry_s:g} s in mid-sentence") from exc

    def _learn(self, sentence: _Sentence) -> None:
        """How fast this call's voice speaks."""
        if (pace := sentence.pace) is not None:
            self._taken_ms += pace[0]
            self._estimated_ms += pace[1]

    @property
    def _pace(self) -> float:
        return self._taken_ms / self._estimated_ms if self._estimated_ms else 1.0

    @asynccontextmanager
    async def _in_use(self, choice: Choice[Voice], known: _Open) -> AsyncIterator[None]:
        """One that fails is left: the next sentence gets a connection of its own. Nobody waits for a farewell."""
        known.users += 1
        try:
            yield
        except ProviderError:
            known.left = True
            if self._sessions.get(choice.key) is known:
                del self._sessions[choice.key]
            raise
        finally:
            known.users -= 1
            if known.left and not known.users:
                task = asyncio.create_task(known.session.close(), name="voice-left")
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    def _order(self) -> list[Choice[Voice]]:
        order = self._voices.in_order()
        return sorted(order, key=lambda choice: choice is not self._current)

    async def _session(self, choice: Choice[Voice]) -> _Open:
        async with self._opening:
            if choice.key not in self._sessions:
                session = await choice.implementation.open(rate=self._rate, language=self._language)
                self._sessions[choice.key] = _Open(session)
            return self._sessions[choice.key]


def _replaceable(choice: Choice[Voice], spare: Choice[Voice], fault: ProviderError, *, begun: bool) -> bool:
    """The same voice gets another chance only in the middle of a sentence: before that it has had its own."""
    return spare is not choice or (begun and fault.kind in _PASSING)


class FallbackVoice:
    """Voices in order of preference."""

    def __init__(self, voices: Choices[Voice], *, switch_s: float = TTS_SWITCH_S, dry_s: float = DRY_S) -> None:
        self._voices = voices
        self._switch_s = switch_s
        self._dry_s = dry_s
        first = voices.all[0].implementation
        self.name = first.name
        self.key = first.key
        self.keys = tuple(choice.implementation.key for choice in voices.all)

    async def open(self, *, rate: int, language: str) -> VoiceSession:
        """A session whose first voice is connected, or ProviderError when none could be."""
        session = FallbackVoiceSession(self._voices, rate, language, self._switch_s, self._dry_s)
        await session.open()
        return session

    async def aclose(self) -> None:
        await close_all(self._voices)
