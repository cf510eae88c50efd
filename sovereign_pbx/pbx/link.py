"""What the daemon asks of a PBX, and what a PBX asks of the daemon.

A `Pbx` offers calls to the `Desk` before they are answered, connects their media afterwards,
and asks what comes next when the conversation has ended. It places the calls that the desk orders, and tells how they
went: `picked_up`, or else `not_answered`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.values import AnsweredBy
from sovereign_pbx.media.link import MediaLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A call that rings. Every field came from the network: treat as text, never as code or path."""

    call_id: str  # UUID, made by the daemon, known to nobody else until the decision
    caller: str  # number as the PBX gave it; "" when withheld
    caller_name: str
    called: str  # the number dialled
    channel: str  # the PBX's name for the channel
    pbx_id: str  # Asterisk's Uniqueid, FreeSWITCH's channel UUID, else the SIP Call-ID
    variables: Mapping[str, str] = field(default_factory=dict)
    rate: int = PHONE_RATE  # Hz, of the links that will be brought: what is prepared while it rings is made for it


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with an offered call; `action` becomes SOVEREIGN_ACTION, `destination` SOVEREIGN_DEST.

    answer: the assistant takes it. reject: hang up with `cause` (Q.850). busy: cause 17.
    divert: the dialplan dials `destination`. fallback: the administrator's own extension.
    """

    action: Literal["answer", "reject", "divert", "busy", "fallback"]
    destination: str = ""
    cause: int | None = None
    early: bool = False  # answer: only words of refusal follow, so a PBX that can plays them before the answer


@dataclass(frozen=True, slots=True)
class NextStep:
    """What happens to the caller when the conversation is over; becomes SOVEREIGN_NEXT and SOVEREIGN_DEST."""

    step: Literal["hangup", "dial", "talk", "fallback"]
    destination: str = ""
    trunk: str = ""  # what the PBX calls the trunk to dial on; "": the administrator's own context decides
    ring_s: float = 30.0
    caller_id: str = ""  # the number shown to the person called; "": the caller's own
    diverted_from: str = ""  # the number that the caller had dialled, for the Diversion header (RFC 5806); "": none
    music: str = ""  # the class of music on hold for the caller who waits; "": he hears it ring
    briefing: bool = False  # whoever answers hears a briefing before, and takes the caller or does not


@dataclass(frozen=True, slots=True)
class Dialled:
    """How a `dial` step ended. `why` is a sentence for people, `cause` the Q.850 number if known.

    answered: they talked, and the person called has hung up. declined: after the briefing, or by a rejection (603).
    """

    outcome: Literal["answered", "declined", "busy", "no_answer", "failed"]
    why: str = ""
    cause: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOrder:
    """A call to be placed. `destination` is a number or a SIP URI that the rules permit, in its normal form."""

    call_id: str
    destination: str
    trunk: str = ""  # as in NextStep
    pbx: Literal["", "asterisk", "freeswitch", "sip"] = ""  # which one has it; "": the first that can
    caller_id: str = ""  # the number shown to the person called; "": whatever the trunk shows
    ring_s: float = 30.0
    variables: Mapping[str, str] = field(default_factory=dict)  # for the dialplan


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """How an order ended that came to no conversation. `why` is a sentence for people, `cause` the Q.850 number if
    known.

    error: it could not be placed, went wrong on its way, or nobody knows what became of it. user_hangup: somebody did
    answer, and hung up before the PBX could ask what to do.
    """

    reason: Literal["busy", "no_answer", "rejected", "error", "user_hangup"]
    why: str
    cause: int | None = None


class Desk(Protocol):
    """The side of the daemon that takes calls (implemented in `calls/`)."""

    async def offered(self, offer: Offer) -> Decision:
        """Decide before the answer. Cancelled when the caller hangs up while it rings."""

    async def picked_up(self, call_id: str, answered_by: AnsweredBy = "unknown") -> Decision:
        """The person called has answered: `answer` once the assistant is ready, else the call is ended. Cancelled when
        he hangs up meanwhile. `answered_by`: what the PBX has found out, where it listens first."""

    def not_answered(self, call_id: str, how: NotAnswered) -> None:
        """An order has ended and `picked_up` was never asked; `gone` follows."""

    def connected(self, call_id: str, link: MediaLink) -> None:
        """The media of an answered call is up. Frames must flow from the next tick on."""

    async def next_step(self, call_id: str, dialled: Dialled | None = None) -> NextStep:
        """The conversation ended, or a `dial` step did (`dialled`), and the caller is still there (or the id is
        unknown: `fallback`)."""

    def put_through(self, call_id: str) -> None:
        """Whom a `dial` step called has answered, and taken the caller: they talk. Idempotent."""

    async def briefing(self, call_id: str) -> bool:
        """Whom a `dial` step with a briefing called has answered, and the caller waits. True: bring the media of the
        person called (`briefing_connected`); False: there is nothing to be said, put them through."""

    def briefing_connected(self, call_id: str, link: MediaLink) -> None:
        """The media of the person called is up: the briefing begins."""

    async def briefed(self, call_id: str) -> bool:
        """The briefing's media has ended, by whomever. True: put them through; False: not taken."""

    def digit(self, call_id: str, digit: str) -> None:
        """A digit, reported once however many ways it came."""

    def held(self, call_id: str, held: bool) -> None:
        """The far end put the call on hold or took it back."""

    def gone(self, call_id: str, cause: int | None) -> None:
        """The caller's channel is gone (while ringing, talking, or after). Idempotent."""


class Pbx(Protocol):
    """A PBX that brings calls and obeys."""

    name: str

    async def start(self, desk: Desk) -> None:
        """Listen and connect. Raises ConfigError when an address can't be had."""

    async def stop(self) -> None:
        """Stop taking calls and let go of everything. Calls in progress return to their dialplan."""

    def check_outbound(self) -> None:
        """Raises Refused (`pbx_unavailable`) when no call can be placed now, saying what is missing."""

    async def originate(self, order: DialOrder) -> None:
        """Place a call; returns when the PBX has taken the order, or when that is not known: it is never given twice,
        and the desk is told what became of it.

        Raises Refused (`pbx_unavailable`, `too_many_calls`) when nothing was dialled, BadInput for an order that must
        not reach the PBX.
        """

    async def hang_up(self, call_id: str, cause: int = 16) -> None:
        """End a call, also one that rings still."""

    async def send_digits(self, call_id: str, digits: str) -> None: ...

    def health(self) -> dict[str, Any]:
        """{"status": "ok" | "degraded" | "down", …} for /health and doctor."""
