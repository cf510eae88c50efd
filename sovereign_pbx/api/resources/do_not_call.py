"""`/do-not-call`: whom nobody may call, the part of it that is kept here (files of [dialling] do_not_call are not)."""

from typing import Any, Final

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.schema import STRING, SUCCESS, TEXT, TIME, envelope, object_schema
from sovereign_pbx.assistants.shape import Text, Whole
from sovereign_pbx.assistants.table import Key, ListOf, Table
from sovereign_pbx.calls.do_not_call_list import MOST_NUMBERS, DoNotCallList, Entry

_TAG: Final = "campaigns"

ENTRY: Final = object_schema({"number": STRING, "reason": STRING, "added_at": TIME})

PAGE: Final = Table(
    Key("limit", Whole(1, 10_000), "At most so many; left out: 1000."),
    Key("after", Text(0, 40), "Only those behind this number, as `next` told it."),
)
ADDED: Final = Table(
    Key(
        "numbers",
        ListOf(Text(1, 40), least=1, most=MOST_NUMBERS),
        "Telephone numbers.",
        required=True,
        example=["+31612345678"],
    ),
    Key("reason", Text(0, 500), "Why, for people.", example="asked for it in a call"),
)


def operations(numbers: DoNotCallList) -> list[Operation]:
    """All of them."""

    async def page(asked: Asked) -> Any:
        limit = asked.query.get("limit") or 1000
        found = await numbers.page(asked.query.get("after") or "", limit)
        return {"numbers": [_show(one) for one in found], "next": found[-1].number if len(found) == limit else None}

    async def get(asked: Asked) -> Any:
        return {"number": _show(await numbers.get(asked.ids["number"]))}

    async def add(asked: Asked) -> Any:
        return {"numbers": await numbers.add(asked.body["numbers"], asked.body.get("reason") or "")}

    async def remove(asked: Asked) -> Any:
        await numbers.remove(asked.ids["number"])
        return {"success": True}

    many = object_schema({"numbers": {"type": "array", "items": ENTRY}, "next": TEXT})
    added = object_schema({"numbers": {"type": "array", "items": STRING}})
    one, write = "/do-not-call/{number}", {"scope": "calls", "errors": (409, 503)}
    return [
        _operation("GET", "/do-not-call", "listDoNotCall", "List whom nobody may call.", page, query=PAGE, answer=many),
        _operation("GET", one, "getDoNotCall", "Tell whether it is listed.", get, answer=envelope("number", ENTRY)),
        _operation(
            "POST", "/do-not-call", "addDoNotCall", "Add numbers.", add, body=ADDED, status=201, answer=added, **write
        ),
        _operation("DELETE", one, "deleteDoNotCall", "Take a number off the list.", remove, answer=SUCCESS, **write),
    ]


def _operation(method: Any, path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(method=method, path=path, name=name, summary=summary, tag=_TAG, handler=handler, **more)


def _show(entry: Entry) -> dict[str, Any]:
    return {"number": entry.number, "reason": entry.reason, "added_at": entry.added_at}
