"""Text that crosses between the network, the daemon and the dialplan, made harmless in both directions."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.core.values import AnsweredBy
from sovereign_pbx.pbx.link import Offer
from sovereign_pbx.wire.fastagi import Request

MAX_TEXT: Final = 256
MAX_VARIABLES: Final = 32

_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})=(.*)", re.DOTALL)
# A comma, ampersand, bracket or dollar in a channel variable would be read by the dialplan: more arguments, more
# destinations, an expression. Toll fraud begins there.
_DESTINATION: Final = re.compile(r"[0-9A-Za-z+*#@._/:-]{1,128}")
# One extension or number in a channel's name, where @ / : would begin something else.
_NUMBER: Final = re.compile(r"\+?[0-9A-Za-z]{1,64}")
_TRUNK: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A number as a telephone shows it, or the name of an extension that was dialled.
_SHOWN: Final = re.compile(r"[0-9A-Za-z+*#._]{1,64}")
_MUSIC: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")
# What the dialplan or the manager interface acts on: it becomes a space.
_ACTIVE: Final = re.compile(r"""[,;&|$`'"\\\[\](){}<>=^%]""")
_VALUE_CHARACTERS: Final = 120

OWN_PREFIX: Final = "SOVEREIGN_VAR_"
"""Begins the name of every variable that a customer gives a call: none of them can be one that means something."""


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


def own_variables(variables: Mapping[str, str]) -> list[str]:
    """A customer's variables for the dialplan, as `NAME=value`, harmless: what a dialplan could act on is a space.

    Names that can't be variables are left out, and so are those beyond 32.
    """
    named = [(name, value) for name, value in variables.items() if _NAME.fullmatch(name)]
    return [
        f"__{OWN_PREFIX}{name}={_ACTIVE.sub(' ', clean(value))[:_VALUE_CHARACTERS]}"
        for name, value in named[:MAX_VARIABLES]
    ]


def cause_of(text: str) -> int | None:
    """A Q.850 cause from a variable or a header; None for what is none (0 is Asterisk's "not known")."""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 128 else None


def call_token(text: str) -> str:
    """The id of a call as the dialplan gives it back, in its usual form; "" when it is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def known(variables: Mapping[str, str], name: str) -> str:
    """A variable's text; "" for what Asterisk calls `unknown`, too."""
    value = clean(variables.get(name, ""))
    return "" if value == "unknown" else value


def offer_from(request: Request, call_id: str) -> Offer:
    """The call that an `/inbound` request describes.

    The first argument is the number dialled (else `agi_dnid`, else `agi_extension`); the others, `NAME=value`, become
    variables.
    """
    env = request.variables
    called, *others = request.arguments or ("",)
    variables = [match for text in others if (match := _VARIABLE.fullmatch(text))]
    return Offer(
        call_id=call_id,
        caller=known(env, "callerid"),
        caller_name=known(env, "calleridname"),
        called=clean(called) or known(env, "dnid") or known(env, "extension"),
        channel=clean(env.get("channel", "")),
        pbx_id=clean(env.get("uniqueid", "")),
        variables={match[1]: clean(match[2]) for match in variables[:MAX_VARIABLES]},
    )


def answered_by(arguments: Sequence[str]) -> AnsweredBy:
    """What `AMD()` has found, from an `/outbound` request's second and third argument (AMDSTATUS, AMDCAUSE).

    A machine only because nothing was said is not one for us: people lift the receiver and wait, too. Whatever is not
    one of Asterisk's own words is as if it had not listened.
    """
    status, cause = (*arguments[1:3], "", "")[:2]
    if status == "HUMAN":
        return "person"
    return "mailbox" if status == "MACHINE" and not cause.startswith("INITIALSILENCE") else "unknown"
