"""FastAGI: a block of `agi_*` lines, then one command and one reply at a time.

Source: Asterisk 22 `res_agi.c`. A bare `HANGUP` line may come at any time once the caller has gone. A usage error is
several lines: `520-…` up to `520 End of proper usage.`
"""

import re
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.wire.malformed import Malformed

MAX_REQUEST_BYTES: Final = 16_384
MAX_REQUEST_LINES: Final = 200
MAX_LINE_BYTES: Final = 8_192
MAX_USAGE_LINES: Final = 100
# `AGI_BUF_LEN` in res_agi.c is 2048: what does not fit would be read as a second command.
MAX_COMMAND_BYTES: Final = 2_000

_FORBIDDEN: Final = re.compile(r"[\r\n\0]")
_REPLY: Final = re.compile(r"(\d{3})([ -])(.*)", re.DOTALL)
_RESULT: Final = re.compile(r"result=(\S*)(?:\s+\((.*)\))?")


@dataclass(frozen=True, slots=True)
class Request:
    """The environment block: names without `agi_`, values as text. `arguments` are `agi_arg_1…` in order."""

    variables: dict[str, str]
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to one command. `result` is what follows `result=`, `data` what stands in brackets behind it."""

    code: int
    result: str
    data: str
    text: str

    @property
    def ok(self) -> bool:
        return self.code == 200 and self.result not in ("", "-1")


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller is gone (out of band; the command in flight still gets its reply)."""


Event = Request | Reply | HungUp


def command(*words: str) -> bytes:
    """One AGI command line, each word quoted, so that nothing inside a word can end it or begin another command.

    Raises:
        Malformed: a word holds a line break or NUL, or the whole is longer than Asterisk reads in one piece.
    """
    if not words or any(_FORBIDDEN.search(word) for word in words):
        raise Malformed("an AGI command can't hold line breaks or NUL, nor be empty")
    quoted = ['"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words[1:]]
    line = (" ".join([words[0], *quoted]) + "\n").encode("utf-8", "surrogateescape")
    if len(line) > MAX_COMMAND_BYTES:
        raise Malformed(f"an AGI command of {len(line)} bytes is over the limit of {MAX_COMMAND_BYTES}")
    return line


def parse_reply(text: str) -> Reply:
    """One reply, `520-` blocks already joined by line feeds.

    Raises:
        Malformed: it does not begin with a three-digit code.
    """
    match = _REPLY.match(text)
    if match is None:
        raise Malformed("an AGI reply begins with three digits")
    result = _RESULT.search(match[3]) if match[1] == "200" else None
    return Reply(int(match[1]), result[1] if result else "", (result[2] or "") if result else "", match[3].strip())


def parse_request(lines: list[str]) -> Request:
    """The environment block.

    Raises:
        Malformed: a line is not `agi_name: value`, or a name comes twice.
    """
    variables: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.startswith("agi_"):
            raise Malformed("a line of the AGI request is not `agi_name: value`")
        if name in variables:
            raise Malformed("a name comes twice in the AGI request: a value holds a line break")
        variables[name] = value.strip()
    arguments: list[str] = []
    while (key := f"agi_arg_{len(arguments) + 1}") in variables:
        arguments.append(variables.pop(key))
    return Request({name[4:]: value for name, value in variables.items()}, tuple(arguments))


class Parser:
    """Bytes in, events out. The first event is always the `Request`."""

    def __init__(self) -> None:
        self._buffer = b""
        self._head: list[str] | None = []
        self._head_bytes = 0
        self._usage: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """Every event that `data` completes.

        Raises:
            Malformed: the peer does not speak AGI, or goes on beyond a limit.
        """
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_LINE_BYTES:
            raise Malformed(f"an AGI line is longer than {MAX_LINE_BYTES} bytes")
        events = [self._line(line) for line in lines]
        return [event for event in events if event is not None]

    def _line(self, raw: bytes) -> Event | None:
        if len(raw) > MAX_LINE_BYTES:
            raise Malformed(f"an AGI line is longer than {MAX_LINE_BYTES} bytes")
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r")
        if self._head is not None:
            return self._head_line(line, len(raw))
        if line == "HANGUP":
            return HungUp()
        return self._reply_line(line)

    def _head_line(self, line: str, size: int) -> Request | None:
        assert self._head is not None
        if not line:
            request = parse_request(self._head)
            self._head = None
            return request
        self._head_bytes += size
        self._head.append(line)
        if self._head_bytes > MAX_REQUEST_BYTES or len(self._head) > MAX_REQUEST_LINES:
            raise Malformed("the AGI request is over its limit")
        return None

    def _reply_line(self, line: str) -> Reply | None:
        if self._usage:
            self._usage.append(line)
            if len(self._usage) > MAX_USAGE_LINES:
                raise Malformed("an AGI usage text without end")
            if not line.startswith("520 "):
                return None
            text, self._usage = "\n".join(self._usage), []
            return parse_reply(text)
        if line.startswith("520-"):
            self._usage = [line]
            return None
        return parse_reply(line) if line.strip() else None
