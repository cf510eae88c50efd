"""Session timers (RFC 4028): a call whose end got lost is noticed, because one side must say from time to time that it
is there still.

Pure: what is agreed from the headers, and when something is due.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from sovereign_pbx.wire.sip import Headers

Refresher = Literal["us", "them"]

MIN_SE_S: Final = 90  # RFC 4028 §5: nobody may ask for less
_VALUE: Final = re.compile(r"(\d{1,9})\s*(?:;\s*(.*))?", re.DOTALL)
_REFRESHER: Final = re.compile(r"refresher\s*=\s*(uac|uas)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """What was agreed: every `interval_s` seconds at the latest the refresher sends a re-INVITE or an UPDATE."""

    interval_s: int
    refresher: Refresher

    @property
    def due_s(self) -> float:
        """After so long it is time to refresh, or the other side is given up (RFC 4028 §10: a third of the interval
        before its end, 32 seconds at most)."""
        return self.interval_s / 2 if self.refresher == "us" else self.interval_s - min(32.0, self.interval_s / 3)


@dataclass(frozen=True, slots=True)
class _Wish:
    interval_s: int
    refresher: Literal["", "uac", "uas"]


def too_small(headers: Headers) -> bool:
    """Whether a request asks for less than anybody may, and can be told so (422)."""
    wish = _wish(headers)
    return wish is not None and wish.interval_s < MIN_SE_S and _speaks(headers)


def answered(request: Headers, ours_s: int) -> tuple[SessionTimer | None, list[tuple[str, str]]]:
    """What is agreed with who sends an INVITE or an UPDATE, and the headers of our 2xx. `ours_s`: what we want, 0:
    nothing."""
    wish, least = _wish(request), max(MIN_SE_S, _number(request.get("Min-SE")))
    wanted = max(ours_s, least) if ours_s else 0
    if wish is None and not wanted:
        return None, []
    interval = max(least, min(wish.interval_s, wanted or wish.interval_s)) if wish is not None else wanted
    if not _speaks(request):
        return SessionTimer(interval, "us"), [("Session-Expires", f"{interval};refresher=uas")]
    uac = wish is None or wish.refresher != "uas"
    named = [("Session-Expires", f"{interval};refresher={'uac' if uac else 'uas'}")]
    return SessionTimer(interval, "them" if uac else "us"), [*named, ("Require", "timer")] if uac else named


def asked(ours_s: int, refresher: Literal["", "uac", "uas"] = "") -> list[tuple[str, str]]:
    """The headers of an INVITE or an UPDATE of ours."""
    if not ours_s:
        return []
    interval = max(ours_s, MIN_SE_S)
    return [
        ("Session-Expires", f"{interval};refresher={refresher}" if refresher else str(interval)),
        ("Min-SE", str(MIN_SE_S)),
    ]


def agreed(answer: Headers, ours_s: int) -> SessionTimer | None:
    """What the 2xx to our request means: one without the header leaves it to us, if we want it (RFC 4028 §7.2)."""
    wish = _wish(answer)
    if wish is None:
        return SessionTimer(max(ours_s, MIN_SE_S), "us") if ours_s else None
    return SessionTimer(max(wish.interval_s, MIN_SE_S), "them" if wish.refresher == "uas" else "us")


def raised(refusal: Headers, ours_s: int) -> int:
    """What to ask for after a 422: no less than it says, and no more than a day."""
    return min(max(ours_s, _number(refusal.get("Min-SE")), MIN_SE_S), 86400)


def _speaks(headers: Headers) -> bool:
    return "timer" in headers.tokens("Supported")


def _wish(headers: Headers) -> _Wish | None:
    found = _VALUE.fullmatch(headers.get("Session-Expires").strip())
    if found is None:
        return None
    named = _REFRESHER.search(found[2] or "")
    return _Wish(int(found[1]), named[1].lower() if named else "")  # type: ignore[arg-type]  # the pattern's two words


def _number(text: str) -> int:
    found = _VALUE.fullmatch(text.strip())
    return int(found[1]) if found is not None else 0
