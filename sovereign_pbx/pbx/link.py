"""What the daemon asks of a PBX, and what a PBX asks of the daemon.

A `Pbx` offers calls to the `Desk` before they are answered, connects their media afterwards,
and asks what comes next when the conversation has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sovereign_pbx.media.link import MediaLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A call that rings. Every field came from the network: treat as text, never as code or path."""

    call_id: str  # UUID, made by the daemon, known to nobody else until the decision
    caller: str  # number as the PBX gave it; "" when withheld
    caller_name: str
    called: str  # the number dialled
    channel: str  # the PBX's name for the channel
    pbx_id: str  # Asterisk Uniqueid
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with an offered call; `action` becomes SOVEREIGN_ACTION, `destination` SOVEREIGN_DEST.

    answer: the assistant takes it. reject: hang up with `cause` (Q.850). busy: cause 17.
    divert: the dialplan dials `destination`. fallback: the administrator's own extension.
    """

    action: Literal["answer", "reject", "divert", "busy", "fallback"]
    destination: str = ""
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class NextStep:
    """What happens to the caller when the conversation is over; becomes SOVEREIGN_NEXT and SOVEREIGN_DEST."""

    step: Literal["hangup", "dial", "talk", "fallback"]
    destination: str = ""


class Desk(Protocol):
    """The side of the daemon that takes calls (implemented in `calls/`)."""

    async def offered(self, offer: Offer) -> Decision:
        """Decide before the answer. Cancelled when the caller hangs up while it rings."""

    def connected(self, call_id: str, link: MediaLink) -> None:
        """The media of an answered call is up. Frames must flow from the next tick on."""

    async def next_step(self, call_id: str) -> NextStep:
        """The conversation ended and the caller is still there (or the id is unknown: `fallback`)."""

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

    async def hang_up(self, call_id: str, cause: int = 16) -> None: ...

    async def send_digits(self, call_id: str, digits: str) -> None: ...

    def health(self) -> dict[str, Any]:
        """{"status": "ok" | "degraded" | "down", …} for /health and doctor."""
