"""What a scripted caller says: pieces of PCM in a queue, cut into 20 ms, each with the times when it left."""

import asyncio
from collections import deque

from sovereign_pbx.core.audio import FRAME_S


class Utterance:
    """Something a caller says. `started_at` and `ended_at` are set when its first and last sample have left."""

    def __init__(self, pcm: bytes) -> None:
        self.pcm = memoryview(pcm)
        self.position = 0
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.finished = asyncio.Event()

    def end(self, at: float) -> None:
        self.ended_at = at
        self.finished.set()


class Speech:
    """The queue of one caller, in frames of `frame_bytes`."""

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._queue: deque[Utterance] = deque()

    def say(self, pcm: bytes) -> Utterance:
        """Queue `pcm` behind what is being said."""
        utterance = Utterance(pcm)
        self._queue.append(utterance)
        return utterance

    def next_frame(self, now: float) -> bytes | None:
        """The next 20 ms, which leave at `now`; None for silence."""
        if not self._queue:
            return None
        utterance = self._queue[0]
        if utterance.started_at is None:
            utterance.started_at = now
        end = utterance.position + self._frame_bytes
        frame = bytes(utterance.pcm[utterance.position : end])
        utterance.position = end
        if end >= len(utterance.pcm):
            self._queue.popleft().end(now + FRAME_S * len(frame) / self._frame_bytes)
        return frame.ljust(self._frame_bytes, b"\0")

    def hush(self, now: float) -> None:
        """Forget what has not been said."""
        while self._queue:
            self._queue.popleft().end(now)
