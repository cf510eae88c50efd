"""The media link: how 20 ms frames reach and leave a call, whatever carries them."""

from dataclasses import dataclass
from typing import Literal, Protocol

from sovereign_pbx.core.errors import LinkEnded

LinkKind = Literal["audiosocket", "rtp", "websocket", "unicast", "audio_fork", "scripted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuality:
    """What the network made of a call's sound, of its whole time up to now. The far side's reports (RTCP) are None
    until one has come."""

    codec: str  # "PCMU", "G722", "L16/16000", …
    mos: float  # 1 to 4.5, by the E-model (ITU-T G.107) from what follows
    loss_percent: float  # of the frames that should have been heard here, late ones included
    jitter_ms: float  # interarrival jitter (RFC 3550 §6.4.1)
    delay_ms: float  # what the jitter buffer keeps back, on average
    concealed_ms: float
    far_loss_percent: float | None = None  # of what we sent
    far_jitter_ms: float | None = None
    round_trip_ms: float | None = None


class LinkListener(Protocol):
    """Told by a link about what is not audio. Called on the loop, must not block or raise."""

    def digit(self, digit: str) -> None: ...

    def ended(self, how: LinkEnded) -> None: ...


class MediaLink(Protocol):
    """One call's audio path to the PBX. Nothing here awaits: the clock calls it 50 times a second.

    `take` hands over the oldest received frame. Its queue is bounded: when the loop was late, what is older
    than 200 ms of wall clock is dropped and counted, so that the assistant never listens to the past.
    `put` sends one frame in one write, and drops the peer (`LinkFull`) rather than wait for it.

    Each tick the clock calls `take` once, once more when that gave a frame (so that a backlog melts), and then `put`
    exactly once. A link with a jitter buffer counts its time by that.
    """

    kind: LinkKind
    rate: int
    listener: LinkListener | None

    def take(self) -> bytes | None:
        """The next 20 ms received, or None when nothing has come."""

    def put(self, frame: bytes) -> None:
        """Send 20 ms now. No-op once the link has ended."""

    def flush(self) -> None:
        """Have the PBX throw away what it was sent and has not played; nothing where it keeps nothing back."""

    def quality(self) -> LinkQuality | None:
        """What the network made of the sound, or None where the link can't know."""

    def close(self) -> None:
        """End the link in order; the PBX goes on with its dialplan."""

    @property
    def ended(self) -> LinkEnded | None:
        """How the link ended, or None while it lives."""

    def statistics(self) -> dict[str, int]:
        """frames_in, frames_out, frames_dropped, and what the link's kind adds."""
