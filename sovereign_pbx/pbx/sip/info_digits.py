"""Digits in INFO requests, as PBXs send them where RFC 4733 was not agreed: `application/dtmf-relay` and
`application/dtmf`."""

import re
from typing import Final

from sovereign_pbx.pbx.digits import DIGITS
from sovereign_pbx.wire.sip import Request

RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"
DURATION_MS: Final = 160

_SIGNAL: Final = re.compile(rb"(?mi)^[ \t]*Signal[ \t]*=[ \t]*([0-9A-Da-d*#]{1,2})[ \t]*\r?$")
_MAX_BYTES: Final = 256
_EVENTS: Final = "0123456789*#ABCD"  # some PBXs send the number of the event (10 for the star)


def digit_of(request: Request) -> str | None:
    """The digit; "" where the body is one of these types and holds none; None where it is of another type."""
    kind = request.headers.get("Content-Type").partition(";")[0].strip().lower()
    if kind not in (RELAY, PLAIN):
        return None
    body = request.body[:_MAX_BYTES]
    if kind == RELAY:
        found = _SIGNAL.search(body)
        text = found[1].decode().upper() if found else ""
    else:
        text = body.strip().decode("ascii", "replace").upper()
    if len(text) == 2 and text.isdigit() and int(text) < len(_EVENTS):
        text = _EVENTS[int(text)]
    return text if text in DIGITS else ""


def relayed(digit: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an INFO that sends `digit`."""
    return [("Content-Type", RELAY)], f"Signal={digit}\r\nDuration={DURATION_MS}\r\n".encode()
