"""What became of an INVITE of ours, in the words that the desk takes.

A status that means one thing decides by itself; of the others the Reason header (RFC 3326) says more, where there is
one: what stands behind a 480 or a 503 differs from PBX to PBX.
"""

from dataclasses import dataclass
from typing import Final, Literal

from sovereign_pbx.pbx.asterisk.attempt import BUSY, REJECTED, WORDS
from sovereign_pbx.pbx.link import Dialled, NotAnswered

Kind = Literal["busy", "rejected", "no_answer", "error"]

NO_ANSWER: Final = 19

_BUSY: Final = (486, 600)
# 403 is how Asterisk and others pass a rejection (cause 21) on; 607 and 608 are RFC 8197 and 8688.
_REJECTED: Final = (403, 433, 603, 607, 608)
_SILENT: Final = (408, 480, 487)
_NO_ANSWER_CAUSES: Final = (18, NO_ANSWER)
_NORMAL_CAUSES: Final = (16, 31)  # tell nothing of a call that was never answered

_WORDS: Final = {
    400: "it does not understand our request",
    404: "nobody has this number",
    405: "it takes no calls",
    410: "the number has changed",
    414: "the address is too long for it",
    415: "it does not understand our offer of sound",
    416: "it does not know this kind of address",
    420: "it demands an extension of SIP that is not spoken here",
    421: "it demands an extension of SIP that is not spoken here",
    481: "it has lost the call",
    482: "the call runs in a circle",
    483: "the call runs in a circle",
    484: "the number is incomplete or wrong",
    485: "the number means several people",
    488: "the two ends have no codec in common",
    500: "a fault on its side",
    501: "it takes no calls",
    502: "the destination is out of order",
    503: "it is not in service, or has no free line",
    504: "what is behind it did not answer in time",
    505: "it speaks another version of SIP",
    580: "it can't set up the sound",
    604: "nobody has this number",
    606: "the two ends have no codec in common",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """How an INVITE ended that nobody answered. `where`: what was dialled, for people. `status`: the final response's;
    0: none came. `heard`: the other end had answered anything at all. `gave_up`: it rang as long as it was to ring.
    `fault`: it could not even be sent, or the answer was no use; a sentence."""

    where: str
    status: int = 0
    cause: int | None = None
    heard: bool = True
    gave_up: bool = False
    fault: str = ""

    @property
    def kind(self) -> Kind:
        """Of what kind it was."""
        if self.fault:
            return "error"
        if self.gave_up:
            return "no_answer"
        if self.status in _BUSY:
            return "busy"
        if self.status in _REJECTED:
            return "rejected"
        return self._by_cause() or ("no_answer" if self.status in _SILENT and self.heard else "error")

    @property
    def why(self) -> str:
        """As a sentence."""
        match self.kind:
            case "busy":
                return "The line was busy."
            case "rejected":
                return "The call was rejected."
            case "no_answer":
                return "Nobody answered."
        return self.fault or self._error()

    @property
    def q850(self) -> int | None:
        """The Q.850 cause, if known."""
        return self.cause or {"busy": BUSY, "rejected": REJECTED, "no_answer": NO_ANSWER, "error": None}[self.kind]

    def not_answered(self) -> NotAnswered:
        """As an order's end."""
        return NotAnswered(self.kind, self.why, self.q850)

    def dialled(self) -> Dialled:
        """As the end of a `dial` step."""
        outcomes: dict[Kind, Literal["busy", "declined", "no_answer", "failed"]] = {
            "busy": "busy",
            "rejected": "declined",
            "no_answer": "no_answer",
            "error": "failed",
        }
        return Dialled(outcomes[self.kind], self.why, self.q850)

    def _by_cause(self) -> Kind | None:
        if self.cause == BUSY:
            return "busy"
        if self.cause == REJECTED:
            return "rejected"
        if self.cause in _NO_ANSWER_CAUSES:
            return "no_answer"
        return None if self.cause is None or self.cause in _NORMAL_CAUSES else "error"

    def _error(self) -> str:
        if self.status in (401, 407):
            return f"{self.where} does not take our user name and password."
        if 300 <= self.status < 400:
            return f"{self.where} would have us call elsewhere, and calls go only where [dialling] lets them."
        if self.status == 408 and not self.heard:
            return f"{self.where} does not answer: is it there, and does it listen for SIP?"
        said = WORDS.get(self.cause or 0) if self.cause not in _NORMAL_CAUSES else None
        said = said or _WORDS.get(self.status, "it ended without an answer")
        cause = f", cause {self.cause}" if self.cause is not None else ""
        return f"The call failed: {said} (SIP {self.status}{cause})."
