"""The one thread that puts recordings on the disk, so that no disk is ever waited for on the loop."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)

FLUSH_S: Final = 1.0  # what a daemon that is killed loses of each recording


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """A closed recording. `error` says why it ended before the call did; its file then holds what was saved."""

    path: Path
    duration_s: float
    bytes: int
    sha256: str
    error: str = ""
    paused_s: float = 0.0  # of `duration_s`, silent because somebody asked for it


class Savable(Protocol):
    """What the thread works on. Neither method raises for a fault of the disk."""

    def flush(self) -> None: ...

    def finish(self) -> RecordingInfo: ...


Deliver = Callable[[RecordingInfo], None]


class RecordingWriter:
    """Flushes every registered recording each `flush_s` and seals those that are done. Runs while there is any.

    The thread is a daemon: a process that ends without sealing leaves files that play up to their last flush.
    """

    def __init__(self, flush_s: float = FLUSH_S) -> None:
        self._flush_s = flush_s
        self._changed = threading.Condition()
        self._open: list[Savable] = []
        self._sealing: deque[tuple[Savable, Deliver]] = deque()  # bounded by the number of calls
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """The thread is alive."""
        with self._changed:
            return self._thread is not None

    def register(self, recording: Savable) -> None:
        """Flush `recording` regularly from now on."""
        with self._changed:
            self._open.append(recording)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
                self._thread.start()

    def seal(self, recording: Savable, deliver: Deliver) -> None:
        """Finish `recording` soon and call `deliver`, on the thread, with what became of it."""
        with self._changed:
            self._sealing.append((recording, deliver))
            self._changed.notify()

    def _run(self) -> None:
        flushed = time.monotonic()
        while (work := self._next(flushed)) is not None:
            sealing, due = work
            for recording, deliver in sealing:
                self._seal(recording, deliver)
            for recording in due:
                _safely(recording.flush)
            if due:
                flushed = time.monotonic()

    def _next(self, flushed: float) -> tuple[list[tuple[Savable, Deliver]], list[Savable]] | None:
        """Wait until something is to be done; None when no recording is left, which ends the thread."""
        with self._changed:
            if not self._open:
                self._thread = None
                return None
            if not self._sealing:
                self._changed.wait(max(0.0, flushed + self._flush_s - time.monotonic()))
            sealing = list(self._sealing)
            self._sealing.clear()
            for recording, _ in sealing:
                if recording in self._open:
                    self._open.remove(recording)
            due = list(self._open) if time.monotonic() >= flushed + self._flush_s else []
            return sealing, due

    def _seal(self, recording: Savable, deliver: Deliver) -> None:
        def finish() -> None:
            deliver(recording.finish())

        _safely(finish)


def _safely(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # one recording's fault (or a loop that has closed meanwhile) must not stop the others
        log.exception("recording_thread_error")
