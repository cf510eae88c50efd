"""Summary, then analysis, within bounds: whatever goes wrong, there is something to report."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.analysis_plan import Subject
from sovereign_pbx.calls.post_call import Conclusion, PostCall, PostCallSettings
from sovereign_pbx.calls.prices import Price, Prices
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolSpec

SCHEMA = {"type": "object", "properties": {"sentiment": {"type": "integer"}}, "required": ["sentiment"]}
SAID = (Message("assistant", "Hello."), Message("user", "I am content."))
PLAIN = "The caller said: I am content."
FITS = '{"sentiment": 8}'


class Model:
    """Says what `answer` makes of the messages; a ProviderError among the answers is raised."""

    name = "scripted/model"

    def __init__(self, answer: Callable[[Sequence[Message]], str | Exception]) -> None:
        self.answer = answer
        self.asked: list[Sequence[Message]] = []
        self.held: asyncio.Event | None = None
        self.hold_analysis_only = False
        self.at_once = self.most_at_once = 0

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        self.asked.append(messages)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.held is not None and not (self.hold_analysis_only and "Summarise" in messages[0].content):
                await self.held.wait()
            answer = self.answer(messages)
            if isinstance(answer, Exception):
                raise answer
            yield TextDelta(answer)
            yield Finished("stop", {"input_tokens": 100, "output_tokens": 10})
        finally:
            self.at_once -= 1

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None: ...

    async def aclose(self) -> None: ...


class Models:
    def __init__(self, model: Model | ConfigError) -> None:
        self.model = model
        self.blocks: list[Mapping[str, Any]] = []

    def llm(self, block: Mapping[str, Any]) -> Model:
        self.blocks.append(block)
        if isinstance(self.model, ConfigError):
            raise self.model
        return self.model


def by_kind(summary: str = "All well.", *analyses: str | Exception) -> Callable[[Sequence[Message]], str | Exception]:
    left = list(analyses)

    def answer(messages: Sequence[Message]) -> str | Exception:
        return summary if "Summarise" in messages[0].content else left.pop(0)

    return answer


def assistant(plan: Mapping[str, Any] | None = None, **more: Any) -> Assistant:
    data = {"name": "desk", "llm_config": {"provider": "openai", "model": "m"}, **more}
    return Assistant.parse(data if plan is None else {**data, "analysis_plan": plan}, where="test")


PLAN: dict[str, Any] = {"structured_data_plan": {"enabled": True, "schema": SCHEMA}}


def subject(messages: Sequence[Message] = SAID) -> Subject:
    return Subject(messages=messages, summary="", end_reason="user_hangup", duration_s=12, caller="+31612345678")


def concluded(
    model: Model | ConfigError, who: Assistant, messages: Sequence[Message] = SAID, **more: Any
) -> Conclusion:
    async def run() -> Conclusion:
        async with asyncio.timeout(20):
            return await PostCall(Models(model), **more).conclude(who, subject(messages), {"seconds": 12.0})

    return asyncio.run(run())


def test_the_summary_comes_first_and_the_analysis_may_use_it() -> None:
    model = Model(by_kind("He is content.", FITS))
    messages = [{"role": "user", "content": "{summary} {schema} {transcript}"}]
    template = {"system_prompt": "Judge.", "user_prompt": messages[0]["content"], "schema": SCHEMA}
    who = assistant({"structured_data_plan": {"enabled": True, "template_id": "t"}})
    found = concluded(model, who, template={"t": template}.get)
    assert (found.summary, found.analysis) == ("He is content.", {"sentiment": 8})
    assert found.events == (("analysis.done", {"repaired": False}),)
    assert model.asked[1][-1].content.startswith("He is content. {")


def test_a_wrong_answer_is_mended_once_with_what_was_wrong() -> None:
    model = Model(by_kind("S", '{"sentiment": "good"}', f"```json\n{FITS}\n```"))
    found = concluded(model, assistant(PLAN))
    assert found.analysis == {"sentiment": 8}
    assert found.events == (("analysis.done", {"repaired": True}),)
    returned, told = model.asked[2][-2:]
    assert returned.content == '{"sentiment": "good"}'
    assert "sentiment: 'good' is not of type 'integer'" in told.content


def test_an_answer_wrong_twice_is_a_note_and_not_asked_for_again() -> None:
    model = Model(by_kind("S", "I can't.", '{"sentiment": null}'))
    found = concluded(model, assistant(PLAN))
    assert (found.summary, found.analysis) == ("S", None)
    ((name, values),) = found.events
    assert name == "analysis.failed"
    assert "sentiment: None is not of type 'integer'" in values["why"]
    assert len(model.asked) == 3


@pytest.mark.parametrize(
    "fault", [ProviderError("scripted", "llm", "refused", "no connection"), RuntimeError("a fault of ours")]
)
def test_a_model_that_fails_costs_summary_and_analysis_and_nothing_else(fault: Exception) -> None:
    found = concluded(Model(lambda messages: fault), assistant(PLAN))
    assert (found.summary, found.analysis) == (PLAIN, None)
    assert found.events[0][0] == "analysis.failed"


def test_too_short_a_talk_is_not_analysed() -> None:
    model = Model(by_kind("S"))
    found = concluded(model, assistant({**PLAN, "min_messages_threshold": 3}))
    assert found.events == (("analysis.skipped", {"why": "2 messages, and 3 are asked for"}),)
    assert len(model.asked) == 1


def test_a_caller_who_said_nothing_is_summed_up_without_a_model_and_analysed_if_asked_for() -> None:
    model = Model(by_kind("S", FITS))
    found = concluded(model, assistant({**PLAN, "min_messages_threshold": 1}), SAID[:1])
    assert (found.summary, found.analysis) == ("The caller said nothing.", {"sentiment": 8})


def test_a_schema_that_cannot_be_used_fails_the_analysis() -> None:
    plan = {"structured_data_plan": {"enabled": True, "schema": {"$ref": "http://127.0.0.1:9/x"}}}
    found = concluded(Model(by_kind("S", FITS)), assistant(plan))
    assert found.analysis is None
    assert "refers to what is not in it" in found.events[0][1]["why"]


def test_a_template_that_is_gone_fails_the_analysis_and_not_the_summary() -> None:
    plan = {"structured_data_plan": {"enabled": True, "template_id": "gone"}}
    found = concluded(Model(by_kind("S")), assistant(plan))
    assert found.summary == "S"
    assert found.events == (("analysis.failed", {"why": "there is no analysis template 'gone'"}),)


def test_a_model_that_cannot_be_built_is_said() -> None:
    found = concluded(ConfigError("[providers.openai]: api_key is missing"), assistant(PLAN))
    assert found.summary == PLAIN
    assert "api_key is missing" in found.events[0][1]["why"]


def test_summaries_can_be_switched_off_and_analyses_go_on() -> None:
    model = Model(by_kind("S", FITS))
    found = concluded(model, assistant(PLAN), settings=PostCallSettings(summaries=False))
    assert (found.summary, found.analysis) == (PLAIN, {"sentiment": 8})
    assert concluded(model, assistant(), settings=PostCallSettings(summaries=False)).summary == PLAIN
    assert len(model.asked) == 1


def test_what_it_took_is_counted_apart_and_priced() -> None:
    prices = Prices(providers={"scripted": Price(input_per_million_tokens=10.0)})
    found = concluded(Model(by_kind("S", "no", FITS)), assistant(PLAN), prices=prices)
    assert [row["input_tokens"] for row in found.usage["summary"]] == [100]
    assert [(row["replies"], row["input_tokens"]) for row in found.usage["analysis"]] == [(2, 200)]
    assert found.usage["cost"]["parts"]["analysis"] == pytest.approx(0.002)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_only_so_many_are_worked_on_and_the_others_wait_in_order() -> None:
    async def run() -> None:
        model = Model(by_kind("S"))
        model.held = asyncio.Event()
        post = PostCall(Models(model), settings=PostCallSettings(at_once=2, waiting=10))
        work = [asyncio.create_task(post.conclude(assistant(), subject(), {})) for _ in range(6)]
        await settled()
        assert (model.at_once, post.present) == (2, 6)
        model.held.set()
        assert {found.summary for found in await asyncio.gather(*work)} == {"S"}
        assert (model.most_at_once, post.present) == (2, 0)

    asyncio.run(run())


def test_for_whom_there_is_no_place_to_wait_there_is_a_plain_summary_at_once() -> None:
    async def run() -> None:
        model = Model(by_kind("S"))
        model.held = asyncio.Event()
        post = PostCall(Models(model), settings=PostCallSettings(at_once=1, waiting=0))
        first = asyncio.create_task(post.conclude(assistant(), subject(), {}))
        await settled()
        second = await post.conclude(assistant(PLAN), subject(), {})
        assert second.summary == PLAIN
        assert second.events == (("analysis.failed", {"why": "not attempted: too many calls were waiting for it"}),)
        model.held.set()
        assert (await first).summary == "S"

    asyncio.run(run())


def test_who_waits_too_long_gets_a_plain_summary() -> None:
    async def run() -> None:
        model = Model(by_kind("S"))
        model.held = asyncio.Event()
        post = PostCall(Models(model), settings=PostCallSettings(at_once=1, wait_s=0.05))
        first = asyncio.create_task(post.conclude(assistant(), subject(), {}))
        await settled()
        second = await post.conclude(assistant(PLAN), subject(), {})
        assert second.summary == PLAIN
        assert second.events[0][1]["why"].startswith("not attempted: no turn within")
        model.held.set()
        assert (await first).summary == "S"

    asyncio.run(run())


def test_a_model_that_says_nothing_is_given_up() -> None:
    model = Model(by_kind("S"))

    async def run() -> Conclusion:
        model.held = asyncio.Event()
        post = PostCall(Models(model), settings=PostCallSettings(timeout_s=0.05))
        return await post.conclude(assistant(PLAN), subject(), {})

    found = asyncio.run(run())
    assert found.summary == PLAIN
    assert found.events[0][0] == "analysis.failed"


@pytest.mark.parametrize("late", [False, True])
def test_a_daemon_that_ends_cuts_it_short_and_keeps_what_is_done(late: bool) -> None:
    async def run() -> None:
        model = Model(by_kind("S", FITS))
        model.held, model.hold_analysis_only = asyncio.Event(), True
        post = PostCall(Models(model))
        if late:
            post.hurry(0.1)
        work = asyncio.create_task(post.conclude(assistant(PLAN), subject(), {}))
        await settled()
        if not late:
            post.hurry(0.1)
        began = asyncio.get_running_loop().time()
        found = await work
        assert asyncio.get_running_loop().time() - began < 2.0
        assert (found.summary, found.analysis) == ("S", None)
        assert found.events == (("analysis.failed", {"why": "not finished: the daemon was ending"}),)

    asyncio.run(run())
