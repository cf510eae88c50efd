"""Requests as a peer sends them, and flows that keep what is sent."""

from collections.abc import Sequence

from sovereign_pbx.pbx.sip.transport import Kind
from sovereign_pbx.wire.sip import Request, Response, parse

HERE = "127.0.0.1"


def wire(
    method: str = "INVITE",
    *,
    uri: str = "sip:800@127.0.0.1:5090",
    branch: str = "z9hG4bK1",
    via: str = "",
    to_tag: str = "",
    call_id: str = "c1",
    number: int = 1,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """A request in good order."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via or f'SIP/2.0/UDP {HERE}:5060;rport;branch={branch}'}",
        "From: <sip:100@127.0.0.1>;tag=peer",
        f"To: <sip:800@127.0.0.1>{';tag=' + to_tag if to_tag else ''}",
        f"Call-ID: {call_id}",
        f"CSeq: {number} {method}",
        "Contact: <sip:100@127.0.0.1:5060>",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if not any(name == "Max-Forwards" for name, _ in headers):
        lines.append("Max-Forwards: 70")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def request(method: str = "INVITE", **how: object) -> Request:
    message = parse(wire(method, **how))  # type: ignore[arg-type]  # handed on as they came
    assert isinstance(message, Request)
    return message


def response(data: bytes) -> Response:
    message = parse(data)
    assert isinstance(message, Response)
    return message


class KeptFlow:
    """A flow whose messages stay here."""

    def __init__(self, kind: Kind = "udp", port: int = 5060) -> None:
        self.kind: Kind = kind
        self.peer = (HERE, port)
        self.local = (HERE, 5090)
        self.reliable: bool = kind != "udp"
        self.sent: list[bytes] = []

    def send(self, message: Request | Response) -> None:
        self.write(message.encode())

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def towards(self, port: int) -> "KeptFlow":
        return self

    @property
    def statuses(self) -> list[int]:
        return [message.status for message in map(parse, self.sent) if isinstance(message, Response)]

    @property
    def methods(self) -> list[str]:
        return [message.method for message in map(parse, self.sent) if isinstance(message, Request)]

    def request(self, at: int = -1) -> Request:
        message = parse(self.sent[at])
        assert isinstance(message, Request)
        return message
