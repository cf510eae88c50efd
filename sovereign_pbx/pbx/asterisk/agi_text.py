"""Text that crosses between the network, the daemon and the dialplan, made harmless in both directions."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.values import AnsweredBy
from sovereign_pbx.pbx.asterisk.wideband import FORMATS
from sovereign_pbx.pbx.harmless import clean
from sovereign_pbx.pbx.link import Offer
from sovereign_pbx.wire.fastagi import Request

MAX_VARIABLES: Final = 32

_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})=(.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")
# What the dialplan or the manager interface acts on: it becomes a space.
_ACTIVE: Final = re.compile(r"""[,;&|$`'"\\\[\](){}<>=^%]""")
_VALUE_CHARACTERS: Final = 120

OWN_PREFIX: Final = "SOVEREIGN_VAR_"
"""Begins the name of every variable that a customer gives a call: none of them can be one that means something."""


def own_variables(variables: Mapping[str, str]) -> list[str]:
    """A customer's variables for the dialplan, as `NAME=value`, harmless: what a dialplan could act on is a space.

    Names that can't be variables are left out, and so are those beyond 32.
    """
    named = [(name, value) for name, value in variables.items() if _NAME.fullmatch(name)]
    return [
        f"__{OWN_PREFIX}{name}={_ACTIVE.sub(' ', clean(value))[:_VALUE_CHARACTERS]}"
        for name, value in named[:MAX_VARIABLES]
    ]


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


def offer_from(request: Request, call_id: str, rate: int = PHONE_RATE) -> Offer:
    """The call that an `/inbound` request describes, with links at `rate` Hz.

    The first argument is the number dialled (else `agi_dnid`, else `agi_extension`); the others, `NAME=value`, become
    variables.
    """
    env = request.variables
    called, *others = request.arguments or ("",)
    given = (text for text in others if not text.startswith(FORMATS))
    variables = [match for text in given if (match := _VARIABLE.fullmatch(text))]
    return Offer(
        call_id=call_id,
        caller=known(env, "callerid"),
        caller_name=known(env, "calleridname"),
        called=clean(called) or known(env, "dnid") or known(env, "extension"),
        channel=clean(env.get("channel", "")),
        pbx_id=clean(env.get("uniqueid", "")),
        variables={match[1]: clean(match[2]) for match in variables[:MAX_VARIABLES]},
        rate=rate,
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
