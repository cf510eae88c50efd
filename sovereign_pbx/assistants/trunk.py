"""A trunk: what the PBX reaches the outside world by (contract §16.2).

The PBX owns the trunk itself, with its registration and codecs; what stands here is how the daemon names it.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from sovereign_pbx.assistants.model import IDENTIFIER
from sovereign_pbx.assistants.secret import NO_SECRET
from sovereign_pbx.assistants.shape import Choice, Flag, Text, Whole
from sovereign_pbx.assistants.table import setting

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """One trunk of the PBX."""

    id: str = setting("", IDENTIFIER, "Identifier; without it one is derived from the name.", example="carrier")
    name: str = setting("", Text(1, 200), "Name that people see; without it the name of the table.", example="Carrier")
    endpoint: str = setting(
        "",
        Text(0, 64, pattern=r"[A-Za-z0-9_.-]*", what="a name of letters, digits, _, - and ."),
        "What the PBX calls it (the PJSIP endpoint); without it the name, with - for what can't stand there.",
        example="carrier-endpoint",
    )
    pbx: Literal["", "asterisk", "freeswitch", "sip"] = setting(
        "",
        Choice(("", "asterisk", "freeswitch", "sip")),
        "Which PBX has it: an endpoint of Asterisk, a gateway of FreeSWITCH, or the address below dialled by the "
        "daemon itself (sip); empty: the first that is enabled, in this order.",
    )
    provider: str = setting("", Text(0, 200), "Whose trunk it is; kept and shown.", example="Example Telecom")
    address: str = setting(
        "", Text(0, 253), "The provider's SIP address, for the printed PBX configuration.", example="sip.example.com"
    )
    transport: Literal["udp", "tcp", "tls"] = setting(
        "udp", Choice(("udp", "tcp", "tls")), "Transport, for the printed PBX configuration."
    )
    auth_username: str = setting("", Text(0, 200), "User name there, likewise.", example="user")
    auth_password: str = setting(NO_SECRET, Text(0, 512, secret=True), "Password there; never shown again.")
    is_active: bool = setting(True, Flag(), "Off: nothing is dialled on it.")
    max_calls: int = setting(
        0,
        Whole(0, 10000),
        "Calls at once that come in or are placed on it; 0: as [limits] max_calls_per_trunk says.",
    )

    @property
    def pbx_name(self) -> str:
        """What the PBX calls it: a name that can stand in a channel's name."""
        return self.endpoint or _NO_NAME.sub("-", self.name)[:64] or "trunk"
