"""One call's media: the link it came on, what is to be played, what was heard, and who is told."""

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Final, Protocol, TypeVarTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from sovereign_pbx.core.audio import FRAME_MS, FRAME_S, PHONE_RATE
from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded
from sovereign_pbx.media.background import Background
from sovereign_pbx.media.comfort import ComfortNoise
from sovereign_pbx.media.echo import EchoGuard
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.media.playout import Playout
from sovereign_pbx.media.recorder import Recorder
from sovereign_pbx.media.resample import resample
from sovereign_pbx.media.upsample import MODEL_RATE, upsample
from sovereign_pbx.media.vad_state import VadEvent, VadState

log = structlog.get_logger(__name__)

Arguments = TypeVarTuple("Arguments")

RECENT_S: Final = 8.0  # what the turn model looks at
# The oldest frame and one more: after a late tick the backlog melts by a frame a tick instead of staying for the
# rest of the call, where it would delay every answer and every barge-in.
MOST_FRAMES_IN: Final = 2


class LineListener(Protocol):
    """Told what happens on a line, on the loop and within the tick. It must not block; what it raises ends the line."""

    def heard(self, frame: bytes) -> None:
        """20 ms of the caller, PCM s16le at the link's rate."""

    def speech_started(self, at: float) -> None: ...

    def speech_stopped(self, at: float) -> None: ...

    def playout_started(self, segment: int) -> None: ...

    def playout_finished(self, segment: int) -> None: ...

    def line_ended(self, how: LinkEnded) -> None:
        """The last thing this listener is told."""

    def digit(self, digit: str) -> None: ...


class Line:
    """One call's media. The clock it is added to drives it; everything happens on the loop.

    The line takes the link over (`link.listener`) and tells `listener`, always within the context (contextvars) in
    which the line was made. It closes a link that still works only in `close`, or because its listener raised.
    `playout` is of the line that this one takes the place of, with what waits in it.
    """

    def __init__(
        self,
        link: MediaLink,
        listener: LineListener,
        *,
        recorder: Recorder | None = None,
        playout: Playout | None = None,
    ) -> None:
        self.link = link
        self.listener = listener
        self.recorder = recorder
        self.playout = playout or Playout(link.rate)
        self.playout.flushed = link.flush
        self.vad: VadState | None = None  # lent by the clock's detector while the line is on the clock
        self.over: LinkEnded | None = None  # how it ended; nothing is told after that
        self.background: Background | None = None  # a room, in the place of comfort noise
        self._noise = ComfortNoise(link.rate)
        self._guard_echo = EchoGuard(link.rate)
        self._heard: deque[bytes] = deque(maxlen=int(RECENT_S / FRAME_S))
        self._held = False
        self._context = copy_context()
        self._inside = False
        self._received: bytes | None = None  # what this tick took in
        self._input: bytes | None = None  # the same without our own echo: what everybody but the recorder hears
        self._ticks = self._frames_in = self._starved = 0
        link.listener = self

    # --- from the link

    def digit(self, digit: str) -> None:
        """The link carried a DTMF digit."""
        self._guard(self.listener.digit, digit)

    def ended(self, how: LinkEnded) -> None:
        """The link is gone; the listener learns it once, whoever noticed first."""
        if self.over is None:
            self.over = how
            self._within(self._tell_end, how)

    # --- from the call

    @property
    def held(self) -> bool:
        """The far end is on hold: what comes in is music or nothing, so the VAD does not listen."""
        return self._held

    @held.setter
    def held(self, held: bool) -> None:
        if held == self._held:
            return
        self._held = held
        if self.vad is None:
            return
        stopped = self.vad.stop()
        self.vad.restart()
        if stopped is not None:
            self.tell_speech(stopped)

    def close(self) -> None:
        """End the link in order; the listener hears `LinkClosed`."""
        self.link.close()
        self.ended(LinkClosed("closed by us"))

    def recent(self, seconds: float) -> Callable[[], NDArray[np.float32]]:
        """The caller's last `seconds` (at most 8, less when the call is younger).

        The function returned gives them at 16 kHz, float32 in [-1, 1]; call it on whichever thread has time for it.
        """
        frames = min(len(self._heard), max(0, round(seconds / FRAME_S)))
        return partial(_for_models, list(self._heard)[len(self._heard) - frames :], self.link.rate)

    # --- from the clock, which never sees what a listener or a link raises

    def take(self) -> bytes | None:
        """What has arrived since the last tick (one frame, two when the link lags) without our echo, told and kept."""
        self._received = self._input = None
        self._guard(self._take)
        return self._input

    def put(self) -> None:
        """Send this tick's frame: speech, the room behind it, or comfort noise. Tells what began or ended with it."""
        self._guard(self._put)

    def tell_speech(self, event: VadEvent) -> None:
        """Pass a verdict of the VAD on, unless the speech is our own."""
        self._guard(self._tell_started if event.kind == "started" else self.listener.speech_stopped, event.at)

    def _tell_started(self, at: float) -> None:
        if not self._guard_echo.refuses():
            self.listener.speech_started(at)
        elif self.vad is not None:
            self.vad.deny()

    def _take(self) -> None:
        frame = self.link.take()
        if frame is None:
            self._starved += 1
            return
        frames = [frame]
        while len(frames) < MOST_FRAMES_IN and (more := self.link.take()) is not None:
            frames.append(more)
        self._received = b"".join(frames)
        cleaned = b""
        for number, each in enumerate(frames):
            if self.over is None:
                cleaned += self._hear(self._guard_echo.clean(each, len(frames) - 1 - number))
        self._input = cleaned

    def _hear(self, frame: bytes) -> bytes:
        self._frames_in += 1
        self._heard.append(frame)
        self.listener.heard(frame)
        return frame

    def _put(self) -> None:
        self._ticks += 1
        frame = self.playout.next_frame()
        if self.background is not None:
            frame = self.background.mix(frame)
        self._guard_echo.sent(frame)  # comfort noise comes back as noise
        if frame is None:
            frame = self._noise.next_frame()
        self.link.put(frame)
        if self.recorder is not None:
            self.recorder.write(self._received, frame)
        for name, segment in self.playout.events():
            if name == "started":
                self.listener.playout_started(segment)
            else:
                self.listener.playout_finished(segment)

    # --- guarding

    def _guard(self, call: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        """Run `call` on the call's behalf unless the line is over; if it raises, this line ends and no other."""
        if self.over is None:
            try:
                self._within(call, *arguments)
            except Exception:
                self._within(self._fail)

    def _within(self, call: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        """Run `call` in the line's context. A context can't be entered twice, and a link may call back from `put`."""
        if self._inside:
            call(*arguments)
            return
        self._inside = True
        try:
            self._context.run(call, *arguments)
        finally:
            self._inside = False

    def _tell_end(self, how: LinkEnded) -> None:
        try:
            self.listener.line_ended(how)
        except Exception:
            log.exception("line_listener_failed")

    def _fail(self) -> None:
        """An exception is being handled: log it, end the line, let the link go."""
        log.exception("line_failed", kind=self.link.kind)
        self.ended(LinkBroken("an error of our own ended the line"))
        try:
            self.link.close()
        except Exception:
            log.exception("link_close_failed", kind=self.link.kind)

    @property
    def seconds(self) -> float:
        """For how long it has been on the clock."""
        return self._ticks * FRAME_S

    @property
    def heard_s(self) -> float:
        """How much has come in."""
        return self._frames_in * FRAME_MS / 1000

    def statistics(self) -> dict[str, float]:
        """ticks, ticks_without_input, heard_s, and the numbers of link, playout and echo guard (`link_…` and so on)."""
        return {
            "ticks": self._ticks,
            "ticks_without_input": self._starved,
            "heard_s": self.heard_s,
            **{f"link_{name}": value for name, value in self.link.statistics().items()},
            **{f"playout_{name}": value for name, value in self.playout.statistics().items()},
            **{f"echo_{name}": value for name, value in self._guard_echo.statistics().items()},
        }


def _for_models(frames: list[bytes], rate: int) -> NDArray[np.float32]:
    pcm = b"".join(frames)
    if rate == PHONE_RATE:
        return upsample(samples_of(pcm))
    wide = samples_of(resample(pcm, rate, MODEL_RATE)).astype(np.float32)
    wide /= 32768
    return wide
