"""Session descriptions (RFC 4566, RFC 8866): read leniently, written strictly.

Kept is what negotiating telephone audio needs: who described, where the sound goes, each m= line with its formats and
attributes. Everything else is read and dropped. The work is linear in the size of the text, which is bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final, Self

from sovereign_pbx.wire.malformed import Malformed

MAX_BYTES: Final = 16_384
MAX_LINES: Final = 320
MAX_MEDIA: Final = 8
MAX_FORMATS: Final = 64  # of one m= line
MAX_ATTRIBUTES: Final = 128  # of one m= line
_MAX_VERSION: Final = (1 << 64) - 1

_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_+./-]{1,64}\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,20}\Z")

Attribute = tuple[str, str]  # ("rtpmap", "0 PCMU/8000"); ("sendonly", "") for a flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One m= line and what belongs to it. Port 0 means: refused, or not wanted any more."""

    kind: str  # "audio"
    port: int
    protocol: str  # "RTP/AVP"
    formats: tuple[str, ...]  # payload types, best first
    connection: str = ""  # address of its own c= line; "": the session's
    attributes: tuple[Attribute, ...] = field(default=(), repr=False)  # a crypto line holds a key

    def attribute(self, name: str) -> str | None:
        """The value of the first a=`name`, "" for a flag, None where there is none."""
        return next((value for known, value in self.attributes if known == name), None)

    def all(self, name: str) -> Iterator[str]:
        return (value for known, value in self.attributes if known == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """An offer or an answer."""

    session_id: int
    version: int
    address: str  # of o=
    user: str = "-"
    connection: str = ""  # the session's c=
    attributes: tuple[Attribute, ...] = field(default=(), repr=False)
    media: tuple[Media, ...] = ()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Raises Malformed, naming the line by its number."""
        reader = _Reader()
        user, session_id, version, address = reader.read(text)
        return cls(
            user=user,
            session_id=session_id,
            version=version,
            address=address,
            connection=reader.connection,
            attributes=tuple(reader.attributes),
            media=tuple(reader.media),
        )

    def encode(self) -> bytes:
        connection = self.connection or self.address
        lines = [
            "v=0",
            f"o={self.user} {self.session_id} {self.version} {_connection(self.address)}",
            "s=-",
            f"c={_connection(connection)}",
            "t=0 0",
            *_attributes(self.attributes),
        ]
        for media in self.media:
            lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}")
            if media.connection and media.connection != connection:
                lines.append(f"c={_connection(media.connection)}")
            lines += _attributes(media.attributes)
        return "".join(f"{line}\r\n" for line in lines).encode()

    def attribute(self, name: str) -> str | None:
        return next((value for known, value in self.attributes if known == name), None)

    def address_of(self, media: Media) -> str:
        """Where the sound of `media` goes: an IP address, or a host's name."""
        return media.connection or self.connection


def is_address(host: str) -> bool:
    """Whether `host` is an IP address and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _connection(host: str) -> str:
    return f"IN IP{6 if ':' in host else 4} {host}"


def _attributes(attributes: tuple[Attribute, ...]) -> list[str]:
    return [f"a={name}:{value}" if value else f"a={name}" for name, value in attributes]


class _Reader:
    """Goes over the lines once. What an m= line opens lasts until the next one."""

    def __init__(self) -> None:
        self.origin: tuple[str, int, int, str] | None = None
        self.connection = ""
        self.attributes: list[Attribute] = []
        self.media: list[Media] = []
        self.open: Media | None = None
        self.own: list[Attribute] = []  # of the open m= line

    def read(self, text: bytes) -> tuple[str, int, int, str]:
        """What o= says; the rest is kept here."""
        if len(text) > MAX_BYTES:
            raise Malformed(f"a description of {len(text)} bytes is over the limit of {MAX_BYTES}")
        lines = text.decode("utf-8", "replace").split("\n")
        if len(lines) > MAX_LINES:
            raise Malformed(f"a description of more than {MAX_LINES} lines")
        if lines[0].strip() != "v=0":
            raise Malformed("a description must begin with v=0")
        for number, line in enumerate(lines, 1):
            self.line(number, line.strip("\r\0 \t"))
        self.close()
        if self.origin is None:
            raise Malformed("a description without o= line")
        return self.origin

    def line(self, number: int, line: str) -> None:
        if not line:
            return
        kind, equals, value = line.partition("=")
        if not equals or len(kind) != 1:
            raise Malformed(f"line {number} is not of the form x=…")
        if kind == "m":
            self.close()
            self.open = _media(number, value)
        elif kind == "c":
            self.take_connection(number, value)
        elif kind == "o":
            self.origin = _origin(number, value)
        elif kind == "a":
            self.take_attribute(number, value)

    def close(self) -> None:
        if self.open is None:
            return
        if len(self.media) == MAX_MEDIA:
            raise Malformed(f"more than {MAX_MEDIA} m= lines")
        self.media.append(replace(self.open, attributes=tuple(self.own)))
        self.open, self.own = None, []

    def take_connection(self, number: int, value: str) -> None:
        host = _address(number, value)
        if self.open is None:
            self.connection = host
        elif not self.open.connection:  # further ones are layers of a multicast
            self.open = replace(self.open, connection=host)

    def take_attribute(self, number: int, value: str) -> None:
        name, _, rest = value.partition(":")
        attributes = self.attributes if self.open is None else self.own
        if len(attributes) == MAX_ATTRIBUTES:
            raise Malformed(f"line {number}: more than {MAX_ATTRIBUTES} attributes in one place")
        if _TOKEN.match(name):
            attributes.append((name.lower(), rest.strip()))


def _origin(number: int, value: str) -> tuple[str, int, int, str]:
    words = value.split()
    if len(words) != 6:
        raise Malformed(f"line {number}: o= has six fields")
    if not (_NUMBER.match(words[1]) and _NUMBER.match(words[2])):
        raise Malformed(f"line {number}: the session's id and version are numbers")
    host = _address(number, " ".join(words[3:]))
    return words[0][:64], int(words[1]), min(int(words[2]), _MAX_VERSION), host


def _address(number: int, value: str) -> str:
    """The host of `IN IP4 host[/ttl]`."""
    words = value.split()
    if len(words) != 3 or words[0].upper() != "IN" or words[1].upper() not in ("IP4", "IP6"):
        raise Malformed(f"line {number}: an address is IN IP4 … or IN IP6 …")
    host = words[2].split("/", 1)[0]
    if "%" in host:
        raise Malformed(f"line {number}: an address with a scope means something on its own machine only")
    if is_address(host):
        return str(ip_address(host))
    if not _HOST.match(host):
        raise Malformed(f"line {number}: neither an address nor a host's name")
    return host


def _media(number: int, value: str) -> Media:
    words = value.split()
    if len(words) < 4:
        raise Malformed(f"line {number}: m= has a kind, a port, a protocol and formats")
    port = words[1].split("/", 1)[0]
    if not _NUMBER.match(port) or int(port) > 65535:
        raise Malformed(f"line {number}: the port is a number up to 65535")
    if len(words) - 3 > MAX_FORMATS:
        raise Malformed(f"line {number}: more than {MAX_FORMATS} formats")
    if not all(_TOKEN.match(word) for word in (words[0], *words[2:])):
        raise Malformed(f"line {number}: kind, protocol and formats are of letters, digits and + - . / _")
    return Media(kind=words[0].lower(), port=int(port), protocol=words[2].upper(), formats=tuple(words[3:]))
