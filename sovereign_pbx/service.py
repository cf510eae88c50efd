"""What systemd and a hung daemon need: readiness, the watchdog's ping, and an end to a loop that no longer turns.

FastAGI has no time-out of its own: a dialplan that asks a hung daemon waits for ever. So a hung daemon must die: its
sockets break, and the dialplan goes on with its fallback.
"""

import asyncio
import faulthandler
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

import structlog

log = structlog.get_logger(__name__)

EXIT_HUNG = 70  # EX_SOFTWARE of sysexits.h, to be told apart from "a finding" (1) and "could not run" (2)


def notify(*states: str) -> bool:
    """Tell systemd, as sd_notify(3) does: `notify("READY=1", "STATUS=taking calls")`. False if nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(states).encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError as exc:
        log.warning("systemd_not_told", states=list(states), error=str(exc))
        return False
    return True


def watchdog_interval() -> float | None:
    """How often systemd wants a ping, in seconds: half of WatchdogSec (sd_watchdog_enabled(3)); None if never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        limit_us = int(os.environ["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return None
    return limit_us / 2_000_000 if limit_us > 0 else None


class HangGuard:
    """Ends the process when the event loop has not turned for `limit_s`, and pings systemd's watchdog while it does.

    A timer of the loop beats; a thread counts checks without a beat. It counts its own checks and not the time, so that
    a process that was stopped or a machine that was suspended gets its time again. Where the thread itself can't run
    because native code holds the interpreter, faulthandler's own thread, which needs no interpreter, ends the process
    after twice the limit (with exit status 1). Both write every thread's stack to `stderr` first.

    `last_words` is called before the end, to bring what is queued (logs) out; it has no more than half a second.
    """

    def __init__(
        self,
        limit_s: float = 5.0,
        *,
        beat_s: float = 0.25,
        last_words: Callable[[], None] = lambda: None,
        stderr: TextIO | None = None,
    ) -> None:
        self._limit_s = limit_s
        self._beat_s = beat_s
        self._last_words = last_words
        self._stderr = stderr or sys.stderr
        self._beats = 0
        self._due = 0.0
        self._lags: deque[float] = deque(maxlen=max(1, round(30 / beat_s)))
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hang-guard", daemon=True)

    def start(self) -> None:
        """From now on the running loop must turn."""
        loop = asyncio.get_running_loop()
        faulthandler.enable(self._stderr)  # also for the SIGABRT of systemd's watchdog, and for native crashes
        self._due = loop.time()
        self._beat(loop)
        self._arm()  # at once: a hang in the first quarter of a second would find nothing armed
        self._thread.start()

    def close(self) -> None:
        """Stop watching; the thread ends within a beat."""
        if self._timer is not None:
            self._timer.cancel()
        self._ended.set()
        faulthandler.cancel_dump_traceback_later()

    @property
    def worst_lag_ms(self) -> float:
        """The longest that the loop kept a timer waiting in the last half minute."""
        return max(self._lags, default=0.0) * 1000

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._lags.append(max(0.0, now - self._due))
        self._beats += 1
        self._due = now + self._beat_s
        self._timer = loop.call_at(self._due, self._beat, loop)

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(2 * self._limit_s, exit=True, file=self._stderr)

    # --- the thread

    def _watch(self) -> None:
        interval = watchdog_interval()
        seen, idle_s, silent_s = self._beats, 0.0, 0.0
        while not self._ended.wait(self._beat_s):
            self._arm()
            if self._beats == seen:
                idle_s += self._beat_s
                if idle_s >= self._limit_s:
                    self._end(idle_s)
                continue
            seen, idle_s = self._beats, 0.0
            silent_s += self._beat_s
            if interval is not None and silent_s >= min(interval, 10.0) - self._beat_s:
                notify("WATCHDOG=1")
                silent_s = 0.0

    def _end(self, idle_s: float) -> None:
        log.critical("event_loop_hung", seconds=round(idle_s, 1), exit_status=EXIT_HUNG)
        last_words = threading.Thread(target=self._last_words, daemon=True)
        last_words.start()
        last_words.join(0.5)
        faulthandler.dump_traceback(file=self._stderr, all_threads=True)
        os._exit(EXIT_HUNG)
