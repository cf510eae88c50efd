"""One segment at ElevenLabs: its answers, its audio on the way, its words."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.tts import Audio
from sovereign_pbx.speech.tts.alignment import WordAssembler

CHUNKS_LIMIT: Final = 4096  # a segment is a sentence or two; more than this is no speech


class Alignment(msgspec.Struct):
    chars: list[str] = []
    charStartTimesMs: list[float] = []
    charDurationsMs: list[float] = []


class Answer(msgspec.Struct):
    audio: bytes | None = None  # base64 on the wire
    contextId: str | None = None
    isFinal: bool | None = None
    alignment: Alignment | None = None
    error: Any = None
    message: Any = None


decode_answer = msgspec.json.Decoder(Answer).decode


@dataclass(slots=True)
class Context:
    """One segment at the vendor."""

    id: str
    second: int  # bytes
    chunks: asyncio.Queue[Audio | ProviderError | None] = field(default_factory=lambda: asyncio.Queue(CHUNKS_LIMIT))
    words: WordAssembler = field(default_factory=WordAssembler)
    received: int = 0
    odd: bytes = b""
    wanted: bool = True  # False: cancelled, late audio is dropped
    final: bool = False

    def take(self, answer: Answer) -> None:
        """Queue an answer's audio with the words that lie in it."""
        if not self.wanted:
            return
        words: tuple[Word, ...] = ()
        if answer.alignment is not None:
            words = self._aligned(answer.alignment)
        pcm = self.odd + (answer.audio or b"")
        self.odd = pcm[len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES :]
        pcm = pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES]
        self.received += len(pcm)
        if pcm or words:
            self.chunks.put_nowait(Audio(pcm, words))

    def finish(self) -> None:
        """`isFinal` has come."""
        self.final = True
        if self.wanted:
            if words := self.words.rest():
                self.chunks.put_nowait(Audio(b"", words))
            self.chunks.put_nowait(None)

    def fail(self, fault: ProviderError) -> None:
        """The segment is lost; what is queued is heard first. A full queue is emptied: the error must arrive."""
        self.final = True
        if self.chunks.full():
            self.chunks.get_nowait()
        self.chunks.put_nowait(fault)

    def _aligned(self, alignment: Alignment) -> tuple[Word, ...]:
        offset = self.received / self.second  # the vendor's times are per chunk
        starts = [offset + ms / 1000 for ms in alignment.charStartTimesMs]
        ends = [start + ms / 1000 for start, ms in zip(starts, alignment.charDurationsMs, strict=False)]
        return self.words.feed(alignment.chars, starts, ends)
