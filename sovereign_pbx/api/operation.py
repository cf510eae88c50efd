"""One operation of the API, declared once: it routes, guards, validates and documents itself from the same words."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from sovereign_pbx.api.keys import Key
from sovereign_pbx.assistants.shape import Shape
from sovereign_pbx.assistants.table import Table

ROOT = "/api/v1"

Scope = Literal["read", "calls", "admin"]
"""read: GET. calls: place and steer calls, run campaigns. admin: everything."""

Method = Literal["GET", "POST", "PATCH", "DELETE"]

JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that has passed the gate. `body` and `query` are checked and canonical.

    `given` is the body as it was decoded (keys canonical, nulls kept), for PATCH, where null clears.
    """

    key: Key | None
    ids: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    given: Mapping[str, Any]
    request: web.Request


Handler = Callable[[Asked], Awaitable[Any]]
"""Gives what is sent as JSON, or a finished response. Raises ApiError or Refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`path` is below /api/v1, with `{id}` places. `scope` None: no key is needed.

    `partial`: nothing in the body is required (PATCH). `answer` is the JSON Schema of the answer; `errors` are the
    statuses beyond those that every operation may answer.
    """

    method: Method
    path: str
    name: str  # operationId
    summary: str
    tag: str
    handler: Handler
    scope: Scope | None = "read"
    query: Table | None = None
    body: Shape | None = None
    partial: bool = False
    status: int = 200
    answer: JsonSchema = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    also: Mapping[int, JsonSchema] = field(default_factory=dict)  # further answers that are no errors' body
    deprecated: bool = False
    description: str = ""
    aliases: tuple[str, ...] = ()  # other paths of the same operation, deprecated
    root: str = ROOT
    head: bool = False  # HEAD as well, with a key
    lets_in: Callable[[web.Request], bool] | None = None  # a request that needs no key: it carries a signed link

    @property
    def paths(self) -> tuple[str, ...]:
        """Its path as a client sees it, then its aliases."""
        return tuple(self.root + path for path in (self.path, *self.aliases))
