"""Keys for SRTP in session descriptions (SDES, RFC 4568): the a=crypto lines.

Whoever reads the description reads the keys, so without TLS under SIP they protect the sound from those only who see
the RTP and not the signalling.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

KEY_BYTES: Final = 30  # 16 of key, 14 of salt, in both suites
SUITES: Final = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")

_LINE: Final = re.compile(r"(\d{1,9}) +(\S{1,64}) +inline:(\S{1,256})(?: +(.{1,256}))?\Z")
# A shorter window for replays is a wish of the sender's that costs us nothing; others change what is on the wire.
_HARMLESS: Final = re.compile(r"WSH=\d{1,4}\Z")


@dataclass(frozen=True, slots=True)
class Key:
    """One side's master key with its salt, under the number (tag) that offer and answer name it by."""

    tag: int
    suite: str
    master: bytes = field(repr=False)

    def __str__(self) -> str:
        """The value of the a=crypto line."""
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.master).decode()}"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a call's sound is encrypted with: ours for what we send, theirs for what comes."""

    ours: Key
    theirs: Key


def new_key(tag: int, suite: str) -> Key:
    return Key(tag, suite, secrets.token_bytes(KEY_BYTES))


def parse_key(value: str) -> Key | None:
    """The key of an a=crypto line; None for whatever this side can't do (other suites, an MKI, several keys)."""
    found = _LINE.match(value)
    if found is None or found[2] not in SUITES:
        return None
    if found[4] is not None and not all(_HARMLESS.match(word) for word in found[4].split()):
        return None
    text, *more = found[3].split("|")
    if ";" in found[3] or any(":" in word for word in more):  # the second part of two is an MKI, the first a lifetime
        return None
    try:
        master = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Key(int(found[1]), found[2], master) if len(master) == KEY_BYTES else None
