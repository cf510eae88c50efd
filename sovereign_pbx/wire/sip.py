"""SIP messages (RFC 3261): bytes in, requests and responses out, and back.

Lenient in what is read as far as its meaning is clear, strict in what is written: no header that leaves here can hold a
line break or NUL. Bytes that are no UTF-8 survive as surrogates. Every bound (size, lines, headers) is fixed, every
pattern linear: a message costs what its length allows, whoever made it.

The parser is ours because the one that is kept well, sipmessage 0.7.1, read 23 of the 28 messages of RFC 4475 that must
be read (none with folded headers, or addresses of other schemes), and took 9 of the 19 that must not be (two lengths, a
CSeq of another method).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_address import NameAddr, Uri, Via, host_text
from sovereign_pbx.wire.sip_causes import CAUSE_OF_STATUS, STATUS_OF_CAUSE, cause_in, reason_header
from sovereign_pbx.wire.sip_headers import Headers
from sovereign_pbx.wire.sip_phrases import PHRASES
from sovereign_pbx.wire.sip_text import is_token, safe

__all__ = [
    "CAUSE_OF_STATUS",
    "STATUS_OF_CAUSE",
    "BadRequest",
    "Headers",
    "NameAddr",
    "Request",
    "Response",
    "StreamParser",
    "Uri",
    "Via",
    "cause_of",
    "cseq",
    "host_text",
    "parse",
    "reason_header",
    "response_to",
    "tag_of",
]

MAX_MESSAGE_BYTES: Final = 65_535
MAX_HEAD_BYTES: Final = 32_768
MAX_LINE_CHARACTERS: Final = 8_192
MAX_HEADERS: Final = 256
MAX_LINES: Final = 1_024  # of a head, continuations included
# Of Via, Route and the like, each of which costs some 10 µs: as many as hops there may be (RFC 3261 §8.1.1.6)
MAX_STATIONS: Final = 70
MAX_CSEQ: Final = 2**32 - 1  # RFC 3261 says 2**31 - 1; peers that begin anywhere in 32 bits are in use

_HEAD_END: Final = b"\r\n\r\n"
_VERSION: Final = "SIP/2.0"
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE | re.DOTALL)
_CSEQ: Final = re.compile(r"([0-9]{1,16})\s++(\S++)")
_SINGLE: Final = ("From", "To", "Call-ID", "CSeq")
_AT_MOST_ONCE: Final = ("Max-Forwards", "Content-Length", "Content-Type")


@dataclass(slots=True)
class Request:
    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Raises ValueError where a part of it can't be sent."""
        if not is_token(self.method):
            raise ValueError("a method is a token")
        if not self.uri or any(character <= " " for character in self.uri):
            raise ValueError("the address of a request can't hold spaces or control characters")
        return _encode(f"{self.method} {self.uri} {_VERSION}", self.headers, self.body)


@dataclass(slots=True)
class Response:
    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Raises ValueError where a part of it can't be sent."""
        if not 100 <= self.status <= 699:
            raise ValueError("a status is 100 to 699")
        return _encode(f"{_VERSION} {self.status} {safe(self.reason, 'a phrase')}", self.headers, self.body)


class BadRequest(Malformed):
    """A request that breaks a rule, but whose answer finds its way back: `request` as far as it could be read, without
    body; `status` what it deserves."""

    def __init__(self, rule: str, status: int, request: Request) -> None:
        super().__init__(rule)
        self.status = status
        self.request = request


def parse(datagram: bytes) -> Request | Response:
    """One message that came whole. What follows its body is ignored (RFC 3261 §18.3).

    Raises:
        BadRequest: a request that breaks a rule and can be answered.
        Malformed: anything else that is no SIP message.
    """
    if len(datagram) > MAX_MESSAGE_BYTES:
        raise Malformed(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
    data = datagram.lstrip(b"\r\n")
    head, end, body = data.partition(_HEAD_END)
    if not end:
        raise Malformed("a message's head ends with a blank line")
    return _message(head, body, stream=False)


class StreamParser:
    """Cuts a TCP or TLS stream into messages, by their Content-Length. `pings` counts the double line breaks that a
    peer sends to see whether the connection lives (RFC 5626 §4.4.1); whoever answers them sets it back."""

    def __init__(self) -> None:
        self.pings = 0
        self._buffer = bytearray()
        self._searched = 0

    @property
    def waiting(self) -> bool:
        """A message has begun and is not complete."""
        return len(self._buffer) > len(b"\r\n")

    def feed(self, data: bytes) -> list[Request | Response]:
        """Every message that is complete, up to one that breaks a rule: call again (with nothing) until the list is
        empty, and that one is raised.

        Raises:
            BadRequest: as in `parse`; the stream is still in step, and may go on.
            Malformed: it is not, and must end.
        """
        self._buffer += data
        messages: list[Request | Response] = []
        while True:
            try:
                message = self._next()
            except Malformed as exc:
                if messages:
                    return messages
                self._drop(exc)
                raise
            if message is None:
                return messages
            messages.append(message)

    def _next(self) -> Request | Response | None:
        self._skip_keep_alives()
        head_end = self._head_end()
        if head_end < 0:
            return None
        head = bytes(self._buffer[:head_end])
        whole = head_end + len(_HEAD_END) + _body_length(head)
        if whole > MAX_MESSAGE_BYTES:
            raise Malformed(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
        if len(self._buffer) < whole:
            return None
        message = _message(head, bytes(self._buffer[head_end + len(_HEAD_END) : whole]), stream=True)
        self._cut(whole)
        return message

    def _head_end(self) -> int:
        found = self._buffer.find(_HEAD_END, max(0, self._searched - len(_HEAD_END)))
        self._searched = len(self._buffer)
        if found < 0 and len(self._buffer) > MAX_HEAD_BYTES:
            raise Malformed(f"a message's head has at most {MAX_HEAD_BYTES} bytes")
        if found >= 0:
            self._searched = found
        return found

    def _skip_keep_alives(self) -> None:
        while self._buffer.startswith(_HEAD_END):
            self.pings += 1
            self._cut(len(_HEAD_END))
        # A single line break is the answer to a ping of ours; half a ping waits for its other half.
        if self._buffer.startswith(b"\r\n") and len(self._buffer) > 2 and not self._buffer.startswith(b"\r\n\r"):
            self._cut(2)

    def _drop(self, exc: Malformed) -> None:
        """Past the message that is to be answered, if its end is known; nothing is kept otherwise."""
        end = self._buffer.find(_HEAD_END)
        if not isinstance(exc, BadRequest) or end < 0:
            self._cut(len(self._buffer))
            return
        self._cut(end + len(_HEAD_END) + _body_length(bytes(self._buffer[:end])))

    def _cut(self, size: int) -> None:
        del self._buffer[:size]
        self._searched = 0


def cseq(headers: Headers) -> tuple[int, str]:
    """The number and the method. Raises Malformed."""
    match = _CSEQ.fullmatch(headers.get("CSeq").strip())
    if match is None or not is_token(match[2]) or int(match[1]) > MAX_CSEQ:
        raise Malformed("CSeq is a number of 32 bits and a method")
    return int(match[1]), match[2]


def tag_of(headers: Headers, name: str) -> str:
    """The tag of From or To; "" without one, or where the header can't be read."""
    try:
        return NameAddr.parse(headers.get(name)).tag
    except Malformed:
        return ""


def cause_of(message: Request | Response) -> int | None:
    """The cause of Q.850 that the message tells (RFC 3326), or None."""
    return cause_in(message.headers)


def response_to(
    request: Request,
    status: int,
    reason: str = "",
    *,
    tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """A response with all that must be the request's own (RFC 3261 §8.2.6, §12.1.1). `tag` becomes the To tag where
    there is none yet. A body needs its Content-Type among `headers`."""
    copied = ["Via"]
    if 100 < status < 300:
        copied.append("Record-Route")  # only these make a dialog
    lines = [(name, value) for name, value in request.headers if name in copied]
    lines += [("From", request.headers.get("From"))] if "From" in request.headers else []
    if "To" in request.headers:
        to = request.headers.get("To")
        lines.append(("To", f"{to};tag={tag}" if tag and status > 100 and not tag_of(request.headers, "To") else to))
    lines += [(name, request.headers.get(name)) for name in ("Call-ID", "CSeq") if name in request.headers]
    if status == 100 and "Timestamp" in request.headers:
        lines.append(("Timestamp", request.headers.get("Timestamp")))
    return Response(status, reason or PHRASES.get(status, "Unknown"), Headers([*lines, *headers]), body)


def _encode(start: str, headers: Headers, body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers if name != "Content-Length")]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def _message(head: bytes, body: bytes, *, stream: bool) -> Request | Response:
    """`body` holds what came behind the head: with a stream exactly what was announced."""
    if len(head) > MAX_HEAD_BYTES:
        raise Malformed(f"a message's head has at most {MAX_HEAD_BYTES} bytes")
    start, headers, broken = _read_head(head)
    if start[:8].upper() == "SIP/2.0 ":
        return _response(start, headers, broken, body)
    return _request(start, headers, broken, body, stream)


def _read_head(head: bytes) -> tuple[str, Headers, str]:
    """The start line, the headers that can be read, and the first rule that the others break, "" if none."""
    text = head.decode("utf-8", "surrogateescape")
    start, *lines = _unfolded(text)
    headers, broken = Headers(), ""
    if len(lines) > MAX_HEADERS:
        raise Malformed(f"a message has at most {MAX_HEADERS} headers")
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not is_token(name):
            broken = broken or "a header is a name, a colon and a value"
            continue
        headers.add(name, value.strip(" \t"))
    return start, headers, broken


def _unfolded(text: str) -> list[str]:
    """The lines of a head, continued ones joined (§7.3.1). NUL, which a quoted string may escape, becomes a question
    mark: no header can be written with it."""
    lines: list[list[str]] = []
    if text.count("\r\n") >= MAX_LINES:
        raise Malformed(f"a message's head has at most {MAX_LINES} lines")
    for line in text.replace("\0", "?").split("\r\n"):
        if "\r" in line or "\n" in line:
            raise Malformed("a line ends with CR LF, and holds neither alone")
        if line[:1] in (" ", "\t") and len(lines) > 1:
            lines[-1].append(line.strip(" \t"))
        else:
            lines.append([line])
    joined = [" ".join(parts) for parts in lines]
    if any(len(line) > MAX_LINE_CHARACTERS for line in joined):
        raise Malformed(f"a line has at most {MAX_LINE_CHARACTERS} characters")
    return joined


def _response(start: str, headers: Headers, broken: str, body: bytes) -> Response:
    match = _STATUS.fullmatch(start)
    if match is None:
        raise Malformed("a response begins with a version, a status of three digits and a phrase")
    broken = broken or _broken_rule(headers)
    if broken:
        raise Malformed(broken)
    return Response(int(match[1]), match[2] or "", headers, _body(headers, body))


def _request(start: str, headers: Headers, broken: str, body: bytes, stream: bool) -> Request:
    method, _, rest = start.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not is_token(method) or not re.fullmatch(r"SIP/[0-9]+\.[0-9]+\s*", version.lstrip(), re.IGNORECASE):
        # a space behind the version hides it (RFC 4475 §3.1.2.10)
        if not (is_token(method) and rest.rstrip().upper().endswith(_VERSION)):
            raise Malformed("a request begins with a method, an address and a version")
        uri, version = rest, ""
    if "Via" not in headers:
        raise Malformed("a request has a Via")
    request = Request(method, uri, headers)
    if version and version.upper() != _VERSION:
        raise BadRequest("the version is not SIP/2.0", 505, request)
    if " " in uri or not uri or not version:
        raise BadRequest("the parts of a request's first line are apart by one space", 400, request)
    try:
        _check_request(request, broken)
        request.body = _body(headers, body)
    except Malformed as exc:
        raise BadRequest(str(exc), 400, request) from exc
    return request


def _check_request(request: Request, broken: str) -> None:
    broken = broken or _broken_rule(request.headers)
    if broken:
        raise Malformed(broken)
    if Uri.parse(request.uri).headers:
        raise Malformed("the address of a request can't ask for headers")
    if cseq(request.headers)[1] != request.method:
        raise Malformed("CSeq names the request's method")
    forwards = request.headers.get("Max-Forwards")
    if "Max-Forwards" in request.headers and not (_NUMBER.fullmatch(forwards) and int(forwards) <= 255):
        raise Malformed("Max-Forwards is 0 to 255")


def _broken_rule(headers: Headers) -> str:
    """The first rule that the headers break, of those without which a message can't be handled; "" if none."""
    for name in _SINGLE:
        if len(headers.all(name)) != 1:
            return f"a message has one {name}"
    for name in _AT_MOST_ONCE:
        if len(headers.all(name)) > 1:
            return f"a message has at most one {name}"
    call_id = headers.get("Call-ID")
    if not call_id or " " in call_id or "\t" in call_id:
        return "a Call-ID is one word"
    try:
        cseq(headers)
        _read_addresses(headers)
    except Malformed as exc:
        return str(exc)
    return ""


def _read_addresses(headers: Headers) -> None:
    if "Via" not in headers:
        raise Malformed("a message has a Via")
    for value in _few(headers, "Via"):
        Via.parse(value)
    for name in ("From", "To", "Route", "Record-Route", "Contact"):
        for value in _few(headers, name):
            if value != "*" or name != "Contact":
                NameAddr.parse(value)


def _few(headers: Headers, name: str) -> list[str]:
    values = headers.all(name)
    if len(values) > MAX_STATIONS:
        raise Malformed(f"a message has at most {MAX_STATIONS} {name}")
    return values


def _body(headers: Headers, behind: bytes) -> bytes:
    """What is the body of all that came behind the head."""
    if "Content-Length" not in headers:
        return behind
    text = headers.get("Content-Length")
    if not _NUMBER.fullmatch(text):
        raise Malformed("Content-Length is a number")
    if int(text) > len(behind):
        raise Malformed("Content-Length announces more than came")
    return behind[: int(text)]


def _body_length(head: bytes) -> int:
    """What a head on a stream announces. Raises Malformed without a number that is beyond doubt (§18.3)."""
    _, headers, _ = _read_head(head)
    values = headers.all("Content-Length")
    if len(values) != 1 or not _NUMBER.fullmatch(values[0]):
        raise Malformed("a message on a stream has one Content-Length, a number")
    return int(values[0])
