"""Changing voices in the middle of a call: who says what, what happens to the old one, and when the new one is late."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.workflow import read_workflow
from sovereign_pbx.calls.ringing import Prepared
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.shell import Shell
from sovereign_pbx.calls.speaking import Speaking
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.workflow import Conducted, Scenery
from sovereign_pbx.core.commands import Speak
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.media.playout import Playout
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.tts import Audio
from tests.waiting import until

GRAPH = {
    "version": 1,
    "entry_node": "a",
    "nodes": [
        {"id": "a", "type": "conversation", "instructions": "x"},
        {"id": "b", "type": "conversation", "instructions": "x", "voice": "emma"},
        {"id": "c", "type": "conversation", "instructions": "x", "voice": "ben"},
    ],
    "edges": [{"from": "a", "to": "b", "description": "x"}, {"from": "b", "to": "c", "description": "x"}],
}


@dataclass
class Voice:
    """A voice of one name, whose sessions open when told to, and say what they are asked."""

    name: str
    said: list[tuple[str, str]]
    closed: list[str]
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    may_speak: asyncio.Event = field(default_factory=asyncio.Event)
    fault: ProviderError | None = None
    key: str = ""

    async def open(self, *, rate: int, language: str) -> Any:
        await self.may_open.wait()
        if self.fault is not None:
            raise self.fault
        return self

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        await self.may_speak.wait()
        self.said.append((self.name, text))
        yield Audio(b"\0\0")

    async def close(self) -> None:
        self.closed.append(self.name)


class Stage:
    """A call of which only the voice is there."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.closed: list[str] = []
        self.observed: list[tuple[str, Any]] = []
        self.voices = {name: Voice(name, self.said, self.closed) for name in ("anna", "emma", "ben")}
        self.tasks: list[asyncio.Task[None]] = []
        self.voices["anna"].may_open.set()
        anna = self.voices["anna"]
        self.prepared = Prepared(maker=cast(Any, anna), voice=cast(Any, anna), language="en", rate=8000)
        self.prepared.phrases["One moment."] = Phrase(b"\0\0")
        playout = SimpleNamespace(open=lambda _, **__: None, add=lambda *_: None, finish=lambda _: None)
        self.speaking = Speaking(
            voice=cast(Any, anna),
            playout=cast(Playout, playout),
            rate=8000,
            phrase=self.prepared.phrases.get,
            feed=lambda _: None,
            spawn=self.spawn,
            tracer=Tracer(),
        )
        shell = SimpleNamespace(speaking=self.speaking, thinking=None, conversation=SimpleNamespace(plan=Plan()))
        phrases = SimpleNamespace(get=lambda *_, **__: Phrase(b""), render=self._render)
        providers = SimpleNamespace(voice=lambda block, speech: self.voices[block["voice_id"]])
        services = SimpleNamespace(providers=providers, phrases=phrases, directory=Directory({}))
        workflow = read_workflow({"name": "w", "definition": GRAPH}, (), Report())
        assert workflow is not None
        ground = Assistant.parse({"tts_config": {"provider": "x", "voice_id": "anna"}}, where="it")
        self.run = Conducted(workflow, ground, {})
        self.run.enter("a")
        self.scenery = Scenery(
            self.run,
            prepared=self.prepared,
            shell=cast(Shell, shell),
            services=cast(Services, services),
            spawn=self.spawn,
            observe=lambda name, values: self.observed.append((name, values)),
            retool=lambda: None,
        )
        self._number = 0

    async def _render(self, maker: Any, text: str, **_: Any) -> Phrase:
        return Phrase(b"\0\0")

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.append(task)
        return task

    def say(self, text: str) -> None:
        self._number += 1
        self.speaking.speak(Speak(self._number, text, "prompt"))

    async def settled(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        stage = Stage()
        try:
            await scene(stage)
        finally:
            await stage.settled()

    asyncio.run(body())


def test_what_is_queued_is_said_by_the_old_voice_and_the_rest_by_the_new_one() -> None:
    async def scene(stage: Stage) -> None:
        anna, emma = stage.voices["anna"], stage.voices["emma"]
        stage.say("on the way")
        stage.scenery.enter("b")
        stage.say("first line")
        emma.may_open.set()
        emma.may_speak.set()
        await until(lambda: stage.said == [("emma", "first line")])
        assert stage.closed == []  # it still owes a sentence
        anna.may_speak.set()
        await until(lambda: stage.closed == ["anna"])
        assert ("anna", "on the way") in stage.said
        assert stage.prepared.voice is cast(Any, emma)

    play(scene)


def test_phrases_of_the_old_voice_are_not_said_after_the_change() -> None:
    async def scene(stage: Stage) -> None:
        emma = stage.voices["emma"]
        emma.may_open.set()
        emma.may_speak.set()
        stage.scenery.enter("b")
        stage.say("One moment.")
        await until(lambda: stage.said == [("emma", "One moment.")])

    play(scene)


def test_a_voice_that_is_late_leaves_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.calls.workflow.OPEN_S", 0.05)

    async def scene(stage: Stage) -> None:
        stage.voices["anna"].may_speak.set()
        stage.scenery.enter("b")
        stage.say("first line")
        await until(lambda: stage.said == [("anna", "first line")])
        assert stage.observed[0][0] == "workflow.kept"
        assert stage.observed[0][1]["error"] == "not open within 0.05 s"
        assert stage.run.assistant.tts_config["voice_id"] == "anna"
        assert "One moment." in stage.prepared.phrases
        assert stage.closed == []

    play(scene)


def test_a_voice_that_is_refused_leaves_the_old_one_and_the_next_change_works() -> None:
    async def scene(stage: Stage) -> None:
        emma, ben = stage.voices["emma"], stage.voices["ben"]
        emma.fault = ProviderError("x", "tts", "denied")
        for voice in stage.voices.values():
            voice.may_open.set()
            voice.may_speak.set()
        stage.scenery.enter("b")
        stage.scenery.enter("c")
        stage.say("first line")
        await until(lambda: stage.said == [("ben", "first line")])
        await until(lambda: stage.closed == ["anna"])
        assert stage.prepared.voice is cast(Any, ben)

    play(scene)


def test_changes_in_quick_succession_happen_in_order_and_close_what_they_replace() -> None:
    async def scene(stage: Stage) -> None:
        emma, ben = stage.voices["emma"], stage.voices["ben"]
        ben.may_open.set()
        ben.may_speak.set()
        emma.may_speak.set()
        stage.scenery.enter("b")
        stage.say("one")
        stage.scenery.enter("c")
        stage.say("two")
        await asyncio.sleep(0.05)
        assert stage.said == []
        emma.may_open.set()
        await until(lambda: len(stage.said) == 2)
        assert stage.said == [("emma", "one"), ("ben", "two")]
        await until(lambda: sorted(stage.closed) == ["anna", "emma"])

    play(scene)


def test_a_call_that_ends_while_a_voice_opens_leaves_nothing_open() -> None:
    async def scene(stage: Stage) -> None:
        stage.say("on the way")
        stage.voices["emma"].may_open.set()
        stage.scenery.enter("b")
        await until(lambda: stage.prepared.voice is cast(Any, stage.voices["emma"]))
        await stage.settled()
        assert stage.closed == ["anna"]  # the new one is closed with the call
        await stage.prepared.close()
        assert stage.closed == ["anna", "emma"]

    play(scene)
