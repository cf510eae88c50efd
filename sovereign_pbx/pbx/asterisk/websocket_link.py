"""One call's audio over chan_websocket, as a `MediaLink`.

Asterisk keeps what it is sent in a queue of its own and plays a frame of it at each tick of its timer. A tick that its
thread is late for is lost, and the frame stays queued for the rest of the call (its issue 2115, 22.10): every such tick
would make the caller hear everything 20 ms later. So it is asked for the length of its queue once a second, and where
that stands above two frames, frames of ours are left out, quiet ones as long as that will do.
"""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFull
from sovereign_pbx.media.intake import Intake
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality
from sovereign_pbx.wire import chan_websocket as wire
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

ASK_FRAMES: Final = 50
QUEUED: Final = 2  # frames that the two clocks' jitter keeps in Asterisk's queue
FAR_BEHIND: Final = 8  # frames: 160 ms more of delay are worse than a word with 20 ms missing
QUIET: Final = 330  # of 32768: -40 dBFS, a pause between words


class Channel(Protocol):
    """What a link needs of its connection."""

    @property
    def buffered(self) -> int: ...

    def send_binary(self, data: bytes) -> None: ...

    def send_text(self, text: str) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class WebSocketLink:
    """Frames of one call; made by the carrier once Asterisk has said what it brings.

    What waits is bounded on both sides: ten frames in (the oldest go first), `write_limit_bytes` out (then the peer is
    dropped). An Asterisk that leaves `stalled_s` questions for its queue unanswered, one a second, is dead.
    """

    kind: LinkKind = "websocket"

    def __init__(
        self,
        channel: Channel,
        start: wire.MediaStart,
        *,
        is_json: bool,
        write_limit_bytes: int,
        stalled_s: float,
        on_ended: Callable[["WebSocketLink", LinkEnded], None],
    ) -> None:
        self.rate = start.rate
        self.listener: LinkListener | None = None
        self.admit_digit: Callable[[str], bool] = lambda digit: True
        self.start = start
        self.queued = 0  # frames in Asterisk's queue when it was last asked
        self._channel = channel
        self._intake = Intake(start.rate)
        self._is_json = is_json
        self._write_limit_bytes = write_limit_bytes
        self._most_unanswered = max(2, round(stalled_s))
        self._on_ended = on_ended
        self._ended: LinkEnded | None = None
        self._stopped = False  # Asterisk wants no more
        self._queued_before = 0
        self._surplus = 0
        self._puts = self._unanswered = 0
        self._out = self._withheld = self._left_out = self._flushes = self._errors = self._unknown = 0

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    def statistics(self) -> dict[str, int]:
        """Adds frames_left_out: not sent because Asterisk was behind; frames_withheld: because it wanted none;
        frames_queued: in its queue when it was last asked; flushes; errors: messages of Asterisk's that say so;
        events_unknown: messages that this version does not know, which were ignored."""
        return {
            "frames_in": self._intake.frames,
            "frames_out": self._out,
            "frames_dropped": self._intake.dropped,
            "frames_left_out": self._left_out,
            "frames_withheld": self._withheld,
            "frames_queued": self.queued,
            "flushes": self._flushes,
            "errors": self._errors,
            "events_unknown": self._unknown,
        }

    # --- for the clock

    def take(self) -> bytes | None:
        return self._intake.take()

    def put(self, frame: bytes) -> None:
        if self._ended is not None:
            return
        if self._channel.buffered > self._write_limit_bytes:
            self.drop(LinkFull("the PBX stopped reading the call's audio"))
            return
        self._puts += 1
        if self._puts % ASK_FRAMES == 0 and not self._ask():
            return
        if self._stopped:
            self._withheld += 1
        elif self._surplus and (self._surplus >= FAR_BEHIND or _is_quiet(frame)):
            self._surplus -= 1
            self._left_out += 1
        else:
            self._channel.send_binary(frame)
            self._out += 1

    def flush(self) -> None:
        """With a queue kept short it changes little: the last of the voice is heard 14 ms after the cut instead of 16.
        Where ten frames had come to stand in it, 16 instead of 380; that may have happened since it was last asked."""
        if self._ended is None:
            self._say("FLUSH_MEDIA")
            self._flushes += 1
            self.queued = self._queued_before = self._surplus = 0

    def quality(self) -> LinkQuality | None:
        return None

    def close(self) -> None:
        """Asterisk answers the close frame and ends the leg; the caller goes on in the dialplan."""
        if self._ended is None:
            self._end(LinkClosed("closed by the daemon"))
            self._channel.close()

    def drop(self, how: LinkEnded) -> None:
        """End at once, with a reset; nothing more is read or written."""
        self._end(how)
        self._channel.abort()

    # --- for the connection

    def binary(self, data: bytes) -> None:
        """Audio of any length, in whole samples (Asterisk sends the frames of the caller's channel as they come)."""
        if self._ended is None:
            self._intake.add(data)

    def text(self, text: str) -> None:
        if self._ended is not None:
            return
        try:
            self._event(wire.parse(text))
        except Malformed as exc:
            broken = LinkBroken(f"chan_websocket: {exc}")
            broken.__cause__ = exc
            self.drop(broken)

    def lost(self, how: LinkEnded) -> None:
        """The connection has ended."""
        self._end(how)

    # --- private

    def _event(self, event: wire.Event) -> None:
        if event.name == "STATUS":
            self._status(event.number("queue_length"))
        elif event.name == "DTMF_END":
            self._digit(wire.digit(event))
        elif event.name in ("MEDIA_XOFF", "MEDIA_XON"):
            self._stopped = event.name == "MEDIA_XOFF"
            log.warning("websocket_flow", event_name=event.name, queued=self.queued)
        elif event.name == "MEDIA_START":
            raise Malformed("a second MEDIA_START")
        elif event.name == "ERROR":
            self._errors += 1
            if self._errors == 1:
                log.warning("websocket_error", why=event.values.get("error_text", "")[:200])
        else:
            self._unknown += 1

    def _status(self, queued: int) -> None:
        """What stood in the queue at both of two questions is no jitter but delay that would stay."""
        self._unanswered = 0
        self._queued_before, self.queued = self.queued, queued
        standing = min(self._queued_before, self.queued)
        self._surplus = standing - 1 if standing > QUEUED else 0

    def _ask(self) -> bool:
        """Whether the link lives still."""
        if self._unanswered >= self._most_unanswered:
            self.drop(LinkBroken(f"the PBX has answered nothing for {self._unanswered} s"))
            return False
        self._unanswered += 1
        self._say("GET_STATUS")
        return True

    def _say(self, command: str) -> None:
        self._channel.send_text(wire.command(command, as_json=self._is_json))

    def _digit(self, digit: str) -> None:
        if self.listener is not None and self.admit_digit(digit):
            self.listener.digit(digit)

    def _end(self, how: LinkEnded) -> None:
        if self._ended is not None:
            return
        self._ended = how
        if self.listener is not None:
            self.listener.ended(how)
        self._on_ended(self, how)


def _is_quiet(frame: bytes) -> bool:
    samples = samples_of(frame)
    return not samples.size or int(abs(samples.astype("i4")).max()) <= QUIET
