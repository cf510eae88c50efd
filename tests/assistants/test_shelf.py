"""Shelves of objects, and the estate they make together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from sovereign_pbx.assistants.directory import Number
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.kinds import KINDS, TOOL_TEMPLATES
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.secret import Secret
from sovereign_pbx.assistants.shelf import Entry, Shelf, secrets_in
from sovereign_pbx.core.errors import SovereignError


class Full(SovereignError):
    """The disk is."""


@dataclass
class Memory:
    """Keeps what a disk would."""

    kept: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    full: bool = False

    async def write(self, kind: str, object_id: str, fields: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        if self.full:
            raise Full
        self.kept[kind, object_id] = fields

    async def remove(self, kind: str, object_id: str) -> None:
        if self.full:
            raise Full
        del self.kept[kind, object_id]


def entry(object_id: str, thing: Any = None, **more: str) -> Entry[Any]:
    return Entry(id=object_id, fields={"name": object_id}, thing=thing or object_id, **more)


def test_of_two_with_the_same_id_the_first_stays() -> None:
    first, second = entry("a", "of the file", place="config.toml:1", table="desk"), entry("a", "of the API")
    shelf: Shelf[str] = Shelf("assistant", Memory(), [first, second])
    assert list(shelf) == [first] and len(shelf) == 1


def test_a_reference_is_an_id_or_the_name_of_a_table() -> None:
    own, made = entry("1", place="config.toml:1", table="desk"), entry("2")
    shelf: Shelf[str] = Shelf("assistant", Memory(), [own, made])
    assert [shelf.find(name) for name in ("1", "desk", "2", "", "other")] == [own, own, made, None, None]


def test_what_is_put_is_kept_first_and_seen_then() -> None:
    async def run() -> None:
        memory, seen = Memory(), list[int]()
        shelf: Shelf[str] = Shelf("number", memory)
        shelf.changed = lambda: seen.append(len(shelf))
        async with shelf.changing:
            await shelf.put(entry("a", created_at="then", updated_at="now"))
            assert memory.kept["number", "a"] == {"name": "a", "id": "a", "created_at": "then", "updated_at": "now"}
            memory.full = True
            for refused in (shelf.put(entry("b")), shelf.remove("a")):
                with pytest.raises(Full):
                    await refused
            assert [one.id for one in shelf] == ["a"]
            memory.full = False
            await shelf.remove("a")
        assert (memory.kept, seen) == ({}, [1, 0])

    asyncio.run(run())


def test_who_changes_without_having_asked_first_is_told() -> None:
    async def run() -> None:
        shelf: Shelf[str] = Shelf("number", Memory())
        for careless in (shelf.put(entry("a")), shelf.remove("a")):
            with pytest.raises(AssertionError, match="within `changing`"):
                await careless

    asyncio.run(run())


def test_shelves_of_one_estate_change_one_at_a_time() -> None:
    estate = Estate(Memory(), {})
    assert estate.numbers.changing is estate.assistants.changing is estate.workflows.changing


def test_a_change_is_in_the_directory_at_once() -> None:
    async def run() -> None:
        estate = Estate(Memory(), {"assistant": [entry("1", Assistant.parse({"name": "Desk", "id": "1"}, where=""))]})
        directory = estate.directory
        assert directory.find("200") == (None, None)
        async with estate.numbers.changing:
            await estate.numbers.put(entry("n", Number(number="200", assistant="1", id="n")))
        assert directory.find("200")[1] is estate.assistants.get("1").thing  # type: ignore[union-attr]  # it was put there
        async with estate.numbers.changing:
            await estate.numbers.remove("n")
        assert directory.find("200") == (None, None)

    asyncio.run(run())


def test_of_a_number_that_is_there_twice_the_administrators_takes_the_calls_however_it_is_dialled() -> None:
    own = entry("1", Number(number="+31850835037", name="of the file"), place="config.toml:1")
    made = entry("2", Number(number="0031850835037", name="of the API"))
    directory = Estate(Memory(), {"number": [own, made]}).directory
    for called in ("+31850835037", "0031850835037", "31850835037"):
        assert directory.number(called) is own.thing


def test_an_analysis_template_is_found_by_id_and_by_name() -> None:
    mood = {"name": "Mood", "schema": {}}
    estate = Estate(Memory(), {"analysis_template": [entry("1", mood)]})
    assert [estate.analysis_template(name) for name in ("1", "Mood", "mood")] == [mood, mood, None]


def test_every_secret_of_an_object_is_found_and_hidden() -> None:
    hidden: list[str] = []
    server = McpServer(url="https://e.com/", headers={"X": Secret("one"), "Y": Secret("two")})
    Estate(Memory(), {"mcp_server": [entry("1", server)]}, hide=hidden.append)
    assert sorted(hidden) == ["one", "two"]
    assert list(secrets_in([{"a": (Secret("deep"), "plain")}, 7, None])) == ["deep"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_says_what_is_wrong_and_gives_nothing(kind: Any) -> None:
    report = Report()
    assert kind.read({"id": 7, "name": 7, "number": 7, "tool_config": 7}, (), report) is None
    assert report.errors


def test_a_tool_template_may_leave_the_name_to_whoever_copies_it() -> None:
    report = Report()
    template = TOOL_TEMPLATES.read({"name": "Look up", "type": "webhook"}, (), report)
    assert template == {"name": "Look up", "tool_type": "function", "tool_config": {}} and not report.problems
