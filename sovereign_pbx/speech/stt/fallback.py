"""Several recognisers as one. The audio that the lost one had not made final is replayed to the next, in the order in
which it and the VAD's words came.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.fallback import close_all, note_switch
from sovereign_pbx.speech.standing import Choice, Choices
from sovereign_pbx.speech.stt import Heard, SpeechToText, SttEvent, SttStream
from sovereign_pbx.speech.stt.live import shifted
from sovereign_pbx.speech.stt.ring import AudioRing

Mark = Literal["speaking", "silent", "finalize"]
MARKS_LIMIT: Final = 256  # in ten seconds; older ones than that say nothing about the audio kept


class Replay:
    """What a new recogniser has to be told: the un-finalised audio and the marks that lie in it."""

    def __init__(self, rate: int) -> None:
        self._frame = frame_bytes(rate)
        self._ring = AudioRing(rate)
        self._marks: deque[tuple[float, Mark]] = deque(maxlen=MARKS_LIMIT)
        self._speaking_before = False  # at the ring's start

    @property
    def start_s(self) -> float:
        """Stream time of the first sample that would be replayed."""
        return self._ring.start_s

    def audio(self, frame: bytes) -> None:
        """A frame that was sent."""
        self._ring.append(frame)
        self._ring.take(len(frame))

    def mark(self, mark: Mark) -> None:
        """A word of the VAD, or the wish for a final, at this point of the audio."""
        self._marks.append((self._ring.end_s, mark))

    def settled(self, heard: Heard) -> None:
        """A final came: what it covers is not replayed. Without word times it covers everything."""
        until_s = heard.words[-1].end if heard.words else self._ring.end_s
        self._ring.settle(int(until_s / FRAME_S) * FRAME_S)
        while self._marks and self._marks[0][0] < self._ring.start_s:
            _, mark = self._marks.popleft()
            if mark != "finalize":
                self._speaking_before = mark == "speaking"

    def play(self, stream: SttStream) -> None:
        """Tell a new recogniser everything."""
        self._ring.rewind()
        position_s = self._ring.start_s
        if self._speaking_before:
            stream.speech(True)
        for at_s, mark in self._marks:
            while position_s < at_s and (frame := self._ring.take(self._frame)):
                stream.send(frame)
                position_s += FRAME_S
            apply(stream, mark)
        while frame := self._ring.take(self._frame):
            stream.send(frame)


def apply(stream: SttStream, mark: Mark) -> None:
    """Tell a recogniser one mark."""
    if mark == "finalize":
        stream.finalize()
    else:
        stream.speech(mark == "speaking")


class FallbackSttStream:
    """One call's recognisers, one at a time."""

    def __init__(self, engines: "_Engines", choice: Choice[SpeechToText], stream: SttStream, rate: int) -> None:
        self._engines = engines
        self._choice = choice
        self._stream: SttStream | None = stream
        # With a single engine there is nobody to replay anything to.
        self._replay = Replay(rate) if engines.spares else None
        self._offset_s = 0.0
        self._closed = False

    @property
    def served_by(self) -> str:
        """The name of the recogniser that listens, or did last."""
        return self._choice.implementation.name

    def send(self, frame: bytes) -> None:
        """Take 20 ms of audio. Never blocks."""
        if self._replay is not None:
            self._replay.audio(frame)
        if self._stream is not None:
            self._stream.send(frame)

    def speech(self, speaking: bool) -> None:
        self._mark("speaking" if speaking else "silent")

    def finalize(self) -> None:
        self._mark("finalize")

    async def __aiter__(self) -> AsyncIterator[SttEvent]:
        """Events of whichever recogniser works; ProviderError when the last one is lost."""
        lost: set[str] = set()
        while self._stream is not None:
            try:
                async for event in self._stream:
                    if lost or isinstance(event, Heard):
                        self._engines.choices.worked(self._choice)
                        lost.clear()
                    event = shifted(event, self._offset_s)
                    if self._replay is not None and isinstance(event, Heard) and event.final:
                        self._replay.settled(event)
                    yield event
                return
            except ProviderError as exc:
                self._engines.choices.failed(self._choice, exc)
                lost.add(self._choice.key)
                await self._replace(exc, lost)

    async def close(self) -> None:
        self._closed = True
        if self._stream is not None:
            await self._stream.close()

    def _mark(self, mark: Mark) -> None:
        if self._replay is not None:
            self._replay.mark(mark)
        if self._stream is not None:
            apply(self._stream, mark)

    async def _replace(self, fault: ProviderError, lost: set[str]) -> None:
        """Go on with the next recogniser that opens, and tell it what the lost one kept for itself."""
        broken, self._stream = self._stream, None
        if broken is not None:
            await broken.close()
        choice, stream = await self._engines.next_stream(self._choice, fault, lost)
        if self._closed:
            await stream.close()
            return
        self._choice = choice
        if self._replay is not None:
            self._offset_s = self._replay.start_s
            self._replay.play(stream)
        self._stream = stream


class _Engines:
    """Opens recognisers for one call."""

    def __init__(self, choices: Choices[SpeechToText], rate: int, language: str, keyterms: Sequence[str]) -> None:
        self.choices = choices
        self.spares = len(choices.all) > 1
        self._rate = rate
        self._language = language
        self._keyterms = keyterms

    async def next_stream(
        self, left: Choice[SpeechToText] | None, fault: ProviderError | None, lost: set[str]
    ) -> tuple[Choice[SpeechToText], SttStream]:
        """The first recogniser that opens, those `lost` left out; else the last failure."""
        for choice in self.choices.in_order():
            if choice.key in lost:
                continue
            if left is not None and fault is not None:
                note_switch("stt", left.implementation, fault, choice.implementation)
            try:
                return choice, await choice.implementation.open(
                    rate=self._rate, language=self._language, keyterms=self._keyterms
                )
            except ProviderError as exc:
                self.choices.failed(choice, exc)
                lost.add(choice.key)
                left, fault = choice, exc
        if fault is None:
            raise ValueError("no recogniser to open")
        raise fault


class FallbackStt:
    """Recognisers in order of preference."""

    def __init__(self, engines: Choices[SpeechToText]) -> None:
        self._choices = engines
        self.name = engines.all[0].implementation.name

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> SttStream:
        """A stream on the first recogniser that opens, or the ProviderError of the last one."""
        engines = _Engines(self._choices, rate, language, keyterms)
        choice, stream = await engines.next_stream(None, None, set())
        return FallbackSttStream(engines, choice, stream, rate)

    async def aclose(self) -> None:
        await close_all(self._choices)
