"""Telephone events: DTMF digits as RTP packets of their own (RFC 4733).

A digit is several packets with one timestamp, the last of them three times with the end bit. It counts when its first
packet comes, whichever that is: a menu should be quick, and how long the key was held matters to nobody here.
"""

import struct
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.rtp import TIMESTAMPS, difference

DIGITS: Final = "0123456789*#ABCD"
MAX_DURATION: Final = 0xFFFF  # §2.5.1.3: a longer event goes on in a segment with a new timestamp
_EVENT: Final = struct.Struct(">BBH")
_END: Final = 0x80
_VOLUME: Final = 10  # -10 dBm0, a usual telephone's


@dataclass(frozen=True, slots=True)
class Event:
    """One packet. `duration` in units of the clock since the digit's beginning."""

    digit: str  # "" for an event that is no digit: flash, fax tones
    end: bool
    duration: int

    @classmethod
    def parse(cls, payload: bytes) -> "Event":
        """Raises Malformed. More than one event in a packet (a redundancy, RFC 4733 §2.6) is not looked at."""
        if len(payload) < _EVENT.size:
            raise Malformed("a telephone event has four bytes")
        number, flags, duration = _EVENT.unpack_from(payload)
        return cls(DIGITS[number] if number < len(DIGITS) else "", bool(flags & _END), duration)

    def encode(self) -> bytes:
        return _EVENT.pack(DIGITS.index(self.digit), _VOLUME | (_END if self.end else 0), self.duration)


class DigitReceiver:
    """Digits out of packets, each once, whatever was lost or came twice."""

    def __init__(self, clock_rate: int) -> None:
        # By which a packet may be off where it still goes on with the same press: two packets may be lost between, and
        # nobody presses the same key again within 40 ms.
        self._slack = clock_rate // 25
        # Nothing is that late. What is further back begins on another clock: Asterisk 22.10 counts the first press from
        # 0 where it comes before any sound, and those after it from where the sound is.
        self._late = 5 * clock_rate
        self._last: Event | None = None
        self._began = 0  # timestamp of the newest press, or of its newest segment
        self._until = 0  # where on the clock its newest packet ends

    @property
    def pressed(self) -> bool:
        """No end has come yet. Where all three are lost this stays: whoever asks needs a time-out."""
        return self._last is not None and not self._last.end

    def take(self, event: Event, timestamp: int, *, marker: bool) -> str:
        """The digit if this packet begins one, else ""."""
        if not event.digit:
            return ""
        since = difference(timestamp, self._began, TIMESTAMPS) if self._last is not None else 1
        if -self._late < since < 0:
            return ""  # out of order, of a press that was told already
        new = since != 0 and not self._goes_on(event, timestamp, marker=marker)
        ended = self._last is not None and self._last.end and not new and not since
        self._last = Event(event.digit, event.end or ended, event.duration)
        self._began = timestamp
        self._until = timestamp + event.duration
        return event.digit if new else ""

    def _goes_on(self, event: Event, timestamp: int, *, marker: bool) -> bool:
        """A segment of a long press begins where the last packet ended (§2.5.1.3); and some senders let the timestamp
        grow with each packet of a press."""
        last = self._last
        if marker or last is None or last.end or last.digit != event.digit:
            return False
        return (
            abs(difference(timestamp, self._until % TIMESTAMPS, TIMESTAMPS)) <= self._slack
            or 0 < difference(timestamp, self._began, TIMESTAMPS) <= self._slack
        )
