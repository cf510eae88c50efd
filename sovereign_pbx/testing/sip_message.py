"""SIP messages and their SDP, as far as a scripted phone on loopback needs them (RFC 3261, RFC 4566)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Self

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.testing.rtp_packet import TELEPHONE_EVENT

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
RTPMAP = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000", TELEPHONE_EVENT: "telephone-event/8000"}


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A request ("INVITE sip:… SIP/2.0") or a response ("SIP/2.0 200 OK"). Header names compare without case."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises BadInput when `data` is no SIP message."""
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        if "SIP/2.0" not in start:
            raise BadInput(f"not a SIP message: {start[:60]!r}")
        pairs = (line.partition(":") for line in lines if ":" in line)
        return cls(start, tuple((name.strip(), value.strip()) for name, _, value in pairs), body)

    def encode(self) -> bytes:
        body = self.body.encode()
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers), f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.headers if given.lower() == name.lower()]

    def get(self, name: str) -> str:
        """The first header of that name, or ""."""
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int:
        """The response's code; 0 for a request."""
        match = re.match(r"SIP/2\.0 (\d{3})", self.start)
        return int(match.group(1)) if match else 0

    @property
    def method(self) -> str:
        """The request's method, or that of the request which the response answers."""
        return self.cseq[1] if self.status else self.start.split(" ", 1)[0]

    @property
    def cseq(self) -> tuple[int, str]:
        match = re.match(r"(\d+)\s+(\w+)", self.get("CSeq"))
        return (int(match.group(1)), match.group(2)) if match else (0, "")

    def tag(self, header: str) -> str:
        """The tag of From or To, or ""."""
        match = re.search(r";tag=([^;\s]+)", self.get(header))
        return match.group(1) if match else ""

    @property
    def contact(self) -> str:
        """The address of the Contact header, or ""."""
        match = re.search(r"<([^>]+)>", self.get("Contact"))
        return match.group(1) if match else ""

    @property
    def cause(self) -> int | None:
        """The Q.850 cause of the Reason header (RFC 3326), if there is one."""
        for value in self.all("Reason"):
            match = re.search(r"Q\.850\s*;\s*cause=(\d+)", value, re.IGNORECASE)
            if match:
                return int(match.group(1))
        return None


def response(request: SipMessage, status: str, extra: Iterable[tuple[str, str]], body: str, tag: str) -> SipMessage:
    """The answer `status` ("486 Busy Here") to `request`; `tag` becomes the To tag where there is none."""
    to = request.get("To")
    if ";tag=" not in to and not status.startswith("100"):
        to += f";tag={tag}"
    headers = [("Via", via) for via in request.all("Via")]
    headers += [("From", request.get("From")), ("To", to)]
    headers += [(name, request.get(name)) for name in ("Call-ID", "CSeq")]
    content = [("Content-Type", "application/sdp")] if body else []
    return SipMessage(f"SIP/2.0 {status}", (*headers, *extra, *content), body)


@dataclass(frozen=True, slots=True)
class Media:
    """One end's audio: where it listens, what it takes, which way it flows."""

    host: str
    port: int
    payload_types: tuple[int, ...] = field(default=(0,))
    direction: Direction = "sendrecv"

    @classmethod
    def parse(cls, body: str) -> Self | None:
        """The audio of an SDP body, or None when there is none."""
        line = re.search(r"(?m)^m=audio (\d+) \S+ ([\d ]+)", body)
        host = re.search(r"(?m)^c=IN IP4 (\S+)", body)
        if not line or not host:
            return None
        direction = re.search(r"(?m)^a=(sendrecv|sendonly|recvonly|inactive)\s*$", body)
        types = tuple(int(number) for number in line.group(2).split())
        flow: Direction = direction.group(1) if direction else "sendrecv"  # type: ignore[assignment] # the pattern's four
        return cls(host.group(1), int(line.group(1)), types, flow)

    def sdp(self, version: int = 1) -> str:
        """A session description with this audio alone; `version` must grow with each offer (RFC 3264 §8)."""
        types = " ".join(map(str, self.payload_types))
        lines = [
            "v=0",
            f"o=- 1 {version} IN IP4 {self.host}",
            "s=-",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {types}",
            *(f"a=rtpmap:{number} {RTPMAP[number]}" for number in self.payload_types),
            f"a=fmtp:{TELEPHONE_EVENT} 0-15",
            "a=ptime:20",
            f"a={self.direction}",
        ]
        return "\r\n".join([*lines, ""])
