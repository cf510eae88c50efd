"""Text to speech, the interface. One session a call; a `speak` per segment."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sovereign_pbx.core.values import Word


@dataclass(frozen=True, slots=True)
class Audio:
    """PCM s16le mono at the rate given to `open`, any length, with the words that lie in it where the vendor
    tells (times in seconds from the start of the segment). `again`: characters that were sent to be spoken a second
    time, where another voice goes on with a sentence."""

    pcm: bytes
    words: tuple[Word, ...] = ()
    again: int = 0


class VoiceSession(Protocol):
    """One call's voice."""

    def speak(self, text: str) -> AsyncIterator[Audio]:
        """Synthesise one segment (a clause or a sentence). Closing the iterator cancels it at the vendor.

        Raises ProviderError: first audio within its deadline (2.5 s), then `stalled` between chunks.
        """

    async def close(self) -> None: ...


class Voice(Protocol):
    """A configured voice that opens sessions. `key` names it for the phrase cache: provider, voice, model, settings."""

    name: str
    key: str

    async def open(self, *, rate: int, language: str) -> VoiceSession:
        """Connect within the deadline (2 s) or raise ProviderError."""

    async def aclose(self) -> None: ...
