"""What a link has received and the clock has not taken, for links whose way in loses nothing (TCP, or the machine's own
loopback): cut into frames of 20 ms, and never more of the past than the assistant may listen to."""

import time
from collections import deque
from typing import Final

from sovereign_pbx.core.audio import FRAME_S, SAMPLE_BYTES, frame_bytes

MAX_QUEUED: Final = 10
MAX_AGE_S: Final = MAX_QUEUED * FRAME_S

# A queue that was never less than three frames deep for so many takes holds no jitter but delay that would stay.
BACKLOG_TAKES: Final = 25


class Intake:
    """A queue of ten frames at `rate` Hz. The oldest go first: when it is full, when they are older than 200 ms of wall
    clock, and when more than two have stood in it for half a second."""

    __slots__ = ("_frame_bytes", "_least", "_queue", "_rest", "_takes", "dropped", "frames", "last_heard")

    def __init__(self, rate: int) -> None:
        self.frames = self.dropped = 0
        self.last_heard = time.monotonic()
        self._frame_bytes = frame_bytes(rate)
        self._queue: deque[tuple[float, bytes]] = deque()
        self._rest = b""
        self._least = MAX_QUEUED
        self._takes = 0

    def add(self, payload: bytes) -> None:
        """PCM s16le in pieces of any size. The odd last byte of one is thrown away: each piece begins on a sample."""
        self.last_heard = time.monotonic()
        size = self._frame_bytes
        if len(payload) == size and not self._rest:
            self._enqueue(payload)
            return
        pcm = self._rest + payload[: len(payload) // SAMPLE_BYTES * SAMPLE_BYTES]
        for at in range(0, len(pcm) - size + 1, size):
            self._enqueue(pcm[at : at + size])
        self._rest = pcm[len(pcm) // size * size :]

    def take(self) -> bytes | None:
        """The oldest frame that is worth hearing."""
        self._forget_the_past()
        return self._queue.popleft()[1] if self._queue else None

    def _enqueue(self, frame: bytes) -> None:
        self.frames += 1
        if len(self._queue) == MAX_QUEUED:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append((self.last_heard, frame))

    def _forget_the_past(self) -> None:
        queue = self._queue
        if queue and queue[0][0] < (horizon := time.monotonic() - MAX_AGE_S):
            while queue and queue[0][0] < horizon:
                queue.popleft()
                self.dropped += 1
        self._least = min(self._least, len(queue))
        self._takes += 1
        if self._takes >= BACKLOG_TAKES:
            self._trim_backlog()

    def _trim_backlog(self) -> None:
        """After a stall the clock takes as fast as frames come, so what piled up would delay every word."""
        for _ in range(self._least - 2):
            self._queue.popleft()
            self.dropped += 1
        self._least, self._takes = MAX_QUEUED, 0
