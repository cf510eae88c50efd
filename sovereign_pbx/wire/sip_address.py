"""Addresses in SIP messages: URIs, addresses with a name, and the stations of the Via header (RFC 3261 §19.1, §20, RFC
3966 for tel)."""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Self
from urllib.parse import unquote

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_text import MAX_PARAMETERS, TOKEN, is_token, parameters, quote, quoted_start, safe, written

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_HOST: Final = re.compile(r"[A-Za-z0-9._\-]{1,255}")
_UNSAFE: Final = re.compile(r'[\x00-\x20\x7f<>"]')
_URI_PARAMETER: Final = re.compile(r"([^;?=]+)(?:=([^;?=]*))?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_VIA: Final = re.compile(r"SIP\s*+/\s*+2\.0\s*+/\s*+([^\s/;,]++)\s++(.*)", re.DOTALL | re.IGNORECASE)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ ]*")
_SIP_SCHEMES: Final = ("sip", "sips")


def host_and_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[address]:port`; the host of an IPv6 reference without its brackets.

    Raises:
        Malformed: no host, or a port beyond 65535.
    """
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest.lstrip()[:1], rest.lstrip()[1:]
        if not bracket or not _is_ipv6(host) or colon not in ("", ":"):
            raise Malformed("an IPv6 reference is [address] or [address]:port")
    else:
        host, colon, port = text.partition(":")
        host = host.rstrip()
        if not _HOST.fullmatch(host):
            raise Malformed("a host is made of letters, digits, dots and hyphens")
    return host, _port(port.strip()) if colon else None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise Malformed("a port is a number from 1 to 65535")
    return int(text)


def host_text(host: str, port: int | None = None) -> str:
    """As it stands in a URI or a Via: brackets around IPv6, the port where there is one."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


@dataclass(slots=True)
class Uri:
    """`sip:user:password@host:port;params?headers`. `user`, parameters and headers stand here as on the wire, escapes
    and all, so that an address goes back as it came (but for the case of its parameters' names); `username` and
    `header` give them as text.

    Of `tel:` the number is the `user`. Of any other scheme only `opaque` is known: everything behind the colon.
    """

    scheme: str = "sip"
    user: str = ""
    host: str = ""
    port: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    password: str = field(default="", repr=False)
    opaque: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Malformed."""
        scheme, colon, rest = text.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme):
            raise Malformed("an address begins with its scheme")
        if _UNSAFE.search(rest) or not rest:
            raise Malformed("an address is empty, or holds spaces, quotes, brackets or control characters")
        scheme = scheme.lower()
        if scheme == "tel":
            number, _, params = rest.partition(";")
            return cls(scheme, number, params=_uri_parameters(params))
        if scheme not in _SIP_SCHEMES:
            return cls(scheme, opaque=rest)
        return cls._parse_sip(scheme, rest)

    @classmethod
    def _parse_sip(cls, scheme: str, rest: str) -> Self:
        userinfo, at, behind = rest.partition("@")
        user, _, password = userinfo.partition(":") if at else ("", "", "")
        if at and not user:
            raise Malformed("an address with @ names a user before it")
        place, question, headers = (behind if at else rest).partition("?")
        where, _, params = place.partition(";")
        host, port = host_and_port(where)
        return cls(scheme, user, host, port, _uri_parameters(params), _uri_headers(headers, question), password)

    @property
    def username(self) -> str:
        """The user as text: escapes undone, control characters (an escaped NUL among them) as spaces."""
        return _CONTROL.sub(" ", unquote(self.user, errors="replace"))

    def header(self, name: str) -> str:
        """A header that the address asks for, escapes undone; "" without it. It came from the network."""
        return next((unquote(value) for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def __str__(self) -> str:
        if self.opaque:
            return safe(f"{self.scheme}:{self.opaque}", "an address")
        params = "".join(f";{name}={value}" if value else f";{name}" for name, value in self.params.items())
        if self.scheme == "tel":
            return _sendable(f"tel:{self.user}{params}")
        password = f":{self.password}" if self.password else ""
        user = f"{self.user}{password}@" if self.user else ""
        headers = "&".join(f"{name}={value}" for name, value in self.headers.items())
        question = "?" if headers else ""
        return _sendable(f"{self.scheme}:{user}{host_text(self.host, self.port)}{params}{question}{headers}")


def _sendable(text: str) -> str:
    if _UNSAFE.search(text):
        raise ValueError("an address can't hold spaces, quotes, brackets or control characters")
    return text


def _uri_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if text.count(";") >= MAX_PARAMETERS:
        raise Malformed(f"an address has at most {MAX_PARAMETERS} parameters")
    for part in text.split(";") if text else ():
        match = _URI_PARAMETER.fullmatch(part)
        if match is None:
            raise Malformed("a parameter of an address is empty or holds a question mark")
        name, value = match[1].lower(), match[2] or ""
        if found.setdefault(name, value) != value:
            raise Malformed("a parameter of an address comes twice, with different values")
    return found


def _uri_headers(text: str, question: str) -> dict[str, str]:
    if question and not text:
        raise Malformed("an address ends in a question mark")
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {name: value for name, _, value in pairs}


@dataclass(slots=True)
class NameAddr:
    """From, To, Contact and their like: `"display" <uri>;params`. `display` is text, without quotes and escapes."""

    display: str
    uri: Uri
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Malformed."""
        text = text.strip()
        start = quoted_start(text)
        if start is not None:
            display, rest = start
            rest = rest.lstrip()
        else:
            display, rest = _plain_name(text)
        if not rest.startswith("<"):
            if display:
                raise Malformed("an address behind a name stands in angle brackets")
            return cls._bare(text)
        uri, bracket, params = rest[1:].partition(">")
        if not bracket:
            raise Malformed("an angle bracket has no end")
        return cls(display, Uri.parse(uri.strip()), parameters(params))

    @classmethod
    def _bare(cls, text: str) -> Self:
        """Without brackets a semicolon begins a parameter of the header, not of the address (§20.10)."""
        address, semicolon, rest = text.partition(";")
        if "?" in address or "," in address:
            raise Malformed("an address with a question mark or a comma stands in angle brackets")
        return cls("", Uri.parse(address.strip()), parameters(semicolon + rest))

    @property
    def tag(self) -> str:
        return self.params.get("tag", "")

    def __str__(self) -> str:
        display = safe(self.display, "a name")
        if display:
            display = (display if _PLAIN_NAME.fullmatch(display) else quote(display)) + " "
        return f"{display}<{self.uri}>{safe(written(self.params), 'a parameter')}"


def _plain_name(text: str) -> tuple[str, str]:
    """Words before an angle bracket. Commas and the like among them are let through: whom they name is clear."""
    if text.startswith('"'):
        raise Malformed("a quoted name has no end")
    name, bracket, rest = text.partition("<")
    if not bracket:
        return "", text
    if '"' in name:
        raise Malformed("a quote stands inside an unquoted name")
    return name.strip(), bracket + rest


@dataclass(slots=True)
class Via:
    """One station that a request has passed: its transport as written there ("UDP"), and where it wants the answer."""

    transport: str
    host: str
    port: int | None = None
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Malformed."""
        match = _VIA.fullmatch(text.strip())
        if match is None or not TOKEN.fullmatch(match[1]):
            raise Malformed("a Via begins with SIP/2.0, a transport and a host")
        where, semicolon, params = match[2].partition(";")
        host, port = host_and_port(where)
        return cls(match[1], host, port, parameters(semicolon + params))

    @property
    def branch(self) -> str:
        """The transaction's mark, "" where it is none by RFC 3261 (the magic alone, or an older peer's)."""
        branch = self.params.get("branch", "")
        return branch if branch.lower().startswith(MAGIC) and len(branch) > len(MAGIC) else ""

    def __str__(self) -> str:
        if not is_token(self.transport):
            raise ValueError("a transport is a token")
        text = f"SIP/2.0/{self.transport} {host_text(self.host, self.port)}{written(self.params)}"
        return safe(text, "a Via")


MAGIC: Final = "z9hg4bk"  # RFC 3261 §8.1.1.7, folded
