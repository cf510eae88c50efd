"""REFER with Replaces (RFC 3515, 3891): two calls that we have with a PBX become one that it has by itself.

The caller's end is asked to call the colleague in place of the call that we have with him; the PBX finds that call in
itself by the three values of `Replaces`.
"""

from dataclasses import dataclass
from urllib.parse import quote

from sovereign_pbx.wire.sip import Request
from sovereign_pbx.wire.sip_address import Uri


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The dialog that is to be replaced, as its other end knows it: `to_tag` is that end's own tag."""

    call_id: str
    to_tag: str
    from_tag: str

    def refer_to(self, target: Uri) -> str:
        """The URI to refer to. `target`: the contact of whom we called."""
        value = f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}"
        return str(
            Uri(
                target.scheme,
                target.user,
                target.host,
                target.port,
                dict(target.params),
                {"Replaces": quote(value, safe="")},
            )
        )


def takes_refer(invite: Request) -> bool:
    """Whether whoever sent this INVITE says that it can be referred to a call of ours."""
    return "refer" in invite.headers.tokens("Allow") and "replaces" in invite.headers.tokens("Supported")
