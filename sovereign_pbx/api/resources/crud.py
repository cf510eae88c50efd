"""Create, list, get, patch and delete, the same for every kind of object on a shelf."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sovereign_pbx.api.errors import conflict, invalid, not_found
from sovereign_pbx.api.operation import Asked, Handler, JsonSchema, Method, Operation
from sovereign_pbx.api.schema import SUCCESS, envelope, envelope_of_many
from sovereign_pbx.assistants.problem import MOST_ENTRIES, Report
from sovereign_pbx.assistants.shelf import Entry, Shelf
from sovereign_pbx.assistants.table import Table

T = TypeVar("T")

Fields = Mapping[str, Any]
Read = Callable[[Fields, tuple[str | int, ...], Report], Any]


async def _nothing_to_do(entry: Entry[Any]) -> None:
    """Most objects may simply go."""


def _as_given(fields: Fields) -> Fields:
    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[T]):
    """One kind of object as the API offers it.

    `show` makes the answer from an entry and who asks; `schema` describes that. `read` makes the object from its fields
    (assistants/kinds.py). `fields_of` turns a body, canonical by `body`, into the fields that are kept; of a PATCH it
    sees what was sent, nulls included, and null clears. `check` refuses what contradicts other objects (ApiError);
    `removing` does what has to be done before an object goes, or refuses.
    """

    path: str
    one: str
    many: str
    title: str  # as people call it: "SIP trunk"
    operation: str  # as operationIds say it: "SipTrunk"
    shelf: Shelf[T]
    body: Table
    read: Read
    show: Callable[[Entry[T], Asked], dict[str, Any]]
    schema: JsonSchema
    item: Callable[[Entry[T], Asked], dict[str, Any]] | None = None  # in lists, where that differs
    item_schema: JsonSchema | None = None
    fields_of: Callable[[Fields], Fields] = _as_given
    check: Callable[[Entry[T], Asked], None] = lambda entry, asked: None
    removing: Callable[[Entry[T]], Awaitable[None]] = _nothing_to_do
    patch: bool = True
    aliases: tuple[str, ...] = ()

    # --- the five

    async def all(self, asked: Asked) -> dict[str, Any]:
        show = self.item or self.show
        return {self.many: [show(entry, asked) for entry in self.shelf]}

    async def get(self, asked: Asked) -> dict[str, Any]:
        return {self.one: self.show(self.entry(asked), asked)}

    async def create(self, asked: Asked) -> dict[str, Any]:
        fields = {name: value for name, value in self.fields_of(asked.body).items() if value is not None}
        now = _now()
        entry = self._made(str(uuid.uuid4()), fields, created_at=now, updated_at=now)
        self.check(entry, asked)
        await self.shelf.put(entry)
        return {self.one: self.show(entry, asked)}

    async def change(self, asked: Asked) -> dict[str, Any]:
        present = self.own(asked)
        sent = {**asked.body, **{name: None for name, value in asked.given.items() if value is None}}
        fields = {**present.fields, **self.fields_of(sent)}
        fields = {name: value for name, value in fields.items() if value is not None}
        entry = self._made(present.id, fields, created_at=present.created_at, updated_at=_now())
        self.check(entry, asked)
        await self.shelf.put(entry)
        return {self.one: self.show(entry, asked)}

    async def delete(self, asked: Asked) -> dict[str, Any]:
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

    def _made(self, object_id: str, fields: Fields, *, created_at: str, updated_at: str) -> Entry[T]:
        report = Report(entries=2 * MOST_ENTRIES)
        thing = self.read({**fields, "id": object_id}, (), report)
        if thing is None or report.errors:
            raise invalid(report.errors)
        return Entry(id=object_id, fields=fields, thing=thing, created_at=created_at, updated_at=updated_at)

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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
