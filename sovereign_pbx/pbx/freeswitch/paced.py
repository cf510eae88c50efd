"""Sound that a parked channel is sent no faster than it plays, whatever carries it.

FreeSWITCH sends a frame every 20 ms, whether the caller speaks or not, and queues what it is sent without a bound that
would help: what comes faster than it plays delays every later word, for good (1.10.12 and 1.11.2, measured). So a frame
may go out for each that came in, and few more: its own clock paces us.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import LinkClosed, LinkEnded
from sovereign_pbx.media.intake import Intake
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality
from sovereign_pbx.pbx.sip.ringback import quiet, ringing

LOST_S: Final = 0.2
_LOST_FRAMES: Final = 11  # of ours in a row without one of its: a loop that stood still is not taken for a loss
_AHEAD: Final = 3  # frames that may be under way to be played


class PacedSession:
    """The sound of one channel, from its first frame to `close`. While no link is there the caller hears what was said
    last with `play_ringing` or `play_nothing`.

    `on_lost` is called when FreeSWITCH has stopped sending. Whoever carries the sound calls `received` for what comes,
    and says in `_write` whether a frame went out.
    """

    kind: LinkKind

    def __init__(self, rate: int, *, on_lost: Callable[[], None] = lambda: None) -> None:
        self.rate = rate
        self.on_lost = on_lost
        self.heard = asyncio.Event()  # something has come since `expect`
        self.last_heard = 0.0
        self.odd = self.strangers = self.skipped = self.sent = self.frames_received = 0
        self._frame_bytes = frame_bytes(rate)
        self._credit = 0
        self._missing = 0
        self._watching = False
        self._link: PacedLink | None = None
        self._filler: Iterator[bytes] = quiet(rate)
        self._closed = False

    def expect(self) -> None:
        """FreeSWITCH has been asked to send; from its first frame on its silence is noticed."""
        self.rest()
        self._credit = self._missing = 0

    def rest(self) -> None:
        """The caller is elsewhere: that nothing comes is right."""
        self._watching = False
        self.heard.clear()

    def link(self) -> "PacedLink":
        """The sound as frames, until the link is closed; one at a time."""
        assert self._link is None or self._link.ended is not None, "there is a link already"
        self._link = PacedLink(self)
        return self._link

    def play_ringing(self) -> None:
        self._filler = ringing(self.rate)

    def play_nothing(self) -> None:
        self._filler = quiet(self.rate)

    def flush(self) -> None:
        """Where FreeSWITCH can be told to forget what it has."""

    def close(self, how: LinkEnded) -> None:
        """A link that is open ends so. Idempotent."""
        self._closed = True
        if self._link is not None:
            self._link.end(how)

    def lost(self) -> bool:
        """Whether nothing has come for more than 200 ms though it should. Tells `on_lost` of each time once."""
        if not self._watching or time.monotonic() - self.last_heard <= LOST_S:
            return False
        self.rest()
        self.on_lost()
        return True

    def send(self, frame: bytes) -> bool:
        """One frame, or none: where FreeSWITCH has not played enough, where nobody is there, where it has the wrong
        size. Whether it went out."""
        self._missing += 1
        if self._missing >= _LOST_FRAMES:
            self.lost()
        if self._closed or not self._watching:
            return False
        if self._credit <= 0 or len(frame) != self._frame_bytes or not self._write(frame):
            self.skipped += 1
            return False
        self._credit -= 1
        self.sent += 1
        return True

    def received(self, data: bytes) -> None:
        """Sound of the caller, a frame as a rule."""
        if self._closed:
            return
        if len(data) != self._frame_bytes:
            self.odd += 1
            if not data or len(data) % 2:
                return
        self.frames_received += 1
        self.last_heard = time.monotonic()
        self._missing = 0
        self._watching = True
        self._credit = min(self._credit + max(1, len(data) // self._frame_bytes), _AHEAD)
        self.heard.set()
        link = self._link
        if link is not None and link.ended is None:
            link.intake.add(data)
        else:
            self.send(next(self._filler))

    def _write(self, frame: bytes) -> bool:
        raise NotImplementedError


class Sound(Protocol):
    """A parked channel's sound as `parked_leg` steers it and `pbx.sip.sip_call` takes it of a leg."""

    on_lost: Callable[[], None]

    async def bring(self, caller: "Caller") -> None:
        """Have it come; after each time the channel was parked. Raises BadInput where FreeSWITCH must not be asked,
        LinkBroken where nothing comes."""

    def rest(self) -> None:
        """The channel is not parked any more."""

    def link(self, rate: int) -> "PacedLink":
        """As frames at the channel's own rate; `rate` is what the call would like."""

    def play_ringing(self) -> None: ...

    def play_nothing(self) -> None: ...

    def begin(self) -> None: ...

    def close(self, how: LinkEnded) -> None: ...

    def check(self) -> None:
        """Notice a loss while no clock asks."""


class Caller(Protocol):
    """What a sound needs to know of its channel."""

    uuid: str
    rate: int  # of its codec, 0 before there is one
    parks: int  # how often it has been parked, which is where commands for sound are heard


class PacedLink:
    """Frames of one conversation (`MediaLink`). Digits come over the event socket."""

    def __init__(self, session: PacedSession) -> None:
        self.kind: LinkKind = session.kind
        self.rate = session.rate
        self.listener: LinkListener | None = None
        self.on_ended: Callable[[LinkEnded], None] = lambda how: None
        self.admit_digit: Callable[[str], bool] = lambda digit: True
        self.intake = Intake(session.rate)
        self._session = session
        self._out = self._skipped = 0
        self._ended: LinkEnded | None = None

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    def statistics(self) -> dict[str, int]:
        """Adds frames_skipped: not sent because FreeSWITCH had enough to play, or nobody was there; frames_odd: pieces
        of another size than a frame; strangers: datagrams of somebody else."""
        return {
            "frames_in": self.intake.frames,
            "frames_out": self._out,
            "frames_dropped": self.intake.dropped,
            "frames_skipped": self._skipped,
            "frames_odd": self._session.odd,
            "strangers": self._session.strangers,
        }

    def take(self) -> bytes | None:
        return self.intake.take()

    def put(self, frame: bytes) -> None:
        if self._ended is not None:
            return
        if self._session.send(frame):
            self._out += 1
        else:
            self._skipped += 1

    def flush(self) -> None:
        if self._ended is None:
            self._session.flush()

    def quality(self) -> LinkQuality | None:
        return None

    def close(self) -> None:
        self.end(LinkClosed("closed by the daemon"))

    def end(self, how: LinkEnded) -> None:
        if self._ended is not None:
            return
        self._ended = how
        if self.listener is not None:
            self.listener.ended(how)
        self.on_ended(how)
