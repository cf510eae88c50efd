"""`/organizations`: this installation (contract §23), and `/account`, as it was asked for before (§1)."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, Protocol

from sovereign_pbx.api.errors import invalid, not_here
from sovereign_pbx.api.operation import Asked, Handler, Operation
from sovereign_pbx.api.schema import COUNT, FLAG, LIST, STRING, TEXT, object_schema
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.assistants.shape import Flag, Whole
from sovereign_pbx.assistants.table import Key, Table

UNLIMITED: Final = 1_000_000_000
"""Nothing is prepaid here. The balance is a number all the same, since client libraries have one, and so large that
nobody's alarm of a low balance goes off."""

_AMOUNT: Final[Mapping[str, Any]] = {"type": "number", "minimum": 0}
_DAYS: Final = Whole(0, 36500)
_NO_MORE: Final = (
    "One daemon is one organization: there are no others to make here. For another client start a second daemon with a"
    " configuration and a state_dir of its own, and give its key with `sovereign-pbx keys create`."
)

_SHARED: Final[Mapping[str, Any]] = {
    "id": STRING,
    "minutes_balance": _AMOUNT,
    "monthly_usage_minutes": _AMOUNT,
    "active_numbers": COUNT,
    "active_agents": COUNT,
    "active_calls": COUNT,
}
ORGANIZATION: Final = object_schema(
    {
        **_SHARED,
        "name": STRING,
        "has_local_models_access": FLAG,
        "parent_org_id": TEXT,
        "content_retention_days": COUNT,
        "metadata_retention_days": COUNT,
        "children": LIST,
    },
    optional=("children",),
)
ACCOUNT: Final = object_schema({**_SHARED, "email": STRING, "company_name": STRING})

QUERY: Final = Table(Key("include_children", Flag(), "Show `children` too; there are none.", False))
BODY: Final = Table(
    Key(
        "content_retention_days",
        _DAYS,
        "Days until transcript, summary, analysis and recording are removed; 0: never.",
        required=True,
        example=90,
    ),
    Key(
        "metadata_retention_days",
        _DAYS,
        "Days until the caller's number, the link to a campaign and the events are removed; not fewer; 0: never.",
        required=True,
        example=365,
    ),
)


class Installation(Protocol):
    """This installation."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def active_calls(self) -> int: ...

    @property
    def retention_days(self) -> Mapping[str, int]: ...

    async def keep_for(self, *, content_days: int, metadata_days: int) -> None: ...

    async def minutes_this_month(self) -> float: ...


def operations(installation: Installation, estate: Estate, *, email: str = "") -> list[Operation]:
    """See it, and say how long it keeps calls. `email` is what `/account` calls the account's."""

    async def numbers() -> dict[str, Any]:
        return {
            "id": installation.id,
            "minutes_balance": UNLIMITED,
            "monthly_usage_minutes": await installation.minutes_this_month(),
            "active_numbers": sum(entry.thing.is_active for entry in estate.numbers),
            "active_agents": sum(entry.thing.is_active for entry in estate.assistants),
            "active_calls": installation.active_calls,
        }

    async def shown(asked: Asked) -> dict[str, Any]:
        organization = await numbers() | {
            "name": installation.name,
            "has_local_models_access": True,
            "parent_org_id": None,
            **installation.retention_days,
        }
        return organization | ({"children": []} if asked.query.get("include_children") else {})

    async def changed(asked: Asked) -> dict[str, Any]:
        content, metadata = asked.body["content_retention_days"], asked.body["metadata_retention_days"]
        if metadata and (not content or content > metadata):
            problem = f"must not be longer than metadata_retention_days ({metadata})"
            raise invalid([Problem(("content_retention_days",), problem)])
        await installation.keep_for(content_days=content, metadata_days=metadata)
        return await shown(asked)

    async def refused(asked: Asked) -> NoReturn:
        raise not_here(_NO_MORE)

    async def account(asked: Asked) -> dict[str, Any]:
        return await numbers() | {"email": email, "company_name": installation.name}

    return [
        *_organization(shown, changed, refused),
        Operation(
            method="GET",
            path="/account",
            name="getAccount",
            summary="This installation, in the older form.",
            tag="organization",
            handler=account,
            answer=ACCOUNT,
            deprecated=True,
        ),
    ]


def _organization(shown: Handler, changed: Handler, refused: Handler) -> list[Operation]:
    return [
        Operation(
            method="GET",
            path="/organizations",
            name="getOrganization",
            summary="This installation: what is active, what was used this month, how long calls are kept.",
            tag="organization",
            handler=shown,
            query=QUERY,
            answer=ORGANIZATION,
        ),
        Operation(
            method="PATCH",
            path="/organizations",
            name="updateOrganization",
            summary="Say how long calls are kept.",
            tag="organization",
            handler=changed,
            scope="admin",
            body=BODY,
            answer=ORGANIZATION,
        ),
        Operation(
            method="POST",
            path="/organizations",
            name="createOrganization",
            summary="Not on a PBX of one's own (501).",
            description=_NO_MORE,
            tag="organization",
            handler=refused,
            scope="admin",
            status=501,
        ),
    ]
