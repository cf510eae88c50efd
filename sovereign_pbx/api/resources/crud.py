"""Create, list, get, patch and delete, the same for every kind of object on a shelf."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sovereign_pbx.api.errors import conflict, invalid, not_found
from sovereign_pbx.api.operation import Asked, Handler, JsonSchema, Method, Operation
from sovereign_pbx.api.schema import SUCCESS, envelope, envelope_of_many
from sovereign_pbx.assistants.problem import MOST_ENTRIES, Problem, Report
from sovereign_pbx.assistants.secret import Secret
from sovereign_pbx.assistants.shelf import Entry, Shelf
from sovereign_pbx.assistants.table import Table

T = TypeVar("T")

Fields = Mapping[str, Any]
Read = Callable[[Fields, tuple[str | int, ...], Report], Any]
Show = Callable[[Entry[T], Asked], dict[str, Any]]
OrgId = Callable[[], str]
"""The id of this installation, which is `org_id` of what it has."""

_AT_ONCE = 15  # objects shown before the loop gets its turn

SERVER_OWNED = ("id", "org_id", "created_at", "updated_at")
"""What only the daemon says. Clients send it back with the rest of an object; it is not looked at."""


async def _nothing_to_do(entry: Entry[Any]) -> None:
    """Most objects may simply go."""


async def _all_is_well(entry: Entry[Any], before: Entry[Any] | None, asked: Asked) -> None:
    """Most objects contradict no other."""


def _as_sent(sent: Fields, present: Fields) -> Fields:
    return sent


def _no_code(problems: Iterable[Problem]) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[T]):
    """One kind of object as the API offers it.

    `show` makes the answer from an entry and who asks; `schema` describes that. `read` makes the object from its fields
    (assistants/kinds.py). `fields_of` turns what was sent (canonical by `body`; null clears) into the fields that are
    kept, knowing those that are kept at present. `check` refuses what contradicts other objects (ApiError); `removing`
    does what has to be done before an object goes, or refuses. Both run while nothing else can change.
    """

    path: str
    one: str
    many: str
    title: str  # as people call it: "SIP trunk"
    operation: str  # as operationIds say it: "SipTrunk"
    shelf: Shelf[T]
    body: Table
    read: Read
    show: Show[T]
    schema: JsonSchema
    item: Show[T] | None = None  # in lists, where that differs
    item_schema: JsonSchema | None = None
    fields_of: Callable[[Fields, Fields], Fields] = _as_sent
    check: Callable[[Entry[T], Entry[T] | None, Asked], Awaitable[None]] = _all_is_well
    removing: Callable[[Entry[T]], Awaitable[None]] = _nothing_to_do
    code_of: Callable[[Iterable[Problem]], str] = _no_code  # of faults that have a code of their own (contract §18)
    patch: bool = True
    aliases: tuple[str, ...] = ()

    # --- the five

    async def all(self, asked: Asked) -> dict[str, Any]:
        show = self.item or self.show
        shown: list[dict[str, Any]] = []
        for entry in self.shelf:
            if len(shown) % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)  # 0.07 ms an assistant: the frames of calls come between
            shown.append(show(entry, asked))
        return {self.many: shown}

    async def get(self, asked: Asked) -> dict[str, Any]:
        return {self.one: self.show(self.entry(asked), asked)}

    async def create(self, asked: Asked) -> dict[str, Any]:
        async with self.shelf.changing:
            now = _now()
            return await self._put(None, Stamp(str(uuid.uuid4()), now, now), asked)

    async def change(self, asked: Asked) -> dict[str, Any]:
        async with self.shelf.changing:
            present = self.own(asked)
            return await self._put(present, Stamp(present.id, present.created_at, _now()), asked)

    async def delete(self, asked: Asked) -> dict[str, Any]:
        async with self.shelf.changing:
            entry = self.own(asked)
            await self.removing(entry)
            await self.shelf.remove(entry.id)
        return {"success": True}

    # --- what they share

    def entry(self, asked: Asked) -> Entry[T]:
        """The object of the path, whoever made it."""
        found = self.shelf.get(asked.ids["id"])
        if found is None:
            raise not_found(self.title, asked.ids["id"])
        return found

    def own(self, asked: Asked) -> Entry[T]:
        """The object of the path, if the API may change it."""
        entry = self.entry(asked)
        if entry.place:
            raise conflict(
                "owned_by_file",
                f"This {self.title} is written in {entry.place}, which belongs to the administrator: change it there.",
            )
        return entry

    async def _put(self, before: Entry[T] | None, stamp: "Stamp", asked: Asked) -> dict[str, Any]:
        kept = before.fields if before is not None else {}
        fields = {**kept, **self.fields_of(self._sent(asked), kept)}
        given = {name: value for name, value in fields.items() if value is not None}
        entry = await asyncio.to_thread(self._made, given, stamp)  # 13 ms for an assistant with a hundred tools
        await self.check(entry, before, asked)
        await self.shelf.put(entry)
        return {self.one: self.show(entry, asked)}

    def _sent(self, asked: Asked) -> Fields:
        """The body with its nulls. What the body's table does not know is kept only where that is open."""
        sent = {**asked.body, **{name: None for name, value in asked.given.items() if value is None}}
        known = self.body.keys
        return {
            name: value
            for name, value in sent.items()
            if name in known or (self.body.open and self.body.canonical(name, sent) not in SERVER_OWNED)
        }

    def _made(self, fields: Fields, stamp: "Stamp") -> Entry[T]:
        report = Report(entries=2 * MOST_ENTRIES)
        thing = self.read({**fields, "id": stamp.id}, (), report)
        if thing is None or report.errors:
            raise invalid(report.errors, self.code_of(report.errors))
        return Entry(id=stamp.id, fields=fields, thing=thing, created_at=stamp.created_at, updated_at=stamp.updated_at)

    def operations(self) -> list[Operation]:
        """All of them, declared."""
        return [*self._reading(), *self._writing()]

    def _reading(self) -> list[Operation]:
        many = envelope_of_many(self.many, self.item_schema or self.schema)
        single = envelope(self.one, self.schema)
        return [
            self._operation("GET", f"list{self.operation}s", f"List every {self.title}.", self.all, answer=many),
            self._operation("GET", f"get{self.operation}", f"Get one {self.title}.", self.get, one=True, answer=single),
        ]

    def _writing(self) -> list[Operation]:
        single = envelope(self.one, self.schema)
        writes: dict[str, Any] = {"scope": "admin", "errors": (409, 503)}
        made = self._operation(
            "POST",
            f"create{self.operation}",
            f"Make one {self.title}.",
            self.create,
            body=self.body,
            status=201,
            answer=single,
            **writes,
        )
        changed = self._operation(
            "PATCH",
            f"update{self.operation}",
            f"Change one {self.title}: only what is sent; null clears.",
            self.change,
            one=True,
            body=self.body,
            partial=True,
            answer=single,
            **writes,
        )
        deleted = self._operation(
            "DELETE",
            f"delete{self.operation}",
            f"Delete one {self.title}.",
            self.delete,
            one=True,
            answer=SUCCESS,
            **writes,
        )
        return [made, changed, deleted] if self.patch else [made, deleted]

    def _operation(
        self, method: Method, name: str, summary: str, handler: Handler, *, one: bool = False, **more: Any
    ) -> Operation:
        place = "/{id}" if one else ""
        return Operation(
            method=method,
            path=self.path + place,
            aliases=tuple(alias + place for alias in self.aliases),
            name=name,
            summary=summary,
            tag=self.many.replace("_", " "),
            handler=handler,
            **more,
        )


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the daemon says about an object."""

    id: str
    created_at: str
    updated_at: str


def may_see_secrets(entry: Entry[Any], asked: Asked) -> bool:
    """Keys that could change them may; those of the administrator's file are for nobody."""
    return not entry.place and asked.key is not None and asked.key.may("admin")


def in_use(title: str, users: Iterable[str]) -> None:
    """409 if anything in the way of the removal of a `title` is named."""
    if named := list(users):
        more = f" and {len(named) - 10} more" if len(named) > 10 else ""
        raise conflict("in_use", f"This {title} is used by {', '.join(named[:10])}{more}: take it from there first.")


def told(what: str, entry: Entry[Any], name: str) -> str:
    """One object as conflicts name it: `number +3185… (/etc/…/config.toml:12)`."""
    return f"the {what} {name!r} ({entry.place or entry.id})"


def plain(value: Any) -> Any:
    """As JSON has it, with its secrets: for whoever may see them."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Secret) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
