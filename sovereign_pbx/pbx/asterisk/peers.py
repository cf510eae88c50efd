"""Who may connect, and how a dead peer is noticed."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Final

from sovereign_pbx.core.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KEEPALIVE_IDLE_S: Final = 10
KEEPALIVE_INTERVAL_S: Final = 5
# We send 50 frames a second: after five seconds without an acknowledgement the peer's machine is gone.
USER_TIMEOUT_MS: Final = 5_000


class Peers:
    """The networks that may connect; none given means everybody who reaches the address listened on.

    Neither FastAGI nor AudioSocket knows passwords, so on an address other than loopback this is the only lock.
    """

    def __init__(self, permit: Iterable[str], key: str) -> None:
        self._networks = tuple(_network(text, key) for text in permit)

    def admits(self, peername: Any) -> bool:
        """`peername` as asyncio gives it: (host, port, …), or None once the peer has left."""
        if not self._networks:
            return True
        if not isinstance(peername, tuple):
            return False
        address = ipaddress.ip_address(str(peername[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 peer on an IPv6 listener
        return any((mapped or address) in network for network in self._networks)


def _network(text: str, key: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise ConfigError(
            f"{text!r} is no network", key=key, remedy="Write an address or a network: 10.0.0.5 or 10.0.0.0/24."
        ) from exc


def notice_death(sock: Any) -> None:
    """Make the kernel end a connection whose other machine has vanished (asyncio sets TCP_NODELAY by itself).

    A held caller sends no audio for minutes, so silence proves nothing: only missing acknowledgements do.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_NODELAY", 1),
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
