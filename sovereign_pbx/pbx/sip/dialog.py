"""A dialog (RFC 3261 §12): who speaks to whom after an INVITE, from whichever end it was placed."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Response, Uri, cseq

Pairs = Iterable[tuple[str, str]]

MAX_FORWARDS: Final = "70"
_MAX_ROUTES: Final = 32


def new_tag() -> str:
    """64 bits: that nobody guesses it is what keeps strangers out of the dialog (RFC 3261 §19.3 asks for 32)."""
    return secrets.token_hex(8)


def new_call_id() -> str:
    return secrets.token_hex(16)


@dataclass(slots=True, eq=False)
class Dialog:
    """`local` and `remote` with their tags; `target`: where the other end wants requests (its Contact); `routes`: the
    proxies on the way, the next one first. `sequence` is the number of our last request, `their_sequence` of theirs."""

    call_id: str
    local: NameAddr
    remote: NameAddr
    target: Uri
    routes: tuple[str, ...]
    sequence: int
    their_sequence: int = 0

    @classmethod
    def offered(cls, invite: Request, tag: str) -> Self:
        """Of an INVITE that came, as its answer with our `tag` makes it. Raises Malformed."""
        local = NameAddr.parse(invite.headers.get("To"))
        local.params["tag"] = tag
        return cls(
            call_id=invite.headers.get("Call-ID"),
            local=local,
            remote=NameAddr.parse(invite.headers.get("From")),
            target=_contact(invite.headers),
            routes=_routes(invite.headers),
            sequence=secrets.randbelow(2**16) + 1,
            their_sequence=cseq(invite.headers)[0],
        )

    @classmethod
    def placed(cls, invite: Request, answer: Response) -> Self:
        """Of an INVITE of ours, as an answer with a tag makes it. Raises Malformed."""
        return cls(
            call_id=invite.headers.get("Call-ID"),
            local=NameAddr.parse(invite.headers.get("From")),
            remote=NameAddr.parse(answer.headers.get("To")),
            target=_contact(answer.headers),
            routes=tuple(reversed(_routes(answer.headers))),
            sequence=cseq(invite.headers)[0],
        )

    @property
    def key(self) -> tuple[str, str]:
        """Call-ID and our own tag: ours alone is enough to tell dialogs of one call apart (forks)."""
        return self.call_id, self.local.tag

    @property
    def next_hop(self) -> Uri:
        """Where our requests go: the first proxy on the way, or the other end itself."""
        return NameAddr.parse(self.routes[0]).uri if self.routes else self.target

    def request(self, method: str, *, number: int | None = None, headers: Pairs = (), body: bytes = b"") -> Request:
        """The next request of ours; with `number` one that belongs to an earlier one (an ACK). The transport adds the
        Via."""
        if number is None:
            self.sequence += 1
            number = self.sequence
        uri, routes = self._way()
        named = [
            ("Max-Forwards", MAX_FORWARDS),
            ("From", str(self.local)),
            ("To", str(self.remote)),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        ]
        return Request(method, uri, Headers([*(("Route", route) for route in routes), *named, *headers]), body)

    def is_of(self, request: Request) -> bool:
        """Whether a request with our tag has the other end's as well. One that came without a tag (RFC 2543) may leave
        it out."""
        try:
            return NameAddr.parse(request.headers.get("From")).tag == self.remote.tag
        except Malformed:
            return False

    def follows(self, request: Request) -> bool:
        """Whether a request comes after those that came before; it counts as come then (RFC 3261 §12.2.2)."""
        number = cseq(request.headers)[0]
        if number <= self.their_sequence:
            return False
        self.their_sequence = number
        return True

    def refresh(self, headers: Headers) -> None:
        """A re-INVITE, an UPDATE or its answer may name another Contact; one without, or a bad one, changes nothing."""
        if "Contact" in headers:
            try:
                self.target = _contact(headers)
            except Malformed:
                return

    def _way(self) -> tuple[str, list[str]]:
        """Request URI and Route headers; a proxy of the strict kind wants itself in the URI (RFC 3261 §12.2.1.1)."""
        if not self.routes or "lr" in NameAddr.parse(self.routes[0]).uri.params:
            return str(self.target), list(self.routes)
        return str(NameAddr.parse(self.routes[0]).uri), [*self.routes[1:], f"<{self.target}>"]


def _contact(headers: Headers) -> Uri:
    uri = NameAddr.parse(headers.get("Contact")).uri
    if uri.scheme not in ("sip", "sips"):
        raise Malformed("Contact is no SIP address")
    return uri


def _routes(headers: Headers) -> tuple[str, ...]:
    """Checked here, so that no request fails over them later."""
    routes = tuple(headers.all("Record-Route"))
    if len(routes) > _MAX_ROUTES:
        raise Malformed(f"more than {_MAX_ROUTES} Record-Route headers")
    for route in routes:
        NameAddr.parse(route)
    return routes
