"""What the transports have in common: a flow to one peer, what is told of it, and which address of ours it sees."""

import socket
from typing import Final, Literal, Protocol

from sovereign_pbx.wire.sip import Request, Response, Uri

Kind = Literal["udp", "tcp", "tls"]
Address = tuple[str, int]

DEFAULT_PORTS: Final[dict[Kind, int]] = {"udp": 5060, "tcp": 5060, "tls": 5061}
# Between "the answer is lost" and "another transport would take it": beyond it a kernel buffer has been full for long.
WRITE_LIMIT_BYTES: Final = 262_144


class Flow(Protocol):
    """The way to one peer and back. Two flows are equal when they are the same way."""

    @property
    def kind(self) -> Kind: ...

    @property
    def peer(self) -> Address: ...

    @property
    def local(self) -> Address:
        """As the peer should see us."""

    @property
    def reliable(self) -> bool: ...

    def towards(self, port: int) -> "Flow":
        """The way for answers where the request's Via names this port."""

    def send(self, message: Request | Response) -> None:
        """As `write`. Raises ValueError for a message that must not leave as it is."""

    def write(self, data: bytes) -> None:
        """An encoded message. Dropped and counted where the way is gone or clogged: SIP repeats what matters."""


class Receiver(Protocol):
    """Told by a transport what came. Must not raise."""

    def arrived(self, flow: Flow, message: Request | Response) -> None: ...

    def malformed(self, flow: Flow, exc: Exception) -> None:
        """A `Malformed`, of which a `BadRequest` can be answered."""

    def admits(self, kind: Kind, peer: object) -> bool:
        """Whether this address may talk to us at all; whoever may not is counted."""

    def count(self, what: str) -> None: ...

    def lost(self, flow: Flow) -> None:
        """A connection is gone."""


def kind_of(uri: Uri) -> Kind:
    """The transport that an address asks for (RFC 3263 §4.1, without the questions to DNS)."""
    asked = uri.params.get("transport", "").lower()
    if uri.scheme == "sips" or asked == "tls":
        return "tls"
    return "tcp" if asked == "tcp" else "udp"


def is_wildcard(host: str) -> bool:
    return host in ("", "0.0.0.0", "::", "*")


def own_address_towards(host: str) -> str:
    """The address of this machine that packets to `host` (an IP address) leave from, as the kernel's routes have it.
    Nothing is sent. Loopback where there is no route."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect((host, 9))
        except OSError:
            return "::1" if ":" in host else "127.0.0.1"
        return str(probe.getsockname()[0])
