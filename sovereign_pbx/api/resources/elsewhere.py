"""Operations of the hosted platform that a PBX of one's own can't have: each says why, and what to do instead."""

from typing import Any, Final, NoReturn

from sovereign_pbx.api.errors import not_here
from sovereign_pbx.api.operation import ROOT, Asked, Method, Operation, Scope

_DOMAINS: Final = (
    "Mail domains are verified at the hosted platform's mail service. Here reports go out through the mail server of"
    " [mail] in the configuration, from any address that server allows."
)
_CHATS: Final = (
    "Chats belong to the hosted platform's dashboard, where they were deprecated. Calls, with what was said, are at"
    " GET /api/v1/calls."
)
_WEB_CALLS: Final = (
    "Web calls need the hosted platform's media server (LiveKit) for browsers, which this daemon does not have. Let the"
    " browser call a number or an extension of the PBX instead, with a SIP client over WebRTC."
)

_AREAS: Final[tuple[tuple[str, str, tuple[tuple[Method, str, str], ...]], ...]] = (
    (
        "domains",
        _DOMAINS,
        (
            ("GET", "/domains", "getDomain"),
            ("POST", "/domains", "createDomain"),
            ("DELETE", "/domains", "deleteDomain"),
            ("GET", "/domains/sync", "getDomainSync"),
            ("POST", "/domains/sync", "syncDomain"),
            ("POST", "/domains/verify", "verifyDomain"),
            ("POST", "/domains/refresh", "refreshDomain"),
        ),
    ),
    (
        "chats",
        _CHATS,
        (
            ("GET", "/chats", "listChats"),
            ("POST", "/chats", "createChat"),
            ("GET", "/chats/context", "getChatContext"),
            ("DELETE", "/chats/{id}", "deleteChat"),
        ),
    ),
)


def operations() -> list[Operation]:
    """All of them, behind the key as there."""
    found = [_operation(tag, why, method, path, name) for tag, why, many in _AREAS for method, path, name in many]
    web_calls: dict[str, Any] = {"tag": "web calls", "why": _WEB_CALLS, "method": "POST", "path": "/web-calls"}
    return [
        *found,
        _operation(**web_calls, name="createWebCall", root="/v1"),
        _operation(**web_calls, name="createWebCallHere"),
    ]


def _operation(tag: str, why: str, method: Method, path: str, name: str, root: str = ROOT) -> Operation:
    async def refuse(asked: Asked) -> NoReturn:
        raise not_here(why)

    scope: Scope = "read" if method == "GET" else "calls" if tag == "web calls" else "admin"
    return Operation(
        method=method,
        path=path,
        root=root,
        name=name,
        summary="Not on a PBX of one's own (501).",
        description=why,
        tag=tag,
        handler=refuse,
        scope=scope,
        status=501,
        deprecated=tag == "chats",
    )
