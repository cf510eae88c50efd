"""Everything this installation has, the administrator's and the API's: a shelf for each kind, and their directory."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sovereign_pbx.assistants.directory import Directory, Number, normal
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.shelf import Entry, Keep, Shelf
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.assistants.workflow import Workflow

T = TypeVar("T")


class Estate:
    """The shelves. A change on one of them is in `directory` at once; calls that have begun keep what they began with.

    `edition` is the directory that calls are given: it follows the API's changes as well, until the administrator's
    file is loaded anew (`load`); then it stays as it was, and calls that begin from now on get the next one.

    `entries` are by the name of their kind (kinds.py). `hide` keeps a secret of theirs out of the log.
    """

    def __init__(
        self,
        keep: Keep,
        entries: Mapping[str, Iterable[Entry[Any]]],
        *,
        hide: Callable[[str], None] = lambda secret: None,
    ) -> None:
        self.changing = asyncio.Lock()
        self._shelves: dict[str, Shelf[Any]] = {}

        def shelf(kind: str) -> Shelf[Any]:
            made: Shelf[Any] = Shelf(kind, keep, entries.get(kind, ()), self.changing, hide=hide)
            made.changed = self._refresh
            self._shelves[kind] = made
            return made

        self.assistants: Shelf[Assistant] = shelf("assistant")
        self.numbers: Shelf[Number] = shelf("number")
        self.trunks: Shelf[Trunk] = shelf("sip_trunk")
        self.mcp_servers: Shelf[McpServer] = shelf("mcp_server")
        self.workflows: Shelf[Workflow] = shelf("workflow")
        self.tool_templates: Shelf[Mapping[str, Any]] = shelf("tool_template")
        self.analysis_templates: Shelf[Mapping[str, Any]] = shelf("analysis_template")
        self.directory = Directory({})
        self.edition = Directory({})
        self.news = asyncio.Event()  # set with every change, for whoever clears it
        self._refresh()

    def analysis_template(self, template_id: str) -> Mapping[str, Any] | None:
        """A template by its id, or by its name."""
        entry = self.analysis_templates.get(template_id)
        if entry is None:
            entry = next((one for one in self.analysis_templates if one.thing.get("name") == template_id), None)
        return entry.thing if entry is not None else None

    @property
    def entries(self) -> Mapping[str, tuple[Entry[Any], ...]]:
        """Everything that stands on the shelves, by the name of its kind."""
        return {kind: tuple(shelf) for kind, shelf in self._shelves.items()}

    def load(self, entries: Mapping[str, Iterable[Entry[Any]]], edition: Directory) -> None:
        """Put `entries` in place of everything, within `changing`. `edition` is filled, and is the one from now on.
        Whoever made the entries has hidden their secrets: looking for these takes longer than a frame of audio may
        wait."""
        assert self.changing.locked(), "what is put in place was read within `changing`"
        for kind, shelf in self._shelves.items():
            shelf.restock(entries.get(kind, ()))
        self.edition = edition
        self._refresh()

    def _refresh(self) -> None:
        for directory in (self.directory, self.edition):
            directory.replace(
                assistants=_named(self.assistants),
                numbers=_once(entry.thing for entry in self.numbers),
                trunks=_named(self.trunks),
                mcp_servers=_named(self.mcp_servers),
                workflows=_named(self.workflows),
            )
        self.news.set()


def _once(numbers: Iterable[Number]) -> list[Number]:
    """Each number once, however it is written: the administrator's, which come first, count."""
    first: dict[str, Number] = {}
    for number in numbers:
        first.setdefault(normal(number.number), number)
    return [*first.values()]


def _named(shelf: Shelf[T]) -> dict[str, T]:
    return {entry.table or entry.id: entry.thing for entry in shelf}
