"""The caller's audio that a recogniser has not made final yet: queue, replay buffer and time base in one.

Three positions on the stream's time line: `start <= sent <= end`. What lies before `start` is final (or was
dropped), what lies between `sent` and `end` still has to go out. After a reconnect everything from `start` goes
out again, and the new connection's own time 0 is `origin_s` of the stream.
"""

from sovereign_pbx.core.audio import SAMPLE_BYTES

KEEP_S = 10.0


class AudioRing:
    """Un-finalised PCM s16le at `rate` Hz, at most `keep_s` seconds: the oldest is dropped and counted."""

    def __init__(self, rate: int, keep_s: float = KEEP_S) -> None:
        self._second = rate * SAMPLE_BYTES
        self._limit = int(keep_s * rate) * SAMPLE_BYTES
        self._pcm = bytearray()
        self._start = 0  # bytes since the stream began
        self._sent = 0
        self._origin = 0
        self.dropped_bytes = 0

    @property
    def start_s(self) -> float:
        """Stream time of the oldest audio kept."""
        return self._start / self._second

    @property
    def end_s(self) -> float:
        """Stream time of the newest audio."""
        return (self._start + len(self._pcm)) / self._second

    @property
    def origin_s(self) -> float:
        """Stream time at which the present connection's clock reads 0."""
        return self._origin / self._second

    @property
    def unsent(self) -> int:
        """Bytes waiting to be sent."""
        return self._start + len(self._pcm) - self._sent

    def append(self, pcm: bytes) -> None:
        """Add what was just said; over the limit the oldest goes."""
        self._pcm += pcm
        over = len(self._pcm) - self._limit
        if over > 0:
            self.dropped_bytes += over
            self._forget(over)

    def take(self, limit: int) -> bytes:
        """The next unsent audio, at most `limit` bytes, now counted as sent."""
        first = self._sent - self._start
        chunk = bytes(memoryview(self._pcm)[first : first + limit])
        self._sent += len(chunk)
        return chunk

    def rewind(self) -> None:
        """A new connection: everything kept is to be sent again, its clock starts at the oldest of it."""
        self._sent = self._start
        self._origin = self._start

    def settle(self, until_s: float) -> None:
        """Everything before stream time `until_s` is final; forget it. Unsent audio is never forgotten."""
        until = min(int(until_s * self._second) // SAMPLE_BYTES * SAMPLE_BYTES, self._sent)
        if until > self._start:
            self._forget(until - self._start)

    def _forget(self, count: int) -> None:
        del self._pcm[:count]
        self._start += count
        if self._start > self._sent:
            # Unsent audio was dropped: the connection never sees it, so its clock lags by that much from here on.
            self._origin += self._start - self._sent
            self._sent = self._start
