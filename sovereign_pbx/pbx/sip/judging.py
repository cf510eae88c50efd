"""Requests that are answered before anybody else hears of them (RFC 3261 §8.2): what can't be understood, what is not
done here, and OPTIONS."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from sovereign_pbx.pbx.sip.transport import Flow
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request, Response, Uri, Via, response_to, tag_of

ALLOWED: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "INFO", "NOTIFY")
_HANDED_ON: Final = (*ALLOWED, "REFER")  # which is refused as what it is: nobody outside steers our calls
_KNOWN: Final = (*_HANDED_ON, "REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "PRACK")
_ONLY_INSIDE: Final = ("BYE", "INFO", "UPDATE")  # NOTIFY and REFER may come outside, and are refused by who knows more
_OFFERING: Final = ("INVITE", "UPDATE")
_SDP: Final = "application/sdp"
_SCHEMES: Final = ("sip", "sips", "tel")
MAX_BODY_BYTES: Final = 16_384


def stamp(request: Request, flow: Flow) -> int | None:
    """Write into the top Via where the request really came from (§18.2.1, RFC 3581). Returns the port that its answers
    go to, None for the one it came from."""
    try:
        via = Via.parse(request.headers.get("Via"))
    except Malformed:
        return None
    symmetric = "rport" in via.params
    if symmetric:
        via.params["rport"] = str(flow.peer[1])
    if symmetric or via.host.lower() != flow.peer[0].lower():
        via.params["received"] = flow.peer[0]
    else:
        via.params.pop("received", None)
    request.headers.replace_first("Via", str(via))
    return None if symmetric else via.port or (5061 if flow.kind == "tls" else 5060)


class Judge:
    """Answers that are made from the request alone and of which nothing is kept (§8.2.7)."""

    def __init__(self, supported: Sequence[str]) -> None:
        self._supported = tuple(supported)
        self._key = secrets.token_bytes(16)
        self._allow = ("Allow", ", ".join(ALLOWED))

    def reply(self, request: Request, status: int, *headers: tuple[str, str], tag: str = "") -> Response:
        return response_to(request, status, tag=tag or self._tag(request), headers=headers)

    def verdict(self, request: Request) -> Response | None:
        """The answer to a request that nobody else needs to see; None where somebody does."""
        return self._impossible(request) or self._outside(request) or self._unreadable(request)

    def _impossible(self, request: Request) -> Response | None:
        if request.method not in _KNOWN:
            return self.reply(request, 501, self._allow)
        if request.method not in _HANDED_ON:
            return self.reply(request, 405, self._allow)
        if Uri.parse(request.uri).scheme not in _SCHEMES:
            return self.reply(request, 416)
        unknown = [word for word in request.headers.tokens("Require") if word not in self._supported]
        if unknown:
            return self.reply(request, 420, ("Unsupported", ", ".join(unknown)))
        return None

    def _outside(self, request: Request) -> Response | None:
        if tag_of(request.headers, "To"):
            return None
        if request.method in _ONLY_INSIDE:
            return self.reply(request, 481)
        if request.method == "OPTIONS":
            return self.reply(request, 200, self._allow, ("Accept", _SDP), ("Supported", ", ".join(self._supported)))
        # No proxy, so a request at its last hop may end here (§8.2). A call may be passed on, though (RFC 7332).
        if request.method == "INVITE" and request.headers.get("Max-Forwards").strip("0") == "":
            return self.reply(request, 483) if "Max-Forwards" in request.headers else None
        return None

    def _unreadable(self, request: Request) -> Response | None:
        headers = request.headers
        if len(request.body) > MAX_BODY_BYTES:
            return self.reply(request, 513)
        if request.method not in _OFFERING:
            return None
        if any(word != "identity" for word in headers.tokens("Content-Encoding")):
            return self.reply(request, 415, ("Accept-Encoding", "identity"))
        kind = headers.get("Content-Type").partition(";")[0].strip().lower()
        if request.body and kind != _SDP:
            return self.reply(request, 415, ("Accept", _SDP))
        accepted = [word.partition(";")[0].strip() for word in headers.tokens("Accept")]
        if accepted and not {_SDP, "application/*", "*/*"} & set(accepted):
            return self.reply(request, 406)
        return None

    def _tag(self, request: Request) -> str:
        """The same for every repetition of a request, though none is remembered."""
        headers = request.headers
        parts = "\0".join((headers.get("Via"), headers.get("Call-ID"), headers.get("CSeq")))
        return hmac.new(self._key, parts.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]
