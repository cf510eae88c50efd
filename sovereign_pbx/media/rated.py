"""A link whose rate is not its call's: resampled in between, both ways.

Everything of a call (recogniser, voice, recording, what was synthesised while it rang) is at one rate, decided when it
was offered. A PBX may bring another one all the same: the caller's telephone changed its codec, or a leg came back.
"""

from typing import Final

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality, MediaLink
from sovereign_pbx.media.resample import Resampler

WIDE_RATE: Final = 16000


def call_rate(link_rate: int) -> int:
    """At what a call is held whose links have `link_rate` Hz: as on the telephone, or wideband. Nobody who recognises
    or speaks on a call gains by more, and several vendors take no other rate."""
    return PHONE_RATE if link_rate < WIDE_RATE else WIDE_RATE


def at_rate(link: MediaLink, rate: int) -> MediaLink:
    """`link` with frames at `rate` Hz."""
    return link if link.rate == rate else RatedLink(link, rate)


class RatedLink:
    """`link` as one at `rate` Hz. About 2 ms later each way (media/resample.py)."""

    def __init__(self, link: MediaLink, rate: int) -> None:
        self.rate = rate
        self.kind: LinkKind = link.kind
        self._link = link
        self._in = Resampler(link.rate, rate)
        self._out = Resampler(rate, link.rate)

    @property
    def listener(self) -> LinkListener | None:
        return self._link.listener

    @listener.setter
    def listener(self, listener: LinkListener | None) -> None:
        self._link.listener = listener

    def take(self) -> bytes | None:
        frame = self._link.take()
        return None if frame is None else self._in.process(frame)

    def put(self, frame: bytes) -> None:
        self._link.put(self._out.process(frame))

    def flush(self) -> None:
        self._link.flush()

    def quality(self) -> LinkQuality | None:
        return self._link.quality()

    def close(self) -> None:
        self._link.close()

    @property
    def ended(self) -> LinkEnded | None:
        return self._link.ended

    def statistics(self) -> dict[str, int]:
        return self._link.statistics()
