"""Text that crosses between the network, the daemon and a PBX: made harmless, or refused."""

import re
import unicodedata
from typing import Final

from sovereign_pbx.core.errors import BadInput

MAX_TEXT: Final = 256

# A comma, ampersand, bracket or dollar in a channel variable would be read by the dialplan: more arguments, more
# destinations, an expression. Toll fraud begins there.
_DESTINATION: Final = re.compile(r"[0-9A-Za-z+*#@._/:-]{1,128}")
# One extension or number in a channel's name, where @ / : would begin something else.
_NUMBER: Final = re.compile(r"\+?[0-9A-Za-z]{1,64}")
_TRUNK: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A number as a telephone shows it, or the name of an extension that was dialled.
_SHOWN: Final = re.compile(r"[0-9A-Za-z+*#._]{1,64}")
_MUSIC: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def clean(text: str) -> str:
    """What came from the network as text that any database, log or JSON document can hold, of bounded length."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c for c in valid[:MAX_TEXT] if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def destination(text: str) -> str:
    """A destination that may be written into the dialplan.

    Raises:
        BadInput: it holds a character that the dialplan might act on, or is empty or too long.
    """
    if not _DESTINATION.fullmatch(text):
        raise BadInput(
            f"the destination {text[:40]!r} can't be dialled: letters, digits and + * # @ . - _ / : only, 128 at most"
        )
    return text


def number(text: str) -> str:
    """A number or extension that may stand in a channel's name. Raises BadInput."""
    if not _NUMBER.fullmatch(text):
        raise BadInput(f"{text[:40]!r} can't be dialled: a number or an extension can, of 64 characters at most")
    return text


def trunk(text: str) -> str:
    """The name of a PJSIP endpoint, as it may stand in a channel's name; "" for none. Raises BadInput."""
    if text and not _TRUNK.fullmatch(text):
        raise BadInput(f"the trunk {text[:40]!r} can't be dialled on: letters, digits, _ . - only, 64 at most")
    return text


def shown_number(what: str, text: str) -> str:
    """A number that somebody is shown; "" for none. Raises BadInput."""
    if text and not _SHOWN.fullmatch(text):
        raise BadInput(f"{what} {text[:40]!r} can't be shown: digits, letters and + * # . _ only, 64 at most")
    return text


def music_class(text: str) -> str:
    """The name of a class of music on hold; "" for none. Raises BadInput."""
    if text and not _MUSIC.fullmatch(text):
        raise BadInput(f"{text[:40]!r} is no class of music on hold: letters, digits, _ and - only, 64 at most")
    return text


def cause_of(text: str) -> int | None:
    """A Q.850 cause from a variable or a header; None for what is none (0 is Asterisk's "not known")."""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 128 else None
