"""`/byok`: keys of one's own at the providers (contract §23). They go in, and never come out again."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from sovereign_pbx.api.errors import ApiError, invalid, not_here
from sovereign_pbx.api.operation import Asked, Handler, Method, Operation
from sovereign_pbx.api.schema import OBJECT, SUCCESS, TEXT, object_schema
from sovereign_pbx.assistants.problem import Problem, nearest
from sovereign_pbx.assistants.shape import Text, Url
from sovereign_pbx.assistants.table import Key, Table

SERVED: Final = ("deepgram", "openai", "elevenlabs", "xai", "mistral", "inworld")
"""Providers of the contract that this daemon speaks to."""

ELSEWHERE: Final = ("resend", "gladia", "google", "google_vertex")
"""Those that it does not."""

_NAME: Final = Text(1, 64, pattern=r"[A-Za-z0-9][A-Za-z0-9_-]*", what="the name of a provider")
_PROVIDER: Final = Key("provider", _NAME, f"One of {', '.join(SERVED)}.", required=True)

KEY_BODY: Final = Table(
    _PROVIDER,
    Key(
        "api_key",
        Text(4, 4096, pattern=r"[\x21-\x7e]+", what="a key of printable characters without spaces", secret=True),
        "The key; it is never shown again.",
        required=True,
    ),
)
REMOVAL: Final = Table(_PROVIDER)
CONFIG_BODY: Final = Table(
    _PROVIDER,
    Key(
        "base_url",
        Url(("http", "https", "ws", "wss"), empty=True),
        "Address of a service of one's own; empty: the vendor's.",
        required=True,
    ),
)

KEYS: Final = object_schema({f"{name}_secret_id": TEXT for name in (*SERVED, *ELSEWHERE)})
ANSWER: Final = object_schema({"byok_keys": KEYS})
CHANGED: Final = object_schema({**SUCCESS["properties"], "byok_keys": KEYS})
CONFIGURED: Final = object_schema({"byok_config": OBJECT})


class Accounts(Protocol):
    """The accounts at the providers. What changes them raises Refused where the administrator's file has them."""

    def secret_id(self, provider: str) -> str | None: ...

    def base_url(self, provider: str) -> str | None: ...

    async def set_key(self, provider: str, api_key: str) -> None: ...

    async def remove_key(self, provider: str) -> None: ...

    async def set_base_url(self, provider: str, base_url: str) -> None: ...


def operations(accounts: Accounts) -> list[Operation]:
    """See which keys there are, give one, take one away, say where a provider is."""

    async def shown(asked: Asked) -> dict[str, Any]:
        return {"byok_keys": _ids(accounts)}

    async def given(asked: Asked) -> dict[str, Any]:
        await accounts.set_key(_provider(asked.body), asked.body["api_key"])
        return {"success": True, "byok_keys": _ids(accounts)}

    async def removed(asked: Asked) -> dict[str, Any]:
        await accounts.remove_key(_provider(asked.body))
        return {"success": True, "byok_keys": _ids(accounts)}

    async def configured(asked: Asked) -> dict[str, Any]:
        await accounts.set_base_url(_provider(asked.body), asked.body["base_url"])
        addresses = {name: {"base_url": accounts.base_url(name)} for name in SERVED if accounts.base_url(name)}
        return {"byok_config": addresses}

    return [
        Operation(
            method="GET",
            path="/byok",
            name="getByokKeys",
            summary="Which providers have a key.",
            tag="byok",
            handler=shown,
            answer=ANSWER,
        ),
        _change(
            "POST", "/byok", "setByokKey", "Give a provider's key; it counts from the next call on.", given, KEY_BODY
        ),
        _change("DELETE", "/byok", "deleteByokKey", "Take a provider's key away.", removed, REMOVAL),
        _change("POST", "/byok/config", "setByokConfig", "Say where a provider is asked.", configured, CONFIG_BODY),
    ]


def _change(method: Method, path: str, name: str, summary: str, handler: Handler, body: Table) -> Operation:
    return Operation(
        method=method,
        path=path,
        name=name,
        summary=summary,
        tag="byok",
        handler=handler,
        scope="admin",
        body=body,
        answer=CONFIGURED if body is CONFIG_BODY else CHANGED,
        errors=(404, 409, 501),
    )


def _ids(accounts: Accounts) -> dict[str, str | None]:
    return {f"{name}_secret_id": accounts.secret_id(name) for name in (*SERVED, *ELSEWHERE)}


def _provider(body: Mapping[str, Any]) -> str:
    name = str(body["provider"])
    if name in SERVED:
        return name
    if name in ELSEWHERE:
        raise not_here(f"This daemon does not speak to {name}, so a key for it would do nothing.")
    raise _unknown(name)


def _unknown(name: str) -> ApiError:
    guess = nearest(name, SERVED)
    remedy = f"did you mean {guess!r}?" if guess else f"known here: {', '.join(SERVED)}"
    return invalid([Problem(("provider",), f"there is no provider {name!r}", remedy)])
