"""From an address to the way there: its transport, its host name, its connection."""

import asyncio
import ipaddress
import socket
from typing import Final

from sovereign_pbx.core.errors import LinkBroken
from sovereign_pbx.pbx.sip.transport import DEFAULT_PORTS, Address, Flow, Kind, kind_of
from sovereign_pbx.pbx.sip.transport_stream import StreamTransport
from sovereign_pbx.pbx.sip.transport_udp import UdpTransport
from sovereign_pbx.wire.sip import Uri

_KEPT_S: Final = 60.0
_MOST_NAMES: Final = 256


class Ways:
    """Over the transports that are configured. Names are looked up in a thread, and believed for a minute."""

    def __init__(
        self, udp: UdpTransport | None, streams: dict[Kind, StreamTransport], *, resolve_s: float = 3.0
    ) -> None:
        self._udp, self._streams = udp, streams
        self._resolve_s = resolve_s
        self._names: dict[tuple[str, int], tuple[float, Address]] = {}

    def at_once(self, uri: Uri) -> Flow | None:
        """The way to an address that is known without asking anybody, None where it is not. Raises LinkBroken."""
        if self._udp is not None and kind_of(uri) == "udp" and _is_address(uri.host):
            return self._over_udp(self._udp, (uri.host, uri.port or DEFAULT_PORTS["udp"]))
        return None

    async def find(self, uri: Uri) -> Flow:
        """Raises LinkBroken when there is no way."""
        kind = kind_of(uri)
        stream = self._streams.get(kind)
        if uri.scheme not in ("sip", "sips") or (stream is None and (kind != "udp" or self._udp is None)):
            raise LinkBroken(f"there is no SIP over {kind.upper()} here for that address")
        address = await self._resolve(uri.host, uri.port or DEFAULT_PORTS[kind])
        if stream is not None:
            return await stream.flow(address, uri.host)
        assert self._udp is not None
        return self._over_udp(self._udp, address)

    def _over_udp(self, udp: UdpTransport, address: Address) -> Flow:
        if (":" in address[0]) != (":" in udp.address[0]):
            raise LinkBroken(f"the SIP socket is on {udp.address[0]}, from where nobody reaches {address[0]}")
        return udp.flow(address)

    async def _resolve(self, host: str, port: int) -> Address:
        if _is_address(host):
            return host, port
        loop = asyncio.get_running_loop()
        kept = self._names.get((host, port))
        if kept is not None and loop.time() - kept[0] < _KEPT_S:
            return kept[1]
        try:
            async with asyncio.timeout(self._resolve_s):
                found = await loop.getaddrinfo(host, port, family=self._family(), type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as exc:  # UnicodeError: no host name by IDNA
            raise LinkBroken(f"the host name {host} is not to be found") from exc
        if not found:
            raise LinkBroken(f"the host name {host} has no address")
        address = (str(found[0][4][0]), port)
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names[(host, port)] = (loop.time(), address)
        return address

    def _family(self) -> socket.AddressFamily:
        """That of the socket: the other one's addresses can't be sent to."""
        address = self._udp.address if self._udp is not None else next(iter(self._streams.values())).address
        return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
