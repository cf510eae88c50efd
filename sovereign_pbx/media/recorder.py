"""Stereo recordings: the caller on the left, the assistant on the right, on one absolute time axis.

The loop only appends to memory; one thread, shared by all recordings, writes about once a second and patches each
file's header afterwards, so that whatever kills the daemon leaves files that play. A disk that fails stops the
recording, never the call.
"""

import asyncio
import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from sovereign_pbx.core.audio import FRAME_S, SAMPLE_BYTES, frame_bytes
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.recording_writer import RecordingInfo, RecordingWriter
from sovereign_pbx.media.wav import HEADER_BYTES, MAX_DATA_BYTES, header

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_S: Final = 10.0
MOST_BUFFERED_S: Final = 30.0  # a disk that does not answer for so long is broken; 1 MB a call at 8 kHz
# Frames of the caller arrive a little before or after their tick. Up to 60 ms of that is jitter, and is left to even
# out; more is silence on the line, and the axis moves on.
_JITTER_FRAMES: Final = 3
_MOST_AHEAD_FRAMES: Final = 5  # a backlog that came at once; what is beyond would shift the rest of the recording

_shared = RecordingWriter()


class Recorder:
    """One call's recording, PCM at `rate` Hz. The file is created 0600 with the first flush."""

    def __init__(self, path: Path, rate: int, *, writer: RecordingWriter | None = None) -> None:
        self.path = path
        self.rate = rate
        self.error = ""  # why the recording stopped, once it did
        self._frame = frame_bytes(rate)
        self._limit = int(MOST_BUFFERED_S / FRAME_S) * self._frame
        self._left = bytearray()
        self._right = bytearray()
        self._lock = threading.Lock()  # held for a swap of buffers only, so the loop never waits for the disk
        self._file = -1
        self._saved = 0
        self._closed = False
        self._log = log.bind(**structlog.contextvars.get_contextvars())  # the thread knows no call
        self._writer = writer or _shared
        self._writer.register(self)

    # --- on the loop

    def write(self, caller: bytes | None, assistant: bytes) -> None:
        """One tick: what arrived from the caller (None: nothing yet) and the frame that went out."""
        if self.error or self._closed:
            return
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
        for _ in range(min(ticks, int(MOST_BUFFERED_S / FRAME_S))):
            self.write(bytes(self._frame), bytes(self._frame))

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
            return RecordingInfo(self.path, self._duration_s, self._saved + HEADER_BYTES, "", self.error)

    # --- on the writer's thread

    def flush(self, *, final: bool = False) -> None:
        """Move what is buffered to the disk, and make the header tell of it."""
        if self.error:
            return
        try:
            if self._file < 0:
                self._file = _create(self.path)
            data = self._interleaved(final)
            if data or final:
                self._append(data)
        except OSError as exc:
            self._fail(exc.strerror or str(exc))

    def _interleaved(self, final: bool) -> bytes:
        with self._lock:
            if final:
                self._left += bytes(max(0, len(self._right) - len(self._left)))
                del self._left[len(self._right) :]
            both = min(len(self._left), len(self._right))
            left, right = bytes(self._left[:both]), bytes(self._right[:both])
            del self._left[:both], self._right[:both]
        return np.stack((samples_of(left), samples_of(right)), axis=1).tobytes()

    def _append(self, data: bytes) -> None:
        room = MAX_DATA_BYTES - self._saved
        _write_all(self._file, data[:room], HEADER_BYTES + self._saved)
        self._saved += min(len(data), room)
        _write_all(self._file, header(self.rate, 2, self._saved), 0)

    def finish(self) -> RecordingInfo:
        """The last flush; what the file holds now."""
        self.flush(final=True)
        digest, size = "", 0
        try:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                size = self.path.stat().st_size
                with self.path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            self._fail(exc.strerror or str(exc))
        return RecordingInfo(self.path, self._duration_s, size, digest, self.error)

    @property
    def _duration_s(self) -> float:
        return self._saved / (2 * SAMPLE_BYTES * self.rate)

    def _fail(self, why: str) -> None:
        if not self.error:
            self.error = why
            self._log.error("recording_stopped", path=str(self.path), reason=why, saved_s=round(self._duration_s, 1))
        with self._lock:
            self._left.clear()
            self._right.clear()


def _create(path: Path) -> int:
    """A new file, or an old one emptied, that only its owner may read; directories are made, no link is followed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(file, 0o600)
    return file


def _write_all(file: int, data: bytes, at: int) -> None:
    """`pwrite` may take part of it only, on a disk that is filling up."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
