"""A call's ear: caller's frames to the recogniser, its words to the conversation."""

from collections.abc import Callable

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, Final, HearingFailed, Interim, NothingHeard, UtteranceEnded
from sovereign_pbx.speech.stt import Heard, SttEvent, SttStream


class Hearing:
    """Performs `FinalizeHearing`, takes frames and the VAD's marks."""

    def __init__(self, *, stream: SttStream, feed: Callable[[Event], None]) -> None:
        self._stream = stream
        self._feed = feed

    def frame(self, frame: bytes) -> None:
        """20 ms of the caller."""
        self._stream.send(frame)

    def speech(self, speaking: bool) -> None:
        """The VAD's word on the audio sent so far."""
        self._stream.speech(speaking)

    def finalize(self) -> None:
        """The conversation wants the final text now."""
        self._stream.finalize()

    async def listen(self) -> None:
        """Pump until the stream ends; a lost recogniser is an event like any other."""
        try:
            async for event in self._stream:
                self._feed(_event(event))
        except ProviderError as exc:
            self._feed(HearingFailed(exc))


def _event(event: SttEvent) -> Event:
    if not isinstance(event, Heard):
        return UtteranceEnded()
    text = event.text.strip()
    if event.final:
        return Final(text) if text else NothingHeard()
    return Interim(text)
