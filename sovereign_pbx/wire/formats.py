"""The formats of an m= line that this side can speak: payload types, their names and clocks (RFC 3551)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.wire.sdp import Media

_RTPMAP: Final = re.compile(r"(\d{1,3})\s+([A-Za-z0-9_.-]{1,32})/(\d{1,6})(?:/(\d{1,2}))?\s*\Z")


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type. `name` in capitals: PCMU, PCMA, G722, L16, TELEPHONE-EVENT, CN."""

    name: str
    payload_type: int
    clock_rate: int

    @property
    def rate(self) -> int:
        """Hz of the samples: G722 has 16000 under a clock that says 8000 (RFC 3551 §4.5.2)."""
        return 16000 if self.name == "G722" else self.clock_rate

    @property
    def is_audio(self) -> bool:
        return self.name in _AUDIO

    @property
    def rtpmap(self) -> str:
        name = self.name.lower() if self.name == "TELEPHONE-EVENT" else self.name
        return f"{self.payload_type} {name}/{self.clock_rate}"

    def same_as(self, other: "Format") -> bool:
        """The same coding, whatever its number."""
        return (self.name, self.clock_rate) == (other.name, other.clock_rate)


_STATIC: Final = {
    0: Format("PCMU", 0, 8000),
    8: Format("PCMA", 8, 8000),
    9: Format("G722", 9, 8000),
    13: Format("CN", 13, 8000),
}
_CLOCKS: Final = {"PCMU": (8000,), "PCMA": (8000,), "G722": (8000,), "L16": (16000, 8000)}
_AUDIO: Final = frozenset(_CLOCKS)
_BESIDE: Final = {"TELEPHONE-EVENT": (8000, 16000), "CN": (8000, 16000)}
# In our own offers: dynamic numbers as FreeSWITCH and Asterisk use them for the same.
_NUMBERS: Final = {
    ("L16", 16000): 102,
    ("L16", 8000): 103,
    ("TELEPHONE-EVENT", 8000): 101,
    ("TELEPHONE-EVENT", 16000): 104,
    **{(known.name, known.clock_rate): number for number, known in _STATIC.items()},
}


def _format_of(number: str, rtpmaps: dict[int, Format | None]) -> Format | None:
    """The format of one payload type: as its rtpmap says, else as RFC 3551 fixes it; None if it can't be spoken."""
    if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 128):
        return None
    return rtpmaps[int(number)] if int(number) in rtpmaps else _STATIC.get(int(number))


def formats_of(media: Media | None) -> tuple[Format, ...]:
    """What of an m= line can be spoken, in its order, each payload type once."""
    if media is None:
        return ()
    rtpmaps = _rtpmaps(media)
    found = (_format_of(number, rtpmaps) for number in dict.fromkeys(media.formats))
    return tuple(known for known in found if known is not None)


def wanted(codecs: Sequence[str]) -> tuple[Format, ...]:
    """What we offer for `codecs`: each at every rate, then telephone events at every clock among them."""
    audio = [(name, clock) for name in codecs for clock in _CLOCKS[name]]
    clocks = sorted({clock for _, clock in audio})
    events = [("TELEPHONE-EVENT", clock) for clock in clocks]
    return tuple(Format(name, _NUMBERS[name, clock], clock) for name, clock in [*audio, *events])


def _rtpmaps(media: Media) -> dict[int, Format | None]:
    """None for what is named and can't be spoken, so that it isn't taken for the static type of its number."""
    found: dict[int, Format | None] = {}
    for line in media.all("rtpmap"):
        parts = _RTPMAP.match(line)
        if parts is None or int(parts[1]) > 127 or int(parts[1]) in found:
            continue
        name, clock, mono = parts[2].upper(), int(parts[3]), parts[4] in (None, "1")
        known = clock in _CLOCKS.get(name, ()) or clock in _BESIDE.get(name, ())
        if name == "G722" and clock == 16000:  # what some believe its clock to be; they send 8000 all the same
            known, clock = True, 8000
        found[int(parts[1])] = Format(name, int(parts[1]), clock) if known and mono else None
    return found
