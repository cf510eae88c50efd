"""An INVITE that a proxy took to several telephones, more than one of which answered."""

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Response, Uri, cseq


def bye_of_fork(invite: Request, response: Response) -> tuple[Request, Request, Uri] | None:
    """ACK and BYE for an answer that nobody waits for, and where they go first; None where it does not say."""
    try:
        target = NameAddr.parse(response.headers.get("Contact")).uri
        routes = list(reversed(response.headers.all("Record-Route")))
        first = NameAddr.parse(routes[0]).uri if routes else target
    except Malformed:
        return None
    number = cseq(invite.headers)[0]
    return (
        _request("ACK", number, invite, response, target, routes),
        _request("BYE", number + 1, invite, response, target, routes),
        first,
    )


def _request(method: str, number: int, invite: Request, response: Response, target: Uri, routes: list[str]) -> Request:
    headers = Headers([("Route", route) for route in routes])
    headers.add("From", invite.headers.get("From"))
    headers.add("To", response.headers.get("To"))
    headers.add("Call-ID", invite.headers.get("Call-ID"))
    headers.add("CSeq", f"{number} {method}")
    return Request(method, str(target), headers)
