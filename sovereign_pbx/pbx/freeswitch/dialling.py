"""What FreeSWITCH is told to dial, and with which variables.

| the destination | is dialled as |
|---|---|
| a number, with a trunk | `sofia/gateway/TRUNK/NUMBER` |
| a SIP URI, with or without a trunk | `sofia/PROFILE/sip:…` |
| a number without a trunk | `loopback/NUMBER/CONTEXT-dial/XML`: the administrator's own context decides |
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.harmless import clean, destination, number, shown_number, trunk
from sovereign_pbx.wire import esl
from sovereign_pbx.wire.malformed import Malformed

MAX_VARIABLES: Final = 32
OWN_PREFIX: Final = "sovereign_var_"
"""Begins the name of every variable that a customer gives a call: none of them can be one that means something."""

# A colleague who has answered and is neither briefed nor connected within that time was forgotten by somebody.
PARKED_S: Final = 30

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")
_HARMLESS: Final = re.compile(r"[^0-9A-Za-z+*#@._:/-]")
_VALUE_CHARACTERS: Final = 120


def mark_of(instance: str) -> str:
    """How the ids of an installation's own channels begin: 40 bits, as UUIDs are written."""
    marked = hashlib.sha256(instance.encode()).hexdigest()
    return f"{marked[:8]}-{marked[8:10]}"


def new_id(mark: str) -> str:
    """A channel's id, which a later daemon of the same installation knows for its own."""
    return mark + str(uuid4())[len(mark) :]


def endpoint(wanted: str, gateway: str, *, profile: str, context: str) -> str:
    """The dial string. Raises BadInput for what must not reach FreeSWITCH."""
    wanted, gateway = destination(wanted), trunk(gateway)
    if wanted.startswith(("sip:", "sips:")):
        return f"sofia/{profile}/{wanted}"  # a gateway would write its own host into the address
    return f"sofia/gateway/{gateway}/{number(wanted)}" if gateway else f"loopback/{number(wanted)}/{context}-dial/XML"


def variables(
    channel: str,
    *,
    instance: str,
    ring_s: float,
    caller_id: str = "",
    diverted_from: str = "",
    parked: bool = False,
    customers: Mapping[str, str] | None = None,
) -> str:
    """The variables of a call that is to ring for `ring_s` seconds, as they stand before its dial string; `parked`: who
    answers waits to be taken somewhere. Raises BadInput.
    """
    found = {
        "origination_uuid": channel,
        "originate_timeout": str(max(1, round(ring_s))),
        # Sound before the answer would count as one: &park() and the dialplan begin with it
        "ignore_early_media": "true",
        # A loopback channel that takes itself out of the way takes its id along
        "loopback_bowout": "false",
        "loopback_bowout_on_execute": "false",
        "sovereign_instance": instance,
    }
    if parked:
        found["park_timeout"] = f"{PARKED_S}:NORMAL_CLEARING"
    if caller_id:
        found["origination_caller_id_number"] = shown_number("the caller id", caller_id)
        found["origination_caller_id_name"] = caller_id
    if diverted_from:
        shown = shown_number("the number diverted from", diverted_from)
        found["sip_h_Diversion"] = f"<sip:{shown}@invalid>;reason=deflection"
    try:
        return esl.channel_variables({**found, **_own(customers or {})})
    except Malformed as exc:
        raise BadInput(str(exc)) from exc


def _own(customers: Mapping[str, str]) -> dict[str, str]:
    """A customer's variables, harmless: what FreeSWITCH could act on, spaces among it, is an underscore. Names that
    can't be variables are left out, and so are those beyond 32."""
    named = [(name, value) for name, value in customers.items() if _NAME.fullmatch(name)]
    return {
        f"{OWN_PREFIX}{name}": _HARMLESS.sub("_", clean(value))[:_VALUE_CHARACTERS]
        for name, value in named[:MAX_VARIABLES]
    }
