"""A recogniser's stream under test, with everything it has told so far."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.stt import Heard, SpeechToText, SttEvent, SttStream, UtteranceOver


class Hearing:
    """Listens to a stream."""

    def __init__(self, stream: SttStream) -> None:
        self.stream = stream
        self.events: list[SttEvent] = []
        self.error: ProviderError | None = None

    async def listen(self) -> None:
        try:
            async for event in self.stream:
                self.events.append(event)
        except ProviderError as exc:
            self.error = exc

    @property
    def finals(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Heard) and event.final]

    @property
    def interims(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Heard) and not event.final]

    @property
    def overs(self) -> int:
        return sum(isinstance(event, UtteranceOver) for event in self.events)


@asynccontextmanager
async def hearing(
    engine: SpeechToText, *, rate: int = 8000, language: str = "en", keyterms: Sequence[str] = ()
) -> AsyncIterator[Hearing]:
    """An open stream, listened to until the block ends."""
    stream = await engine.open(rate=rate, language=language, keyterms=keyterms)
    heard = Hearing(stream)
    task = asyncio.create_task(heard.listen())
    try:
        yield heard
    finally:
        await stream.close()
        await task
        await engine.aclose()
