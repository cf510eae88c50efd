"""Models are loaded when an assistant is made, not when its first caller waits."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.preloading import keep_loaded, newcomers
from tests.waiting import until


class Nowhere:
    async def write(self, kind: str, object_id: str, fields: Mapping[str, Any]) -> None: ...

    async def remove(self, kind: str, object_id: str) -> None: ...


class Recorder:
    def __init__(self) -> None:
        self.loaded: list[list[str]] = []

    async def preload(self, assistants: Iterable[Assistant]) -> None:
        self.loaded.append([assistant.name for assistant in assistants])


def entry(name: str, **fields: Any) -> Entry[Assistant]:
    thing = Assistant.parse({"name": name, "id": name, **fields}, where=name)
    return Entry(id=name, fields=fields, thing=thing)


WHISPER = {"stt_config": {"provider": "whisper", "model": "base"}}


def test_what_is_there_is_loaded_first_and_what_comes_as_it_comes() -> None:
    async def run() -> None:
        estate, recorder = Estate(Nowhere(), {"assistant": [entry("desk"), entry("twin")]}), Recorder()
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(keep_loaded(estate, recorder))
            await until(lambda: recorder.loaded == [["desk"]])
            async with estate.assistants.changing:
                await estate.assistants.put(entry("sales", **WHISPER))
            await until(lambda: recorder.loaded == [["desk"], ["sales"]])
            async with estate.assistants.changing:
                await estate.assistants.put(entry("sales", first_message="Hi.", **WHISPER))
                await estate.assistants.put(entry("night", llm_config={"messages": [{"role": "user", "content": "?"}]}))
            await until(lambda: recorder.loaded == [["desk"], ["sales"], ["night"]])
            keeping.cancel()

    asyncio.run(run())


def test_only_those_are_newcomers_who_need_what_nobody_needed_before() -> None:
    before = Estate(Nowhere(), {"assistant": [entry("desk")]}).directory
    after = Estate(Nowhere(), {"assistant": [entry("other"), entry("sales", **WHISPER), entry("twin", **WHISPER)]})
    assert [one.name for one in newcomers(before, after.directory)] == ["sales"]


def test_the_edition_of_earlier_calls_stays_as_it_was() -> None:
    async def run() -> None:
        estate = Estate(Nowhere(), {"assistant": [entry("desk")]})
        first, second = estate.edition, Directory({})
        async with estate.changing:
            await estate.assistants.put(entry("made"))
            assert first.assistant("made") is not None
            estate.load({"assistant": [entry("night"), entry("made")]}, second)
            await estate.assistants.put(entry("later"))
        assert [*first.assistants] == ["desk", "made"]
        assert [*second.assistants] == [*estate.directory.assistants] == ["night", "made", "later"]

    asyncio.run(run())
