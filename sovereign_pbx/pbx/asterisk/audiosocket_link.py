"""One call's audio over AudioSocket, as a `MediaLink`."""

import asyncio
import time
from collections.abc import Callable

import structlog

from sovereign_pbx.core.audio import PHONE_RATE, SAMPLE_BYTES, frame_bytes
from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.media.intake import Intake
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality
from sovereign_pbx.media.resample import Resampler
from sovereign_pbx.wire import audiosocket as wire
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)


class AudioSocketLink:
    """Frames of one call; made by the server once the call's UUID has come.

    A wideband link takes 8 kHz, too: where Asterisk's channel can't be had its application brings the call, which
    speaks nothing else, and understands what it is sent at any rate.

    The sum of what waits is bounded on both sides: ten frames in (the oldest go first), `write_limit_bytes` out
    (then the peer is dropped). The kernel's own buffers come on top of that.
    """

    kind: LinkKind = "audiosocket"

    def __init__(
        self,
        transport: asyncio.Transport,
        rate: int,
        *,
        write_limit_bytes: int,
        on_ended: Callable[["AudioSocketLink", LinkEnded], None],
    ) -> None:
        self.rate = rate
        self.listener: LinkListener | None = None
        self.admit_digit: Callable[[str], bool] = lambda digit: True
        self.last_heard = time.monotonic()
        self._transport = transport
        self._parser = wire.Parser()
        self._kind = wire.KIND_OF_RATE[rate]
        self._frame_bytes = frame_bytes(rate)
        self._header = wire.audio_header(rate, self._frame_bytes)
        self._write_limit_bytes = write_limit_bytes
        self._on_ended = on_ended
        self._resampler: Resampler | None = None
        self._intake = Intake(rate)
        self._ended: LinkEnded | None = None
        self._out = self._unknown = 0

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    def statistics(self) -> dict[str, int]:
        """Adds frames_unknown: frames of a kind that this version does not know, which were ignored."""
        return {
            "frames_in": self._intake.frames,
            "frames_out": self._out,
            "frames_dropped": self._intake.dropped,
            "frames_unknown": self._unknown,
        }

    # --- for the clock

    def take(self) -> bytes | None:
        return self._intake.take()

    def put(self, frame: bytes) -> None:
        if self._ended is not None:
            return
        # Two frames in one turn of the loop are no fault (uvloop writes at its end); several are a peer asleep.
        if self._transport.get_write_buffer_size() > self._write_limit_bytes:
            self.drop(LinkFull("the PBX stopped reading the call's audio"))
            return
        header = self._header if len(frame) == self._frame_bytes else wire.audio_header(self.rate, len(frame))
        self._transport.write(header + frame)
        self._out += 1

    def flush(self) -> None:
        """Asterisk keeps nothing back: what it was sent has left for the caller."""

    def quality(self) -> LinkQuality | None:
        return None

    def close(self) -> None:
        """Ask Asterisk to leave, and wait for it to do so: a socket that we closed with its audio unread would send a
        reset, which Asterisk takes for an error and hangs the caller up."""
        if self._ended is None:
            self._transport.write(wire.HANGUP_FRAME)
            self._half_close()
            self._end(LinkClosed("closed by the daemon"))

    def drop(self, how: LinkEnded) -> None:
        """End at once, with a reset; nothing more is read or written."""
        self._end(how)
        self._transport.abort()

    # --- for the connection

    def received(self, data: bytes) -> None:
        """Bytes from the socket. What comes after the end is read and forgotten."""
        if self._ended is not None:
            return
        self.last_heard = time.monotonic()
        try:
            for kind, payload in self._parser.feed(data):
                self._frame(kind, payload)
        except Malformed as exc:
            broken = LinkBroken(f"AudioSocket: {exc}")
            broken.__cause__ = exc
            self.drop(broken)

    def lost(self, exc: Exception | None) -> None:
        """The connection is gone. Asterisk leaves our last frames unread when a caller hangs up, so its kernel may send
        a reset where a plain end was meant; only a time-out or the like is a break."""
        if exc is None or isinstance(exc, ConnectionError):
            self._end(LinkFinished("the PBX ended the call's audio"))
        else:
            broken = LinkBroken(f"the call's audio connection died: {exc}")
            broken.__cause__ = exc
            self._end(broken)

    def _frame(self, kind: int, payload: bytes) -> None:
        if self._ended is not None:
            return
        if kind == self._kind:
            self._intake.add(payload)
        elif kind == wire.DTMF:
            self._digit(wire.digit(payload))
        elif kind == wire.HANGUP:
            self._half_close()
            self._end(LinkFinished("the PBX sent a hang-up frame"))
        elif kind == wire.SLIN8:
            self._intake.add(self._resampled(payload))
        elif kind in wire.RATE_OF_KIND:
            raise Malformed(f"audio at {wire.RATE_OF_KIND[kind]} Hz on a link of {self.rate} Hz")
        elif kind in (wire.ID, wire.ERROR):
            raise Malformed("a second UUID" if kind == wire.ID else "the PBX sent an error frame")
        else:
            self._unknown += 1

    def _resampled(self, payload: bytes) -> bytes:
        self._resampler = self._resampler or Resampler(PHONE_RATE, self.rate)
        return self._resampler.process(payload[: len(payload) // SAMPLE_BYTES * SAMPLE_BYTES])

    def _digit(self, digit: str) -> None:
        if self.listener is not None and self.admit_digit(digit):
            self.listener.digit(digit)

    def _half_close(self) -> None:
        try:
            self._transport.write_eof()
        except OSError:
            pass  # reset by the peer a moment ago; the loop has yet to tell us

    def _end(self, how: LinkEnded) -> None:
        if self._ended is not None:
            return
        self._ended = how
        if self.listener is not None:
            self.listener.ended(how)
        self._on_ended(self, how)
