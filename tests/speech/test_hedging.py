"""A late first word is asked for twice, whoever begins first is heard, and it costs no more than was allowed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.catalogue import build_llm, validate
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.hedging import CREDITS, ENOUGH, FirstWords, Hedge, adopted
from sovereign_pbx.speech.llm import Abandoned, ChatEvent, Finished, TextDelta, ToolSpec
from sovereign_pbx.speech.llm.fallback import FallbackChat
from sovereign_pbx.speech.standing import Choice, Choices, Standings
from sovereign_pbx.testing import virtual_time
from sovereign_pbx.testing.providers import ScriptedOpenAI
from tests.speech.running import eventually, run_clean

HEDGE = Hedge(after_s=0.5, most_share=1.0)


class Model:
    """Begins each reply after the next of `delays` (an error: fails instead of beginning)."""

    def __init__(self, name: str, *delays: float | ProviderError) -> None:
        self.name = name
        self.delays = list(delays)
        self.asked: list[float] = []
        self.closed = 0

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        self.asked.append(asyncio.get_running_loop().time())
        delay = self.delays.pop(0) if len(self.delays) > 1 else self.delays[0]
        try:
            if isinstance(delay, ProviderError):
                raise delay
            await asyncio.sleep(delay)
            yield TextDelta(f"{self.name}.")
            await asyncio.sleep(0.1)
            yield Finished("stop")
        finally:
            self.closed += 1

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None: ...

    async def aclose(self) -> None: ...


def hedged(*models: Model, hedge: Hedge = HEDGE, first_words: FirstWords | None = None) -> FallbackChat:
    choices: Choices[Any] = Choices([Choice(model, model.name) for model in models], Standings())
    return FallbackChat(choices, hedge=hedge, first_words=first_words or FirstWords())


async def heard(chat: FallbackChat) -> list[ChatEvent]:
    return [event async for event in chat.reply([Message("user", "Hi")])]


def text(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_the_first_to_begin_is_heard_and_the_other_is_closed_at_once() -> None:
    async def main() -> None:
        slow, quick = Model("slow", 5.0), Model("quick", 0.1)
        began = asyncio.get_running_loop().time()
        events = await heard(hedged(slow, quick))
        assert text(events) == "quick."
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.5 + 0.1 + 0.1)
        assert slow.closed == 1
        assert Abandoned("slow") in events  # its cost counts, under its own name
        ended = events[-1]
        assert isinstance(ended, Finished)
        assert ended.model == "quick"

    virtual_time.run(main())


def test_a_model_that_begins_in_time_is_asked_once() -> None:
    async def main() -> None:
        first, second = Model("first", 0.4), Model("second", 0.1)
        assert text(await heard(hedged(first, second))) == "first."
        assert second.asked == []

    virtual_time.run(main())


def test_the_one_that_was_only_late_may_still_win() -> None:
    async def main() -> None:
        first, second = Model("first", 0.6), Model("second", 5.0)
        events = await heard(hedged(first, second))
        assert text(events) == "first."
        assert second.closed == 1
        assert Abandoned("second") in events

    virtual_time.run(main())


def test_without_a_spare_the_same_model_is_asked_twice_and_never_three_times() -> None:
    async def main() -> None:
        only = Model("only", 5.0, 0.2, 0.0)
        assert text(await heard(hedged(only))) == "only."
        assert len(only.asked) == 2

    virtual_time.run(main())


def test_one_that_fails_leaves_the_other_to_answer() -> None:
    async def main() -> None:
        first, second = Model("first", 1.0), Model("second", ProviderError("second", "llm", "refused"))
        assert text(await heard(hedged(first, second))) == "first."

    virtual_time.run(main())


def test_a_reply_that_is_no_longer_wanted_closes_both() -> None:
    async def main() -> None:
        first, second = Model("first", 60.0), Model("second", 60.0)

        async def wait() -> None:
            async with closing(hedged(first, second).reply([])) as events:
                await anext(events)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (first.closed, second.closed) == (1, 1)

    virtual_time.run(main())


def test_no_more_than_the_allowed_share_of_replies_is_asked_for_twice() -> None:
    async def main() -> None:
        slow, spare = Model("slow", 1.0), Model("spare", 0.1)
        chat = hedged(slow, spare, hedge=Hedge(after_s=0.5, most_share=0.1))
        for _ in range(100):
            await heard(chat)
        assert 10 <= len(spare.asked) <= 11  # one in advance

    virtual_time.run(main())


def test_credit_for_second_requests_does_not_pile_up() -> None:
    words = FirstWords()
    for _ in range(1000):
        words.earn("model", Hedge(most_share=0.5))
    assert sum(words.spend("model") for _ in range(1000)) == CREDITS


def test_the_wait_is_the_models_own_95th_percentile_within_bounds() -> None:
    words, hedge = FirstWords(), Hedge(after_s=1.0, floor_s=0.4, ceiling_s=2.0)
    for number in range(ENOUGH - 1):
        words.took("model", 0.5 + number / 100)
    assert words.wait_s("model", hedge) == 1.0
    words.took("model", 1.5)
    assert words.wait_s("model", hedge) == 1.5
    for _ in range(400):
        words.took("model", 0.1)
    assert words.wait_s("model", hedge) == 0.4
    for _ in range(400):
        words.took("model", 9.0)
    assert words.wait_s("model", hedge) == 2.0
    assert words.wait_s("another", hedge) == 1.0


@pytest.mark.parametrize("adopted_after_s", [0.2, 1.5, None])
def test_a_speculative_reply_is_not_asked_for_twice_before_it_is_adopted(adopted_after_s: float | None) -> None:
    async def main() -> None:
        slow, spare = Model("slow", 2.2), Model("spare", 0.1)
        chat, certain = hedged(slow, spare), asyncio.Event()
        began = asyncio.get_running_loop().time()
        adopted.set(certain)
        if adopted_after_s is not None:
            asyncio.get_running_loop().call_later(adopted_after_s, certain.set)
        assert text(await heard(chat)) == ("slow." if adopted_after_s is None else "spare.")
        if adopted_after_s is not None:
            assert spare.asked[0] - began == pytest.approx(max(adopted_after_s, 0.5))

    virtual_time.run(main())


def test_it_is_off_unless_asked_for_and_reads_its_settings() -> None:
    async def main() -> None:
        async with ScriptedOpenAI(["First."]) as first, ScriptedOpenAI(["Second."]) as second:
            second.first_token_ms = 1
            providers = {
                "openai": {"api_key": "test-key", "base_url": first.base_url},
                "mistral": {"api_key": "test-key", "base_url": f"{second.url}/mistral/v1"},
            }
            block: dict[str, Any] = {"provider": "openai", "fallbacks": [{"provider": "mistral"}]}
            hedged = {"enabled": True, "after_s": 0.1}
            for hedge, first_token_ms, answer in (({}, 400, "First."), (hedged, 60_000, "Second.")):
                first.first_token_ms = first_token_ms
                chat = build_llm({**block, "hedge": hedge}, providers)
                await chat.warm([])
                assert text([event async for event in chat.reply([Message("user", "Hi")])]) == answer
                await chat.aclose()
            await eventually(lambda: first.cancelled == 1, "the first server saw its client go")

    run_clean(main())


def test_a_wrong_setting_is_named() -> None:
    providers = {"openai": {"api_key": "test-key"}}
    with pytest.raises(Exception, match=r"llm_config\.hedge: after_s"):
        validate("llm", {"provider": "openai", "hedge": {"enabled": True, "after_s": "soon"}}, providers)
