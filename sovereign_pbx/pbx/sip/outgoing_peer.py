"""The PBX that a call came from, as a way out: where it takes an INVITE of ours."""

from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.outgoing_way import Transport, Way
from sovereign_pbx.pbx.sip.transport import Flow
from sovereign_pbx.wire.sip import Request, Uri, Via

_TRANSPORTS: dict[str, Transport] = {"TCP": "tcp", "TLS": "tls"}


def peer_way(invite: Request) -> Way:
    """The station that the INVITE came from last, a proxy perhaps: what is in the request beyond it may be out of our
    reach. By its packets' address (RFC 3581) over UDP; over a connection that has a port of its own, its own word."""
    via = Via.parse(invite.headers.get("Via"))
    transport = _TRANSPORTS.get(via.transport.upper(), "udp")
    seen = via.params.get("rport", "")
    port = int(seen) if transport == "udp" and seen.isascii() and seen.isdigit() and len(seen) < 6 else via.port
    return Way(name="the PBX", host=via.params.get("received") or via.host, port=port, transport=transport)


def connection_of(leg: Leg, way: Way) -> Flow | None:
    """The connection that a call came by, where a new call on this way can use it."""
    hop = leg.hop
    return None if way.transport == "udp" or isinstance(hop, Uri) else hop
