"""Whose packets are the call's: symmetric RTP (RFC 4961), with strangers kept out.

What the description names counts at once. Another address (NAT, a media proxy) is believed when three packets in order
have come from it and nobody else is being heard; it keeps the call until it has been silent for two seconds.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from sovereign_pbx.wire.rtp import SEQUENCES, Packet

Address = tuple[str, int]
Network = IPv4Network | IPv6Network

PROBATION: Final = 3
RELATCH_S: Final = 2.0


class Latch:
    """`permit`: networks whose packets may be believed beside the described address; none: all."""

    def __init__(self, permit: Sequence[Network] = ()) -> None:
        self._permit = tuple(permit)
        self._described: Address = ("", 0)
        self._heard: Address | None = None
        self._heard_at = float("-inf")
        self._candidate: tuple[Address, int, int] | None = None  # address, source, the sequence to come
        self._proofs = 0

    def expect(self, described: Address) -> None:
        """What the other side describes. Another one than before ends what was believed."""
        if described != self._described:
            self._described = described
            self._heard = self._candidate = None

    @property
    def target(self) -> Address | None:
        """Where to send; None while that is not known."""
        if self._heard is not None:
            return self._heard
        return self._described if self._described[0] else None

    @property
    def moved(self) -> bool:
        """The sound comes from elsewhere than described."""
        return self._heard is not None and self._heard != self._described

    def admits(self, packet: Packet, sender: Address, now: float) -> bool:
        """Whether this packet is the call's."""
        if sender == self._heard or sender == self._described:
            self._heard, self._heard_at = sender, now
            return True
        if self._heard is not None and now - self._heard_at < RELATCH_S:
            return False
        if not self._permitted(sender[0]) or not self._proven(packet, sender):
            return False
        self._heard, self._heard_at, self._candidate = sender, now, None
        return True

    def knows(self, host: str) -> bool:
        """Whether reports from `host` may be the call's."""
        return host == (self._heard or self._described)[0]

    def _proven(self, packet: Packet, sender: Address) -> bool:
        follows = (sender, packet.source, packet.sequence) == self._candidate
        self._proofs = self._proofs + 1 if follows else 1
        self._candidate = (sender, packet.source, (packet.sequence + 1) % SEQUENCES)
        return self._proofs >= PROBATION

    def _permitted(self, host: str) -> bool:
        if not self._permit or host == self._described[0]:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._permit)
