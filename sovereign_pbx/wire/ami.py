"""The Asterisk Manager Interface below its messages: blocks of bytes, and header lines that can't be broken out of.

Messages are `Name: value` lines ended by CR LF, a blank line behind each message. They are cut apart as bytes and
decoded whole, so a UTF-8 character that the network split over two packets survives.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from sovereign_pbx.wire.malformed import Malformed

BANNER_PREFIX: Final = b"Asterisk Call Manager/"
BLOCK_END: Final = b"\r\n\r\n"
# Commands such as `core show …` put their whole output into one block.
MAX_BLOCK_BYTES: Final = 1 << 20
MAX_VALUE_CHARACTERS: Final = 4_096

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_FORBIDDEN: Final = re.compile(r"[\r\n\0]")


def banner_version(line: bytes) -> str:
    """The protocol version from the line that Asterisk greets with.

    Raises:
        Malformed: something else answers on this port.
    """
    if not line.startswith(BANNER_PREFIX):
        raise Malformed("this port does not greet as an Asterisk Call Manager")
    return line[len(BANNER_PREFIX) :].strip().decode("ascii", "replace")


def header(name: str, value: object) -> str:
    """`value` as text that is safe behind `name:`. Refuses rather than repairs: a repaired number is a wrong number.

    Raises:
        Malformed: the name is no header name, or the value holds CR, LF or NUL (another header, another action).
    """
    if not _NAME.fullmatch(name):
        raise Malformed(f"{name[:40]!r} is no AMI header name")
    text = str(value)
    if _FORBIDDEN.search(text):
        raise Malformed(f"the AMI header {name} can't hold line breaks or NUL")
    if len(text) > MAX_VALUE_CHARACTERS:
        raise Malformed(f"the AMI header {name} is longer than {MAX_VALUE_CHARACTERS} characters")
    return text


def encode(text: str) -> bytes:
    """Text of an action as bytes; what `decode` could not read goes back as it came."""
    return text.encode("utf-8", "surrogateescape")


def decode(block: bytes) -> str:
    """One complete block as text, without the blank line behind it. Bytes that are not UTF-8 survive as surrogates."""
    return block.decode("utf-8", "surrogateescape").strip("\r\n")


def percent_decoded(value: str) -> str:
    """A percent-encoded value (AsyncAGI `Env` and `Result`), tolerant of stray percent signs."""
    return unquote_to_bytes(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
