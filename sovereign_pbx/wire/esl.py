"""FreeSWITCH's event socket: messages in, commands out.

A message is a head of `Name: value` lines (LF) that a blank line ends, and a body where Content-Length says so. Only an
event holds percent-encoded values: in its body, or, as the answer to `connect`, in its head and without a length
(1.10.12 and 1.11.2, recorded).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from sovereign_pbx.wire.malformed import Malformed

MAX_HEAD_BYTES: Final = 1 << 18  # the answer to `connect` holds every variable of a channel, SDP included
MAX_HEADERS: Final = 4_096
MAX_BODY_BYTES: Final = 8 << 20  # `show channels as json` of some ten thousand channels
MAX_COMMAND_BYTES: Final = 1 << 16

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_FORBIDDEN: Final = re.compile(r"[\r\n\0]")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,79}")
# What could end a value, the list, or the word that the list stands in; `$` would be expanded as another variable.
_LIST_ACTS_ON: Final = re.compile(r"""[\s,'"\\{}\[\]|^$`]""")
_WORD_ACTS_ON: Final = re.compile(r"""[\s'"\\`$]""")
_UNESCAPED: Final = "/,!~*'()$"  # by switch_url_encode, besides letters, digits and . - _

_EVENT_TYPES: Final = ("text/event-plain", "text/event-json")


@dataclass(frozen=True, slots=True)
class Message:
    """What came, as it came: header values are not decoded. Names are found in any case."""

    headers: Mapping[str, str]
    body: str = ""

    def get(self, name: str) -> str:
        """The value, the first where it comes several times, "" where it does not."""
        return self.headers.get(name.lower(), "")

    @property
    def kind(self) -> str:
        """The Content-Type."""
        return self.get("content-type")

    @property
    def reply(self) -> str:
        """What a command was answered with: the text of a command/reply, the body of an api/response."""
        return self.body if self.kind == "api/response" else self.get("reply-text")

    @property
    def ok(self) -> bool:
        return not self.reply.startswith("-")

    @property
    def is_event(self) -> bool:
        return self.kind in _EVENT_TYPES

    def __repr__(self) -> str:
        return f"<Message {self.kind or 'without type'}, {len(self.body)} characters>"  # values may be secret


@dataclass(frozen=True, slots=True)
class Event:
    """An event, decoded. `body` is that of a job or a message; names are found in any case."""

    headers: Mapping[str, str] = field(repr=False)
    body: str = field(default="", repr=False)

    def get(self, name: str) -> str:
        return self.headers.get(name.lower(), "")

    @property
    def name(self) -> str:
        """As CHANNEL_ANSWER; of a CUSTOM event its subclass, as avmd::beep."""
        name = self.get("event-name")
        return (self.get("event-subclass") or name) if name == "CUSTOM" else name

    @property
    def uuid(self) -> str:
        """The channel's; "" for an event of none."""
        return self.get("unique-id")

    def variable(self, name: str) -> str:
        """A channel variable; "" where the event does not tell it."""
        return self.get(f"variable_{name}")


class Parser:
    """Bytes in any portions to messages, each as soon as it is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # bytes of the buffer in which no end of the head is
        self._head: dict[str, str] | None = None
        self._length = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete by now.

        Raises:
            Malformed: what comes is no event socket's; nothing after it can be understood.
        """
        self._buffer += data
        found: list[Message] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        if self._head is None and not self._take_head():
            return None
        if len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        assert self._head is not None
        head, self._head, self._seen = self._head, None, 0
        return Message(head, _text(body))

    def _take_head(self) -> bool:
        blank = next((at for at, byte in enumerate(self._buffer) if byte not in b"\r\n"), len(self._buffer))
        del self._buffer[:blank]
        end = self._buffer.find(b"\n\n", max(0, self._seen - 1))
        if (end if end >= 0 else len(self._buffer)) > MAX_HEAD_BYTES:
            raise Malformed(f"an event socket's head is longer than {MAX_HEAD_BYTES} bytes")
        if end < 0:
            self._seen = len(self._buffer)
            return False
        self._head = _headers(_text(bytes(self._buffer[:end])))
        del self._buffer[: end + 2]
        self._length = _length(self._head.get("content-length", "0"))
        return True


def event(message: Message) -> Event:
    """The event that a message brings.

    Raises:
        Malformed: it brings none, or one that can't be read.
    """
    match message.kind:
        case "text/event-plain":
            return _plain(message.body)
        case "text/event-json":
            return _json(message.body)
    if message.get("event-name"):  # the answer to `connect`
        return Event({name: unquote(value) for name, value in message.headers.items()}, message.body)
    raise Malformed("an event socket's message of another kind where an event should be")


def command(line: str, headers: Mapping[str, str] | None = None, body: str = "") -> bytes:
    """A command, its header lines, its body.

    Raises:
        Malformed: something in it would end its line and begin another command, or it is too long.
    """
    lines = [_safe("the command", line)]
    for name, value in (headers or {}).items():
        if not _NAME.fullmatch(name):
            raise Malformed(f"{name[:40]!r} is no header of the event socket")
        lines.append(f"{name}: {_safe(name, value)}")
    content = body.encode("utf-8", "surrogateescape")
    if content:
        lines.append(f"Content-Length: {len(content)}")
    whole = "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n\n" + content
    if len(whole) > MAX_COMMAND_BYTES:
        raise Malformed(f"a command for the event socket is longer than {MAX_COMMAND_BYTES} bytes")
    return whole


def word(what: str, text: str) -> str:
    """`text` as one argument of an api command. Raises Malformed where it would be read as several, or expanded."""
    if not text or _WORD_ACTS_ON.search(text) or _FORBIDDEN.search(text):
        raise Malformed(f"{what} {text[:40]!r} is no single word for FreeSWITCH")
    return text


def channel_variables(variables: Mapping[str, str]) -> str:
    """`{name=value,…}` as it stands before a dial string; "" for none.

    Raises:
        Malformed: a name that is none, or a value that FreeSWITCH would act on.
    """
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise Malformed(f"{name[:40]!r} is no name of a channel variable")
        if _LIST_ACTS_ON.search(value) or "\0" in value:
            raise Malformed(f"the channel variable {name} can't have spaces, commas, quotes or brackets in this place")
    return "{" + ",".join(f"{name}={value}" for name, value in variables.items()) + "}" if variables else ""


def encode_event(headers: Mapping[str, str], body: str = "") -> bytes:
    """An event as FreeSWITCH sends it (plain): for what plays its part."""
    lines = "".join(f"{name}: {quote(value, safe=_UNESCAPED)}\n" for name, value in headers.items())
    inner = f"Content-Length: {len(body.encode())}\n\n{body}" if body else "\n"
    content = (lines + inner).encode()
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(content) + content


def _plain(text: str) -> Event:
    head, _, body = text.partition("\n\n")
    headers = {name: unquote(value) for name, value in _headers(head).items()}
    return Event(headers, body[: _length(headers.get("content-length", "0"))])


def _json(text: str) -> Event:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Malformed("an event that is no JSON") from exc
    if not isinstance(found, dict):
        raise Malformed("an event that is no JSON object")
    values = {str(name).lower(): value for name, value in found.items() if isinstance(value, str)}
    return Event(values, values.pop("_body", ""))


def _headers(text: str) -> dict[str, str]:
    lines = text.split("\n")
    if len(lines) > MAX_HEADERS:
        raise Malformed(f"more than {MAX_HEADERS} headers in an event socket's message")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon and line.strip():
            raise Malformed("a line of an event socket's head that is no header")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise Malformed("a Content-Length that is no number")
    if (length := int(text)) > MAX_BODY_BYTES:
        raise Malformed(f"an event socket's body is longer than {MAX_BODY_BYTES} bytes")
    return length


def _safe(what: str, text: str) -> str:
    if _FORBIDDEN.search(text):
        raise Malformed(f"{what} for the event socket can't hold line breaks or NUL")
    return text


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
