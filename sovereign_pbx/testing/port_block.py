"""A block of ports that no other instance on this machine is using.

A port found by binding and closing can be taken before its new owner binds it. Instances therefore reserve a whole
block below the kernel's ephemeral range, and below the ports that every daemon's sound has where nothing else is
configured (`[sip] rtp_first_port`), by holding an abstract Unix socket, which the kernel lets go of when the process
ends, however it ends.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_PORT = 11000
LAST_PORT = 30000
BLOCK = 1000


@dataclass(slots=True)
class PortBlock:
    """`BLOCK` ports from `first` on, ours until `release`."""

    first: int
    _reservation: socket.socket
    _next: int = 0

    def take(self, kind: socket.SocketKind) -> int:
        """The next port of the block that can be bound on loopback."""
        while self._next < BLOCK:
            port = self.first + self._next
            self._next += 1
            if _is_free(port, kind):
                return port
        raise OSError(f"no free port between {self.first} and {self.first + BLOCK - 1}")

    @property
    def rest(self) -> tuple[int, int]:
        """First (even, as RTP wants it) and last port of what has not been taken."""
        first = self.first + self._next
        return first + first % 2, self.first + BLOCK - 1

    def release(self) -> None:
        self._reservation.close()


def reserve_ports() -> PortBlock:
    """Reserve a block; raises OSError when all are taken."""
    for first in _candidates():
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            reservation.bind(f"\0sovereign-pbx-ports-{first}")
        except OSError:
            reservation.close()
            continue
        return PortBlock(first, reservation)
    raise OSError(f"every block of {BLOCK} ports from {FIRST_PORT} to {LAST_PORT} is reserved by another instance")


def _candidates() -> Iterator[int]:
    """Every block, beginning at one that depends on the process: neighbours rarely ask for the same."""
    blocks = range(FIRST_PORT, LAST_PORT, BLOCK)
    start = os.getpid() % len(blocks)
    yield from blocks[start:]
    yield from blocks[:start]


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
