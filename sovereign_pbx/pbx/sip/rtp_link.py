"""One call's audio over RTP, as a `MediaLink`."""

from collections.abc import Callable
from typing import Protocol

import structlog

from sovereign_pbx.core.errors import LinkClosed, LinkEnded
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality

log = structlog.get_logger(__name__)


class Sound(Protocol):
    """What a link has of its session."""

    def take(self) -> bytes | None: ...

    def take_more(self, last: bytes) -> bytes | None: ...

    def put(self, frame: bytes) -> None: ...

    def quality(self) -> LinkQuality | None: ...

    def statistics(self) -> dict[str, int]: ...

    def left(self, link: "RtpLink") -> None: ...


class RtpLink:
    """Made by `RtpSession.link`. Closing it leaves the session as it is, and its peer with comfort noise.

    A tick goes from the first `take` after a `put` to the next `put`.
    """

    kind: LinkKind = "rtp"

    def __init__(self, sound: Sound, rate: int) -> None:
        self.rate = rate
        self.listener: LinkListener | None = None
        self.admit_digit: Callable[[str], bool] = lambda digit: True
        self.on_ended: Callable[[LinkEnded], None] = lambda how: None
        self._sound = sound
        self._ended: LinkEnded | None = None
        self._taken: bytes | None = None  # this tick's frame
        self._asked = 0  # how often, in this tick
        self._final: tuple[LinkQuality | None, dict[str, int]] | None = None

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    # --- for the clock

    def take(self) -> bytes | None:
        if self._ended is not None:
            return None
        self._asked += 1
        if self._asked == 1:
            self._taken = self._sound.take()
            return self._taken
        if self._asked > 2 or self._taken is None:
            return None
        return self._sound.take_more(self._taken)

    def put(self, frame: bytes) -> None:
        self._asked = 0
        if self._ended is None:
            self._sound.put(frame)

    def flush(self) -> None:
        """The other side keeps no more back than its jitter buffer."""

    def quality(self) -> LinkQuality | None:
        return self._sound.quality() if self._final is None else self._final[0]

    def statistics(self) -> dict[str, int]:
        """Of the session's whole time; see `RtpSession.statistics`."""
        return self._sound.statistics() if self._final is None else self._final[1]

    def close(self) -> None:
        self.end(LinkClosed("closed by the daemon"))

    # --- for the session

    def digit(self, digit: str) -> None:
        """The other side pressed a key."""
        if self._ended is None and self.listener is not None and self.admit_digit(digit):
            self.listener.digit(digit)

    def end(self, how: LinkEnded) -> None:
        """Once."""
        if self._ended is not None:
            return
        self._final = (self._sound.quality(), self._sound.statistics())
        self._ended = how
        self._sound.left(self)
        if self.listener is not None:
            self.listener.ended(how)
        self.on_ended(how)
