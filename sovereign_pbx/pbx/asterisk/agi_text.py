"""Text that crosses between the network, the daemon and the dialplan, made harmless in both directions."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.link import Offer
from sovereign_pbx.wire.fastagi import Request

MAX_TEXT: Final = 256
MAX_VARIABLES: Final = 32

_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})=(.*)", re.DOTALL)
# A comma, ampersand, bracket or dollar in a channel variable would be read by the dialplan: more arguments, more
# destinations, an expression. Toll fraud begins there.
_DESTINATION: Final = re.compile(r"[0-9A-Za-z+*#@._/:-]{1,128}")


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
