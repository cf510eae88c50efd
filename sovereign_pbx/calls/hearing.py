"""A call's ear: caller's frames to the recogniser, its words to the conversation."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from sovereign_pbx.calls.usage import served_by
from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, Final, HearingFailed, Interim, NothingHeard, UtteranceEnded
from sovereign_pbx.speech.stt import Heard, SttEvent, SttStream

Reopen = Callable[[], Awaitable[SttStream]]


class Hearing:
    """Performs `FinalizeHearing`, takes frames and the VAD's marks. A lost stream is replaced by a new one."""

    def __init__(self, *, stream: SttStream, reopen: Reopen, feed: Callable[[Event], None]) -> None:
        self._stream = stream
        self._reopen = reopen
        self._feed = feed
        self._frames: Counter[str] = Counter()
        self.awake = asyncio.Event()
        self.awake.set()

    @property
    def heard_s(self) -> dict[str, float]:
        """Seconds of audio by who recognised them; what is replayed to another recogniser counts once."""
        return {name: frames * FRAME_S for name, frames in self._frames.items()}

    def rest(self) -> None:
        """Nobody is there to be heard until `wake`: the stream may be closed."""
        self.awake.clear()

    async def wake(self) -> None:
        """Open another stream and go on; what is heard meanwhile is lost. Raises ProviderError."""
        self._stream = await self._reopen()
        self.awake.set()

    def frame(self, frame: bytes) -> None:
        """20 ms of the caller."""
        if not self.awake.is_set():
            return
        self._frames[served_by(self._stream)] += 1
        self._stream.send(frame)

    def speech(self, speaking: bool) -> None:
        """The VAD's word on the audio sent so far."""
        if self.awake.is_set():
            self._stream.speech(speaking)

    def finalize(self) -> None:
        """The conversation wants the final text now."""
        if self.awake.is_set():
            self._stream.finalize()

    def switch(self, stream: SttStream) -> SttStream:
        """From here on `stream` listens; the old one is given back to be closed, which `listen` takes for its end."""
        old, self._stream = self._stream, stream
        return old

    async def listen(self) -> None:
        """Pump until the call ends. A recogniser that is lost is an event, and is opened anew unless it was denied:
        the stream has tried for long by itself, so the conversation must know that words may have gone."""
        while True:
            stream = self._stream
            try:
                async for event in stream:
                    self._feed(_event(event))
                if stream is self._stream:
                    return
                continue
            except ProviderError as exc:
                if stream is not self._stream:
                    continue
                self._feed(HearingFailed(exc))
                if exc.kind == "denied":
                    return
            try:
                self._stream = await self._reopen()
            except ProviderError as exc:
                self._feed(HearingFailed(exc))
                return


def _event(event: SttEvent) -> Event:
    if not isinstance(event, Heard):
        return UtteranceEnded(event.judged)
    text = event.text.strip()
    if event.final:
        return Final(text) if text else NothingHeard()
    return Interim(text)
