"""Addresses that nobody on the public Internet has: where `[webhook] allow_private = false` lets nothing connect.

The check is made on the address that is connected to, in the moment of connecting. A name that shows one address to a
check and another to the connection (DNS rebinding) gains nothing, nor does an address written in a form of its own.
"""

import errno
import ipaddress
import socket
from typing import Any

_WORDS = "its address is private, and [webhook] allow_private is false"

# What `is_global` of one Python or another lets pass: IANA's special-purpose registries, multicast, and addresses that
# clouds answer with their machines' secrets (168.63.129.16 is Azure's, reachable from each of its machines).
_NOBODYS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/9",
        "ff00::/8",
    )
)
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateTarget(OSError):
    """The address must not be connected to. `str()` says why and which setting decides."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, _WORDS)


def is_private(address: str) -> bool:
    """Whether this address (not a name) lies outside the public Internet; also of what can't be read as one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    inner = _inside(found) if isinstance(found, ipaddress.IPv6Address) else None
    return _is_nobodys(found) if inner is None else _is_nobodys(inner)


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket for this `getaddrinfo` entry: the socket factory of an aiohttp connector. Raises PrivateTarget."""
    family, kind, protocol, _, address = info
    if is_private(str(address[0])):
        raise PrivateTarget
    return socket.socket(family, kind, protocol)


def _is_nobodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    listed = any(address in network for network in _NOBODYS if network.version == address.version)
    return listed or address.is_multicast or not address.is_global


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a connection to this IPv6 address reaches: mapped, 6to4, NAT64."""
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
