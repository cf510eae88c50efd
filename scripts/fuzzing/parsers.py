"""What reads bytes off the network: it may refuse them with `Malformed`, and do nothing else that is not in order."""

import random
from collections.abc import Callable

from sovereign_pbx.wire import negotiation, rtcp, rtp, sdp, sip, telephone_event
from sovereign_pbx.wire.digest import Credentials
from sovereign_pbx.wire.malformed import Malformed

Target = Callable[[bytes, random.Random], bool]  # whether the input was taken; raises what must not be raised


def read_sip(data: bytes, rng: random.Random) -> bool:
    """A datagram: read, answered, written and read again."""
    try:
        message = sip.parse(data)
    except sip.BadRequest as exc:
        sip.response_to(exc.request, exc.status, tag="t").encode()
        return False
    except Malformed:
        return False
    _use(message)
    try:
        again = sip.parse(message.encode())
    except Malformed as exc:
        if "at most" not in str(exc):  # written out, with long names and a length, it may be over a limit
            raise
        return True
    assert again.body == message.body and len(again.headers) >= len(message.headers)
    return True


def _use(message: sip.Request | sip.Response) -> None:
    """Whatever a call asks of a message that was taken."""
    headers = message.headers
    sip.cseq(headers)
    sip.cause_of(message)
    for name in ("Via", "Route", "Contact", "Supported", "P-Asserted-Identity"):
        headers.all(name)
        headers.tokens(name)
    for name in ("From", "To"):
        address = sip.NameAddr.parse(headers.get(name))
        assert sip.NameAddr.parse(str(address)).params == address.params
        _ = address.uri.username
    for value in headers.all("Authorization"):
        try:
            str(Credentials.parse(value))
        except Malformed:
            pass
    if isinstance(message, sip.Request):
        sip.response_to(message, 180, tag="t").encode()
        uri = sip.Uri.parse(message.uri)
        assert sip.Uri.parse(str(uri)) == uri


def read_stream(data: bytes, rng: random.Random) -> bool:
    """The same over TCP, torn to pieces; most with a length that is right, or all would end there."""
    if rng.random() < 0.8 and b"ontent-Length" not in data:
        head, end, body = data.partition(b"\r\n\r\n")
        data = head + b"\r\nContent-Length: %d" % len(body) + end + body
    parser, taken = sip.StreamParser(), False
    at = 0
    while at < len(data):
        size = rng.choice((1, 7, 100, 1400, 65_536))
        piece, at = data[at : at + size], at + size
        try:
            while parser.feed(piece):
                taken, piece = True, b""
        except sip.BadRequest:
            continue
        except Malformed:
            return taken
    return taken


def read_sdp(data: bytes, rng: random.Random) -> bool:
    """An offer: read, answered, and the answer read; and as the answer to an offer of ours."""
    try:
        offer = sdp.Description.parse(data)
    except Malformed:
        return False
    sdp.Description.parse(offer.encode())
    codecs = ("L16", "G722", "PCMU", "PCMA")
    try:
        _, reply = negotiation.answer(offer, host="127.0.0.1", port=30000, codecs=codecs, srtp="offered")
        sdp.Description.parse(reply.encode())
        negotiation.agreed(negotiation.offer(host="127.0.0.1", port=30000, codecs=codecs), offer)
    except negotiation.Unacceptable:
        return False
    return True


def read_rtp(data: bytes, rng: random.Random) -> bool:
    """A datagram on either of a call's two ports."""
    try:
        if rtp.is_rtcp(data):
            return bool(rtcp.parse(data))
        packet = rtp.parse(data)
        telephone_event.Event.parse(packet.payload)
    except Malformed:
        return False
    return True


TARGETS: dict[str, Target] = {"SIP": read_sip, "SIP stream": read_stream, "SDP": read_sdp, "RTP, RTCP": read_rtp}
