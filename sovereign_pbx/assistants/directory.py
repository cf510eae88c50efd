"""Which number belongs to which assistant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar

from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.model import IDENTIFIER, Assistant
from sovereign_pbx.assistants.shape import Choice, Flag, Text, Whole
from sovereign_pbx.assistants.table import setting
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.assistants.workflow import Workflow

ANY_NUMBER = "*"

_PUNCTUATION = str.maketrans("", "", " -./()\u00a0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that callers dial, and who answers it."""

    number: str = setting(
        "",
        Text(1, 64),
        'Number or extension as callers dial it; "*" stands for every number that has no entry.',
        required=True,
        aliases=("phone_number",),
        example="+31850835037",
    )
    name: str = setting("", Text(0, 200), "Name that people see, and webhooks get.", example="Main line")
    assistant: str = setting(
        "",
        Text(0, 200),
        "Who answers: the name or the id of an assistant; empty: the webhook of [webhook] is asked.",
        aliases=("assistant_id", "agent_id"),
        example="reception",
    )
    id: str = setting("", IDENTIFIER, "Identifier; without it one is derived from the number.", example="main-line")
    is_active: bool = setting(True, Flag(), "Off: its calls go to the dialplan's fallback.")
    transfer_trunk: str = setting(
        "",
        Text(0, 200),
        "Trunk that outbound calls of this number and its transfers go out on: the name or the id of a trunk.",
        aliases=("transfer_trunk_id",),
        example="carrier",
    )
    workflow: str = setting(
        "",
        Text(0, 200),
        "Workflow that conducts its calls: the name or the id of one; while that is inactive the assistant takes them.",
        aliases=("workflow_id",),
        example="intake",
    )
    max_calls: int = setting(
        0, Whole(0, 10000), "Calls of this entry at once; 0: as [limits] max_calls_per_number says of each number."
    )
    over_limit: Literal["", "fallback", "busy", "reject", "message"] = setting(
        "",
        Choice(("", "fallback", "busy", "reject", "message")),
        "What a caller of this number gets for whom there is no room; empty: as [limits] over_limit says.",
        example="busy",
    )


class Directory:
    """The numbers and assistants of this installation, and what they refer to. Each mapping is keyed by the name of the
    table in the administrator's file, or by the id of what the API made.

    Live: `replace` puts new ones in place of the old ones, and calls that have begun keep what they began with.
    """

    def __init__(
        self,
        assistants: Mapping[str, Assistant],
        numbers: Sequence[Number] = (),
        *,
        trunks: Mapping[str, Trunk] | None = None,
        mcp_servers: Mapping[str, McpServer] | None = None,
        workflows: Mapping[str, Workflow] | None = None,
    ) -> None:
        self._trunks: Mapping[str, Trunk] = trunks or {}
        self._mcp_servers: Mapping[str, McpServer] = mcp_servers or {}
        self._workflows: Mapping[str, Workflow] = workflows or {}
        self._place(assistants, numbers)

    def replace(
        self,
        *,
        assistants: Mapping[str, Assistant] | None = None,
        numbers: Sequence[Number] | None = None,
        trunks: Mapping[str, Trunk] | None = None,
        mcp_servers: Mapping[str, McpServer] | None = None,
        workflows: Mapping[str, Workflow] | None = None,
    ) -> None:
        """Put these in place of the present ones; what is left out stays."""
        self._trunks = self._trunks if trunks is None else dict(trunks)
        self._mcp_servers = self._mcp_servers if mcp_servers is None else dict(mcp_servers)
        self._workflows = self._workflows if workflows is None else dict(workflows)
        self._place(self.assistants if assistants is None else assistants, self.numbers if numbers is None else numbers)

    def _place(self, assistants: Mapping[str, Assistant], numbers: Sequence[Number]) -> None:
        self.assistants = MappingProxyType(dict(assistants))
        self.numbers = tuple(numbers)
        # the administrator's come first, and win: nobody takes their calls over with a name
        self._by_id = {assistant.id: assistant for assistant in reversed([*assistants.values()])}
        self._by_display = {assistant.name: assistant for assistant in reversed([*assistants.values()])}
        self._by_number = {entry.number: entry for entry in reversed(self.numbers)}
        self._by_digits = {normal(entry.number): entry for entry in reversed(self.numbers)}

    def assistant(self, name_or_id: str) -> Assistant | None:
        """By the name of its table, its id, or the name people see, in this order."""
        for index in (self.assistants, self._by_id, self._by_display):
            if name_or_id in index:
                return index[name_or_id]
        return None

    def number(self, called: str) -> Number | None:
        """The entry of a dialled number: as it is written, else the same number written otherwise, else `*`."""
        exact = self._by_number.get(called.strip()) if called.strip() != ANY_NUMBER else None
        return exact or self._by_digits.get(normal(called)) or self._by_number.get(ANY_NUMBER)

    def number_by_id(self, number_id: str) -> Number | None:
        """The entry with this id, else the one of this number as it is written."""
        return next((entry for entry in self.numbers if entry.id == number_id), self._by_number.get(number_id))

    def free_number(self, assistant: Assistant) -> Number | None:
        """What `assistant` calls from where none is named: an active number with an active trunk, its own before
        others."""
        able = [number for number in self.numbers if number.is_active and self._has_trunk(number)]
        answering = ((number, self.assistant(number.assistant)) for number in able)
        own = (number for number, who in answering if who is not None and who.id == assistant.id)
        return next(own, able[0] if able else None)

    def _has_trunk(self, number: Number) -> bool:
        trunk = self.trunk(number.transfer_trunk) if number.transfer_trunk else None
        return trunk is not None and trunk.is_active

    def find(self, called: str) -> tuple[Number | None, Assistant | None]:
        """Who answers `called`."""
        entry = self.number(called)
        return entry, self.assistant(entry.assistant) if entry is not None and entry.assistant else None

    def trunk(self, name_or_id: str) -> Trunk | None:
        """By the name of its table, its id, or the name people see."""
        return _named(self._trunks, name_or_id)

    def trunk_at(self, endpoint: str) -> Trunk | None:
        """By what the PBX calls it."""
        return next((trunk for trunk in self._trunks.values() if trunk.pbx_name == endpoint), None)

    def mcp_server(self, name_or_id: str) -> McpServer | None:
        """By the name of its table, its id, or the name people see."""
        return _named(self._mcp_servers, name_or_id)

    def workflow(self, name_or_id: str) -> Workflow | None:
        """By the name of its table, its id, or the name people see."""
        return _named(self._workflows, name_or_id)


class _Named(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _named(things: Mapping[str, N], name_or_id: str) -> N | None:
    if name_or_id in things:
        return things[name_or_id]
    by_id = (thing for thing in things.values() if thing.id == name_or_id)
    return next(by_id, None) or next((thing for thing in things.values() if thing.name == name_or_id), None)


def normal(number: str) -> str:
    """A telephone number without what people write differently: spaces, dashes, `+` or `00` in front.

    `00` counts only before at least six digits, so that extension 001 stays what it is.
    """
    plain = number.translate(_PUNCTUATION).lower()
    if plain.startswith("+"):
        return plain[1:]
    return plain[2:] if plain.startswith("00") and len(plain) >= 8 else plain
