"""Stereo recordings: the caller on the left, the assistant on the right, on one absolute time axis.

The loop only appends to memory; one thread, shared by all recordings, writes about once a second, so that whatever
kills the daemon leaves files that play. A disk that fails stops the recording, never the call.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.recording_file import CHANNELS, RecordingFile, new_file, seconds_in
from sovereign_pbx.media.recording_writer import RecordingInfo, RecordingWriter

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_S: Final = 10.0
MOST_BUFFERED_S: Final = 30.0  # a disk that does not answer for so long is broken; 1 MB a call at 8 kHz
# Frames of the caller arrive a little before or after their tick. Up to 60 ms of that is jitter, and is left to even
# out; more is silence on the line, and the axis moves on.
_JITTER_FRAMES: Final = 3
_MOST_AHEAD_FRAMES: Final = 5  # a backlog that came at once; what is beyond would shift the rest of the recording
# A tick comes at most a few frames late, and those that the clock gives up are told to `skip`. More than that means
# that nobody wrote at all: the caller was away with somebody else, and has come back on another line.
_AWAY_FRAMES: Final = 25

_shared = RecordingWriter()


class Recorder:
    """One call's recording, PCM at `rate` Hz. The file is created 0600 with the first flush; it is encrypted where
    there are `recipients` (age's public keys)."""

    def __init__(
        self,
        path: Path,
        rate: int,
        *,
        recipients: Sequence[bytes] = (),
        writer: RecordingWriter | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.rate = rate
        self.error = ""  # why the recording stopped, once it did
        self.paused = False
        self._recipients = tuple(recipients)
        self._now = now
        self._frame = frame_bytes(rate)
        self._limit = int(MOST_BUFFERED_S / FRAME_S) * self._frame
        self._left = bytearray()
        self._right = bytearray()
        self._before: deque[tuple[bytes, bytes, int]] = deque()  # left, right, and the bytes of silence after them
        self._lock = threading.Lock()  # held for a swap of buffers only, so the loop never waits for the disk
        self._began: float | None = None  # of the axis
        self._frames = 0  # on it
        self._paused_frames = 0
        self._hushed = 0  # frames for which the caller is not let in yet
        self._file: RecordingFile | None = None
        self._closed = False
        self._log = log.bind(**structlog.contextvars.get_contextvars())  # the thread knows no call
        self._writer = writer or _shared
        self._writer.register(self)

    # --- on the loop

    def write(self, caller: bytes | None, assistant: bytes) -> None:
        """One tick: what arrived from the caller (None: nothing yet) and the frame that went out."""
        if self.error or self._closed:
            return
        self._make_up()
        self._put(caller, assistant)

    def _put(self, caller: bytes | None, assistant: bytes) -> None:
        self._frames += 1
        if self.paused:
            self._paused_frames += 1
            assistant = bytes(len(assistant))
        if caller is not None and (self.paused or self._hushed):
            caller = bytes(len(caller))
        self._hushed = max(0, self._hushed - 1)
        with self._lock:
            self._right += assistant
            if caller is not None:
                self._left += caller
            behind = len(self._right) - len(self._left)
            if behind > _JITTER_FRAMES * self._frame:
                self._left += bytes(behind)
            elif -behind > _MOST_AHEAD_FRAMES * self._frame:
                del self._left[behind + _MOST_AHEAD_FRAMES * self._frame :]
            full = len(self._right) > self._limit
        if full:
            self._fail("the disk has not taken anything for 30 s")

    def skip(self, ticks: int) -> None:
        """The clock gave up `ticks` ticks: nothing was heard or sent, but time went by."""
        if self.error or self._closed:
            return
        for _ in range(min(ticks, int(MOST_BUFFERED_S / FRAME_S / 2))):  # the next `write` makes up for the rest
            self._put(bytes(self._frame), bytes(self._frame))

    def pause(self) -> None:
        """Silence on both sides from the next tick on; the axis goes on."""
        self.paused = True

    def resume(self) -> None:
        """The end of `pause`. What the caller sent before may still be on its way, and stays out."""
        if self.paused:
            self._hushed = _MOST_AHEAD_FRAMES
        self.paused = False

    @property
    def position_s(self) -> float:
        """Where on its axis it is."""
        return round(self._frames * FRAME_S, 2)

    @property
    def paused_s(self) -> float:
        """For how long it was paused, in all."""
        return self._paused_frames * FRAME_S

    def _make_up(self) -> None:
        """For the time in which nobody wrote: as much silence, however long."""
        now = self._now()
        if self._began is None:
            self._began = now
        missing = int((now - self._began) / FRAME_S + 0.5) - self._frames
        if missing <= _AWAY_FRAMES:
            return
        self._frames += missing
        self._paused_frames += missing if self.paused else 0
        with self._lock:
            _level(self._left, len(self._right))
            self._before.append((bytes(self._left), bytes(self._right), missing * self._frame * CHANNELS))
            self._left.clear()
            self._right.clear()

    async def close(self) -> RecordingInfo:
        """Save what is left and seal the file. Never raises for the disk's sake; `error` tells."""
        self._closed = True
        loop = asyncio.get_running_loop()
        sealed: asyncio.Future[RecordingInfo] = loop.create_future()

        def deliver(info: RecordingInfo) -> None:
            if not sealed.done():
                sealed.set_result(info)

        def sealed_on_thread(info: RecordingInfo) -> None:
            loop.call_soon_threadsafe(deliver, info)

        self._writer.seal(self, sealed_on_thread)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                return await sealed
        except TimeoutError:
            self._fail("the disk did not finish in time")
            return self._info(0, "")

    # --- on the writer's thread

    def flush(self, *, final: bool = False) -> None:
        """Move what is buffered to the disk."""
        if self.error:
            return
        try:
            if self._file is None:
                self._file = new_file(self.path, self.rate, self._recipients)
            while self._before:
                left, right, silence = self._before[0]
                self._file.append(_interleaved(left, right))
                self._file.silence(silence)
                self._before.popleft()
            data = self._taken(final)
            if data:
                self._file.append(data)
        except OSError as exc:
            self._fail(exc.strerror or str(exc))

    def _taken(self, final: bool) -> bytes:
        """What both sides have by now; nothing while an earlier part still waits."""
        with self._lock:
            if self._before:
                return b""
            if final:
                _level(self._left, len(self._right))
            both = min(len(self._left), len(self._right))
            left, right = bytes(self._left[:both]), bytes(self._right[:both])
            del self._left[:both], self._right[:both]
        return _interleaved(left, right)

    def finish(self) -> RecordingInfo:
        """The last flush; what the file holds now."""
        self.flush(final=True)
        digest, size = "", 0
        try:
            if self._file is not None:
                size, digest = self._file.finish()
        except OSError as exc:
            self._fail(exc.strerror or str(exc))
        return self._info(size, digest)

    def _info(self, size: int, digest: str) -> RecordingInfo:
        return RecordingInfo(self.path, self._duration_s, size, digest, self.error, paused_s=round(self.paused_s, 2))

    @property
    def _duration_s(self) -> float:
        return seconds_in(self._file.saved, self.rate) if self._file is not None else 0.0

    def _fail(self, why: str) -> None:
        if not self.error:
            self.error = why
            self._log.error("recording_stopped", path=str(self.path), reason=why, saved_s=round(self._duration_s, 1))
        with self._lock:
            self._left.clear()
            self._right.clear()
            self._before.clear()


def _level(side: bytearray, length: int) -> None:
    """Make one side as long as the other."""
    side += bytes(max(0, length - len(side)))
    del side[length:]


def _interleaved(left: bytes, right: bytes) -> bytes:
    return np.stack((samples_of(left), samples_of(right)), axis=1).tobytes()
