"""The small grammar that all SIP headers share: tokens, quoted strings, parameters, lists (RFC 3261 §25).

Every pattern here matches in one pass: nothing in it can go back and try again, so that no text takes longer than its
length allows.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from sovereign_pbx.wire.malformed import Malformed

TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
MAX_PARAMETERS: Final = 64

_FORBIDDEN: Final = re.compile(r"[\r\n\0]")
# A quoted string, a bracketed address, a run of anything else; an end that is missing leaves its group empty.
_PIECE: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<quote>"?)|<[^>"]*+(?P<angle>>?)|[^",;<]++|.', re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_PLAIN_VALUE: Final = re.compile(r"[^\s\",;<>]+")


def is_token(text: str) -> bool:
    return TOKEN.fullmatch(text) is not None


def safe(text: str, what: str) -> str:
    """`text`, which can't end a line. Raises ValueError: what this side writes never breaks out of its header."""
    if _FORBIDDEN.search(text):
        raise ValueError(f"{what} can't hold line breaks or NUL")
    return text


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand outside of quoted strings and angle brackets, stripped. A quoted string
    or bracket without end takes in the rest: who needs it whole finds that out."""
    if separator not in text:
        return [text.strip()]
    parts, start = [], 0
    for piece in _PIECE.finditer(text):
        if piece[0] == separator:
            parts.append(text[start : piece.start()].strip())
            start = piece.end()
    return [*parts, text[start:].strip()]


def balanced(text: str) -> bool:
    """Every quoted string and every angle bracket has its end."""
    return all(piece["quote"] != "" and piece["angle"] != "" for piece in _PIECE.finditer(text))


def quoted_start(text: str) -> tuple[str, str] | None:
    """A quoted string that `text` begins with, without its quotes and escapes, and what follows; None without one."""
    match = _QUOTED.match(text)
    return (_ESCAPED.sub(r"\1", match[1]), text[match.end() :]) if match else None


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parameters(text: str) -> dict[str, str]:
    """`;a=1;b;c="x;y"` as names in small letters with their values, "" where there is none, quotes taken off.

    A name that comes twice with the same value counts once.

    Raises:
        Malformed: a parameter without name, a bad value, or one name with two values.
    """
    found: dict[str, str] = {}
    text = text.strip()
    if not text:
        return found
    before, *parts = split(text, ";")
    if before or not parts:
        raise Malformed("a parameter begins with a semicolon")
    if len(parts) > MAX_PARAMETERS:
        raise Malformed(f"an address has at most {MAX_PARAMETERS} parameters")
    for part in parts:
        name, value = _parameter(part)
        if found.setdefault(name, value) != value:
            raise Malformed("a parameter comes twice, with different values")
    return found


def _parameter(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    name, value = name.rstrip().lower(), value.lstrip()
    if not is_token(name):
        raise Malformed("a parameter has no name, or one that is no token")
    if value.startswith('"'):
        text = quoted_start(value)
        if text is None or text[1].strip():
            raise Malformed("a quoted parameter has no end, or something behind it")
        return name, text[0]
    if equals and not _PLAIN_VALUE.fullmatch(value):
        raise Malformed("a parameter's value is empty or holds what must be quoted")
    return name, value


def written(params: Mapping[str, str]) -> str:
    """Parameters as text; values that are neither tokens nor hosts are quoted."""
    return "".join(_written(params))


def _written(params: Mapping[str, str]) -> Iterator[str]:
    for name, value in params.items():
        if not is_token(name):
            raise ValueError("a parameter's name must be a token")
        if not value:
            yield f";{name}"
        elif _PLAIN_VALUE.fullmatch(value):
            yield f";{name}={value}"
        else:
            yield f";{name}={quote(value)}"
