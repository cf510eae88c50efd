"""A call's brain and mouth on speculation: what is prepared is heard at once, what is dropped is closed and counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.vitals import Vitals
from sovereign_pbx.calls.speaking import Speaking
from sovereign_pbx.calls.speculated import Speculated
from sovereign_pbx.calls.thinking import Thinking
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import Tokens, talk_usage, whole_usage
from sovereign_pbx.commands.call_usage import usage_rows
from sovereign_pbx.core.commands import Prepare, Speak, Think
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, SpeechAudio, SpeechDone
from sovereign_pbx.core.values import Message
from sovereign_pbx.media.playout import Playout
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolSpec
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.tts import Audio
from tests.waiting import until

RATE = 8000
LOUD = (3000).to_bytes(2, "little", signed=True) * (RATE // 5)  # 200 ms
QUESTION = (Message("user", "what time do you open?"),)
TOLD = {"input_tokens": 70, "output_tokens": 9}


@dataclass
class Vendor:
    """A voice and a model in one: gives what it is told to, when it is told to."""

    name: str = "scripted/one"
    served_by: str = "scripted/one"
    asked: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    fault: ProviderError | None = None

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        self.asked.append(text)
        try:
            if self.fault is not None:
                raise self.fault
            yield Audio(LOUD)
            await self.go_on.wait()
            yield Audio(LOUD)
        finally:
            self.closed.append(text)

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> AsyncIterator[ChatEvent]:
        self.asked.append(messages[-1].content)
        try:
            yield TextDelta("We open at nine.")
            await self.go_on.wait()
            yield Finished("stop", TOLD)
        finally:
            self.closed.append(messages[-1].content)


class Stage:
    """A call of which only mouth and brain are there."""

    def __init__(self) -> None:
        self.vendor = Vendor()
        self.playout = Playout(RATE)
        self.events: list[Event] = []
        self.phrases: dict[str, Phrase] = {}
        self.metrics = Metrics()
        self.tasks: list[asyncio.Task[None]] = []
        tracer = Tracer()
        tracer.watch(self.metrics.observe)
        self.speaking = Speaking(
            voice=cast(Any, self.vendor),
            playout=self.playout,
            rate=RATE,
            phrase=self.phrases.get,
            feed=self.events.append,
            spawn=self.spawn,
            tracer=tracer,
        )
        self.thinking = Thinking(
            model=cast(Any, self.vendor), tools=(), feed=self.events.append, spawn=self.spawn, tracer=tracer
        )

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.append(task)
        return task

    def audio(self) -> list[SpeechAudio]:
        return [event for event in self.events if isinstance(event, SpeechAudio)]

    async def shown(self) -> str:
        return (await asyncio.to_thread(self.metrics.render, Vitals())).decode()


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        stage = Stage()
        try:
            await scene(stage)
        finally:
            for task in stage.tasks:
                task.cancel()
            await asyncio.gather(*stage.tasks, return_exceptions=True)

    asyncio.run(body())


async def prepared(stage: Stage, text: str = "We open at nine,") -> None:
    stage.speaking.prepare(Prepare(1, text))
    await until(lambda: stage.speaking._prepared[1].ms)


def test_what_is_prepared_is_not_played() -> None:
    async def scene(stage: Stage) -> None:
        await prepared(stage)
        assert stage.playout.next_frame() is None
        assert stage.events == []
        assert stage.speaking.characters == Counter()

    play(scene)


def test_what_was_prepared_is_on_the_line_in_the_next_frame_and_goes_on_from_there() -> None:
    async def scene(stage: Stage) -> None:
        await prepared(stage)
        stage.speaking.speak(Speak(1, "We open at nine,", "reply", 1))
        frame = stage.playout.next_frame()
        assert frame is not None
        assert any(frame)
        stage.vendor.go_on.set()
        await until(lambda: SpeechDone(1) in stage.events)
        assert [round(event.ms) for event in stage.audio()] == [200, 400]
        assert stage.vendor.asked == ["We open at nine,"]
        assert stage.speaking.characters == Counter({"scripted/one": 16})

    play(scene)


def test_what_was_prepared_to_its_end_is_complete_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.vendor.go_on.set()
        await prepared(stage)
        await until(lambda: stage.speaking._prepared[1].over)
        stage.speaking.speak(Speak(1, "We open at nine,", "reply", 1))
        assert stage.events == [SpeechAudio(1, 400.0, ()), SpeechDone(1)]

    play(scene)


def test_other_words_are_synthesised_anew() -> None:
    async def scene(stage: Stage) -> None:
        stage.vendor.go_on.set()
        await prepared(stage)
        stage.speaking.speak(Speak(1, "We close at five.", "reply", 1))
        await until(lambda: SpeechDone(1) in stage.events)
        assert stage.vendor.asked == ["We open at nine,", "We close at five."]

    play(scene)


def test_a_voice_that_failed_ahead_is_asked_again() -> None:
    async def scene(stage: Stage) -> None:
        stage.vendor.go_on.set()
        stage.vendor.fault = ProviderError("scripted", "tts", "stalled")
        stage.speaking.prepare(Prepare(1, "We open at nine,"))
        await until(lambda: stage.speaking._prepared[1].failed)
        stage.vendor.fault = None
        stage.speaking.speak(Speak(1, "We open at nine,", "reply", 1))
        await until(lambda: SpeechDone(1) in stage.events)

    play(scene)


def test_a_dropped_reply_closes_what_was_prepared_and_counts_its_characters_apart() -> None:
    async def scene(stage: Stage) -> None:
        await prepared(stage)
        stage.speaking.drop(1)
        await until(lambda: stage.vendor.closed == ["We open at nine,"])
        assert stage.speaking.characters == Counter()
        assert stage.speaking.in_vain == Counter({"scripted/one": 16})
        assert 'sovereign_speculation_waste_total{unit="characters"} 16.0' in await stage.shown()

    play(scene)


def test_only_one_is_prepared_at_a_time() -> None:
    async def scene(stage: Stage) -> None:
        await prepared(stage)
        stage.speaking.prepare(Prepare(2, "We close at five."))
        await until(lambda: stage.vendor.closed == ["We open at nine,"])
        assert list(stage.speaking._prepared) == [2]

    play(scene)


def test_a_phrase_that_is_there_already_is_not_prepared() -> None:
    async def scene(stage: Stage) -> None:
        stage.phrases["One moment."] = Phrase(LOUD)
        stage.speaking.prepare(Prepare(1, "One moment."))
        stage.speaking.speak(Speak(1, "One moment.", "reply", 1))
        assert stage.vendor.asked == []
        assert SpeechDone(1) in stage.events

    play(scene)


def test_a_change_of_voice_waits_for_what_is_prepared() -> None:
    async def scene(stage: Stage) -> None:
        await prepared(stage)
        _, users = stage.speaking.switch(asyncio.get_running_loop().create_future())
        assert len(users) == 1

    play(scene)


def test_a_dropped_guess_closes_the_models_stream_and_is_estimated() -> None:
    async def scene(stage: Stage) -> None:
        stage.thinking.think(Think(1, QUESTION, speculative=True))
        await until(lambda: stage.events)
        stage.thinking.drop(1)
        await until(lambda: stage.vendor.closed)
        assert stage.thinking.tokens.rows() == []
        assert stage.thinking.speculated.usage({}) == {
            "begun": 1,
            "adopted": 0,
            "dropped": 1,
            "estimated": 1,
            "llm": [
                {
                    "provider": "scripted",
                    "model": "one",
                    "replies": 1,
                    "untold": 0,
                    "input_tokens": 6,
                    "cached_tokens": 0,
                    "output_tokens": 4,
                }
            ],
            "tts": [],
        }
        assert 'sovereign_speculative_replies_total{outcome="dropped"} 1.0' in await stage.shown()
        assert 'sovereign_speculation_waste_total{unit="input_tokens"} 6.0' in await stage.shown()

    play(scene)


def test_a_guess_that_had_finished_is_counted_by_the_vendors_figures() -> None:
    async def scene(stage: Stage) -> None:
        stage.vendor.go_on.set()
        stage.thinking.think(Think(1, QUESTION, speculative=True))
        await until(lambda: stage.vendor.closed)
        stage.thinking.drop(1)
        (row,) = stage.thinking.speculated.tokens.rows()
        assert (row["input_tokens"], row["output_tokens"]) == (70, 9)
        assert stage.thinking.speculated.estimated == 0
        assert stage.thinking.tokens.rows() == []

    play(scene)


def test_an_adopted_guess_is_counted_like_any_reply_whenever_it_finishes() -> None:
    async def scene(stage: Stage) -> None:
        stage.thinking.think(Think(1, QUESTION, speculative=True))
        stage.thinking.adopt(1)
        stage.vendor.go_on.set()
        await until(lambda: len(stage.vendor.closed) == 1)
        stage.thinking.think(Think(2, QUESTION, speculative=True))
        await until(lambda: len(stage.vendor.closed) == 2)
        stage.thinking.adopt(2)
        (row,) = stage.thinking.tokens.rows()
        assert (row["replies"], row["untold"], row["input_tokens"]) == (2, 0, 140)
        used = stage.thinking.speculated.usage({})
        assert (used["adopted"], used["dropped"], used["llm"]) == (2, 0, [])

    play(scene)


def test_a_call_that_ends_in_a_guess_counts_it_as_in_vain() -> None:
    async def scene(stage: Stage) -> None:
        stage.thinking.think(Think(1, QUESTION, speculative=True))
        await until(lambda: stage.events)
        stage.tasks[0].cancel()
        await until(lambda: stage.vendor.closed)
        assert stage.thinking.speculated.usage({})["dropped"] == 1
        assert stage.thinking.tokens.rows() == []

    play(scene)


def test_an_interrupted_answer_counts_as_untold_as_before() -> None:
    async def scene(stage: Stage) -> None:
        stage.thinking.think(Think(1, QUESTION, speculative=True))
        stage.thinking.adopt(1)
        await until(lambda: stage.events)
        stage.thinking.drop(1)
        await until(lambda: stage.vendor.closed)
        (row,) = stage.thinking.tokens.rows()
        assert row["untold"] == 1

    play(scene)


def test_what_was_in_vain_is_apart_from_what_was_spoken_and_part_of_totals_and_cost() -> None:
    guesses = Speculated(Tracer())
    guesses.begin(Think(1, QUESTION, speculative=True), (), "openai/gpt-5.4")
    guesses.drop(1)
    talk = talk_usage(
        seconds=1.0,
        heard_s={},
        tokens=Tokens(),
        characters={"elevenlabs/flash": 5},
        speculation=guesses.usage({"elevenlabs/flash": 16}),
    )
    whole = whole_usage(talk, Tokens(), Tokens(), None)
    assert whole["tts"] == [{"provider": "elevenlabs", "model": "flash", "characters": 5}]
    assert whole["totals"]["characters"] == 21
    assert whole["totals"]["input_tokens"] == 6
    rows = [row[:3] for row in usage_rows(whole)]
    assert ("in vain", "elevenlabs/flash", "16 characters") in rows
    assert ("in vain", "openai/gpt-5.4", "1 reply, 6 tokens in, 0 out") in rows


def test_usage_says_nothing_of_speculation_where_none_was_begun() -> None:
    talk = talk_usage(
        seconds=1.0, heard_s={}, tokens=Tokens(), characters={}, speculation=Speculated(Tracer()).usage({})
    )
    assert "speculation" not in talk
