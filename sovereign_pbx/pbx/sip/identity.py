"""Who calls whom, as an INVITE says it. Everything here came from the network: text, never code."""

import re
from collections.abc import Mapping
from typing import Final

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.pbx.harmless import clean
from sovereign_pbx.pbx.link import Offer
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Uri

MAX_VARIABLES: Final = 32

_OWN: Final = "x-sovereign-"
_VARIABLE: Final = "x-sovereign-var-"
_NAME: Final = re.compile(r"(?!X_?\Z)[A-Za-z_][A-Za-z0-9_]{0,63}")
_NOBODY: Final = ("anonymous", "unavailable", "unknown", "restricted")
_WITHHELD: Final = frozenset(("id", "user", "header", "full", "yes", "name", "uri"))  # of Privacy, and of RPID


def offer_from(
    request: Request, call_id: str, *, peer: str, facts: Mapping[str, str] | None = None, rate: int = PHONE_RATE
) -> Offer:
    """The call that an INVITE from the address `peer` describes. `facts`: what a control knows better."""
    number, name = caller_of(request.headers)
    found = {
        "caller": number,
        "caller_name": name,
        "called": called(request),
        "channel": f"SIP/{peer}-{call_id[:8]}",
        "pbx_id": request.headers.get("Call-ID"),
    }
    found |= {key: value for key, value in (facts or {}).items() if key in found}
    return Offer(
        call_id=call_id,
        variables=variables(request.headers),
        rate=rate,
        **{key: clean(value) for key, value in found.items()},
    )


def called(request: Request) -> str:
    """The number dialled: the user of the request URI, else of To."""
    try:
        user = user_of(Uri.parse(request.uri))
    except Malformed:
        user = ""
    return user or _user_of(request.headers.get("To"))


def user_of(uri: Uri) -> str:
    """A user or a telephone number, without the parameters that may stand in either."""
    return uri.username.partition(";")[0].strip()


def variables(headers: Headers) -> dict[str, str]:
    """`X-Sovereign-Var-Customer: 12` as Customer, `X-Account: 7` as X_Account; other headers of ours are not for the
    assistant. 32 at most, and each of bounded length."""
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if not lower.startswith("x-") or (lower.startswith(_OWN) and not lower.startswith(_VARIABLE)):
            continue
        key = (name[len(_VARIABLE) :] if lower.startswith(_VARIABLE) else name).replace("-", "_").replace(".", "_")
        if _NAME.fullmatch(key) and len(found) < MAX_VARIABLES:
            found.setdefault(key, clean(value))
    return found


def caller_of(headers: Headers) -> tuple[str, str]:
    """Number and name; both "" for who withholds them. What the network asserts counts before what the caller says."""
    if _withheld(headers):
        return "", ""
    for value in (*headers.all("P-Asserted-Identity"), *headers.all("Remote-Party-ID"), headers.get("From")):
        try:
            address = NameAddr.parse(value)
        except Malformed:
            continue
        number = user_of(address.uri)
        if number and not _is_nobody(address):
            return number, address.display
    return "", ""


def _withheld(headers: Headers) -> bool:
    """RFC 3323 and 3325; the draft behind Remote-Party-ID has `privacy` as a parameter."""
    privacy = {word.strip().lower() for value in headers.all("Privacy") for word in value.split(";")}
    if privacy & _WITHHELD:
        return True
    for value in headers.all("Remote-Party-ID"):
        try:
            asked = NameAddr.parse(value).params.get("privacy", "off")
        except Malformed:
            continue
        if asked.lower() in _WITHHELD:
            return True
    return False


def _is_nobody(address: NameAddr) -> bool:
    return address.uri.host.lower().endswith(".invalid") or user_of(address.uri).lower() in _NOBODY


def _user_of(value: str) -> str:
    try:
        return user_of(NameAddr.parse(value).uri)
    except Malformed:
        return ""
