"""SIP messages for tests, as short as they can be."""

from collections.abc import Sequence

from sovereign_pbx.wire.sip import Headers, Request, Response, parse

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


def request(
    method: str = "INVITE",
    uri: str = "sip:100@127.0.0.1:5090",
    *,
    headers: Sequence[tuple[str, str]] = (),
    sequence: int = 1,
    body: str = "",
) -> Request:
    """As it would be read from the wire; `headers` take the place of the usual ones of the same name."""
    usual = {
        "Via": "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKabc",
        "Max-Forwards": "70",
        "From": '"Jan" <sip:201@127.0.0.1>;tag=theirs',
        "To": "<sip:100@127.0.0.1>",
        "Call-ID": "one-call",
        "CSeq": f"{sequence} {method}",
        "Contact": "<sip:phone@127.0.0.1:5060>",
    }
    given = {name for name, _ in headers}
    pairs = [(name, value) for name, value in usual.items() if name not in given] + list(headers)
    if body and "Content-Type" not in given:
        pairs.append(("Content-Type", "application/sdp"))
    found = parse(Request(method, uri, Headers(pairs), body.encode()).encode())
    assert isinstance(found, Request)
    return found


def response(status: int, *headers: tuple[str, str], body: bytes = b"") -> Response:
    return Response(status, "Said", Headers(headers), body)
