"""The media link: how 20 ms frames reach and leave a call, whatever carries them."""

from typing import Literal, Protocol

from sovereign_pbx.core.errors import LinkEnded


class LinkListener(Protocol):
    """Told by a link about what is not audio. Called on the loop, must not block or raise."""

    def digit(self, digit: str) -> None: ...

    def ended(self, how: LinkEnded) -> None: ...


class MediaLink(Protocol):
    """One call's audio path to the PBX. Nothing here awaits: the clock calls it 50 times a second.

    `take` hands over the oldest received frame. Its queue is bounded: when the loop was late, what is older
    than 200 ms of wall clock is dropped and counted, so that the assistant never listens to the past.
    `put` sends one frame in one write, and drops the peer (`LinkFull`) rather than wait for it.
    """

    kind: Literal["audiosocket", "rtp", "websocket", "scripted"]
    rate: int
    listener: LinkListener | None

    def take(self) -> bytes | None:
        """The next 20 ms received, or None when nothing has come."""

    def put(self, frame: bytes) -> None:
        """Send 20 ms now. No-op once the link has ended."""

    def close(self) -> None:
        """End the link in order; the PBX goes on with its dialplan."""

    @property
    def ended(self) -> LinkEnded | None:
        """How the link ended, or None while it lives."""

    def statistics(self) -> dict[str, int]:
        """frames_in, frames_out, frames_dropped, and what the link's kind adds."""
