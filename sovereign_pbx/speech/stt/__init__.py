"""Speech to text, the interface. One stream a call, open from before the answer to the end."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sovereign_pbx.core.values import Word


@dataclass(frozen=True, slots=True)
class Heard:
    """Words. `final` ones never change; an interim replaces the one before it. May be empty when final:
    the recogniser looked and found no words."""

    text: str
    final: bool
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class UtteranceOver:
    """The recogniser's own end of utterance: because it heard a silence (Deepgram `speech_final`/UtteranceEnd), or
    `judged` by what was said (Flux EndOfTurn)."""

    judged: bool = False


SttEvent = Heard | UtteranceOver


class SttStream(Protocol):
    """One call's recogniser."""

    def send(self, frame: bytes) -> None:
        """Take 20 ms of PCM at the rate given to `open`. Never blocks; bounded (10 s), oldest dropped and counted."""

    def speech(self, speaking: bool) -> None:
        """The VAD's word on the audio sent so far: the caller began, or fell silent. Streaming vendors may ignore it;
        per-utterance recognisers work on it."""

    def finalize(self) -> None:
        """Ask for the final text of what was sent, now."""

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        """Everything heard, until `close`. Raises ProviderError when the stream is lost for good (the stream
        reconnects and replays un-finalised audio by itself first, within its deadline)."""

    async def close(self) -> None: ...


class SpeechToText(Protocol):
    """A configured recogniser that opens streams."""

    name: str

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> SttStream:
        """Connect within the deadline (2 s) or raise ProviderError."""

    async def aclose(self) -> None:
        """Let go of pools and models."""
