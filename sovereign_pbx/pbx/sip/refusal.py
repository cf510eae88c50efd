"""How a call that is not taken is told so, in SIP's own means."""

from dataclasses import dataclass
from typing import Final

from sovereign_pbx.pbx.harmless import destination
from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.pbx.steps import CAUSE_BUSY, CAUSE_REJECTED
from sovereign_pbx.wire.sip import STATUS_OF_CAUSE, reason_header

CAUSE_NORMAL: Final = 16
CAUSE_FALLBACK: Final = 41
"""Temporary failure: what a PBX takes for the sign to go on with its dialplan, and a carrier for the sign to try the
next way. After the answer the BYE of a caller who is to be taken on has it too."""

_DECLINE: Final = 603
_MOVED: Final = 302
_UNAVAILABLE: Final = 480
_OUT_OF_SERVICE: Final = 503
_SERVED: Final = 31  # normal, unspecified: the words of refusal were heard, and nothing failed


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final response. `cause`: of its Reason header; `contact`: where a 302 sends the caller."""

    status: int
    cause: int | None = None
    contact: str = ""

    def headers(self) -> list[tuple[str, str]]:
        reason = [("Reason", reason_header(self.cause))] if self.cause is not None else []
        return [*reason, *([("Contact", self.contact)] if self.contact else [])]


FALLBACK: Final = Refusal(_OUT_OF_SERVICE, CAUSE_FALLBACK)


def of_cause(cause: int) -> Refusal:
    """The status that goes with a Q.850 cause; one that means none is a plain decline."""
    return Refusal(STATUS_OF_CAUSE.get(cause, _DECLINE), cause)


def of_decision(decision: Decision, domain: str) -> Refusal:
    """What a decision other than `answer` becomes. `domain`: host or host:port that a number which the caller is sent
    to belongs to. Raises BadInput."""
    match decision.action:
        case "busy":
            return of_cause(CAUSE_BUSY)
        case "reject":
            return of_cause(decision.cause or CAUSE_REJECTED)
        case "divert":
            return Refusal(_MOVED, contact=f"<{_address(decision.destination, domain)}>")
    return FALLBACK


def of_step(step: NextStep) -> Refusal:
    """How a call that heard its refusal before any answer ends."""
    return Refusal(_UNAVAILABLE, _SERVED) if step.step == "hangup" else FALLBACK


def _address(wanted: str, domain: str) -> str:
    checked = destination(wanted)
    if checked.startswith(("sip:", "sips:")):
        return checked
    user = checked.removeprefix("tel:").replace("#", "%23")
    return f"sip:{user}" if "@" in user else f"sip:{user}@{domain}"
