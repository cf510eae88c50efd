"""The second try of a request that was challenged: the same one, with a password proven (RFC 3261 §22.2, §22.3)."""

from typing import Final

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.wire.digest import answer, strongest
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request, Response

CHALLENGED: Final = (401, 407)


def proof(refusal: Response, request: Request, username: str, password: str) -> tuple[str, str]:
    """The header that answers a 401 or 407 to `request`. Raises BadInput for a challenge that can't be answered."""
    ours, theirs = "Authorization", "WWW-Authenticate"
    if refusal.status == 407:
        ours, theirs = "Proxy-Authorization", "Proxy-Authenticate"
    try:
        challenge = strongest(refusal.headers.all(theirs))
        proven = answer(challenge, method=request.method, uri=request.uri, username=username, password=password)
        return ours, str(proven)
    except (Malformed, ValueError) as exc:
        raise BadInput(f"its challenge can't be answered: {exc}") from exc
