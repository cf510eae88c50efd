"""Several models as one: who fails or stalls before its first word is replaced at once, and who breaks off in the
middle is gone on for from the word where it stopped, by the next or, where there is none, by itself once more.

Why go on, and not end the sentence and apologise: what has been said is usually half of the answer, an apology makes
the caller ask again, and asking again takes a turn, while going on takes a first word, most of which is hidden behind
what is still being spoken. Why not begin anew: the caller would hear the first half twice. After a tool was asked for
nothing is asked again: it might be used twice.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.fallback import close_all, closing, hurried, note_switch
from sovereign_pbx.speech.hedging import FIRST_WORDS, FirstWords, Hedge, Request, first_to_begin
from sovereign_pbx.speech.llm import Abandoned, ChatEvent, ChatModel, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.seam import Seam, asked_to_go_on
from sovereign_pbx.speech.standing import Choice, Choices

LLM_SWITCH_S: Final = 2.5  # a first token later than this is worth another provider's attempt
_PASSING: Final = ("dropped", "garbled")  # the same model may do better at once


@dataclass(slots=True)
class _Progress:
    """What has become of one reply so far."""

    told: str = ""
    tools: bool = False

    @property
    def begun(self) -> bool:
        return bool(self.told) or self.tools


@dataclass(slots=True)
class _Attempt:
    """One model's turn. `spare` is who may go on after it; `later`: it is not the first of its reply."""

    choice: Choice[ChatModel]
    spare: Choice[ChatModel] | None
    seam: Seam
    later: bool

    @property
    def name(self) -> str:
        return self.choice.implementation.name


class FallbackChat:
    """Models in order of preference. With `hedge` a late first word is asked for twice (`speech/hedging.py`)."""

    def __init__(
        self,
        models: Choices[ChatModel],
        *,
        switch_s: float = LLM_SWITCH_S,
        hedge: Hedge | None = None,
        first_words: FirstWords = FIRST_WORDS,
    ) -> None:
        self._models = models
        self._switch_s = switch_s
        self._hedge = hedge
        self._first_words = first_words
        self.name = models.all[0].implementation.name

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        """One reply, from the first model that begins it in time; gone on with where it breaks off."""
        order = self._models.in_order()
        turns = order if len(order) > 1 else order * 2  # who stands alone may be asked once more
        progress = _Progress()
        for place, choice in enumerate(turns):
            spare = turns[place + 1] if place + 1 < len(turns) else None
            attempt = _Attempt(choice, spare, Seam(progress.told), later=place > 0)
            asked = asked_to_go_on(messages, progress.told) if progress.told else messages
            try:
                async with closing(self._one(attempt, asked, tools)) as events:
                    async for event in events:
                        _note(progress, event)
                        yield event
                return
            except ProviderError as exc:
                self._models.failed(attempt.choice, exc)
                if spare is None or not self._goes_on(attempt, exc, progress):
                    raise
                note_switch("llm", attempt.choice.implementation, exc, spare.implementation)
                if progress.begun or exc.kind == "stalled":
                    yield Abandoned(attempt.name)

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Warm the model that would be asked first."""
        await self._models.in_order()[0].implementation.warm(messages, tools)

    async def aclose(self) -> None:
        await close_all(self._models)

    def _goes_on(self, attempt: _Attempt, fault: ProviderError, progress: _Progress) -> bool:
        """Whether the next is asked. A tool that was asked for must not be asked for twice."""
        if progress.tools:
            return False
        alone = attempt.spare is not None and attempt.spare.key == attempt.choice.key
        return not alone or fault.kind in _PASSING or (fault.kind == "stalled" and progress.begun)

    async def _one(
        self, attempt: _Attempt, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncIterator[ChatEvent]:
        """One model's part of the reply, without what was told before it."""
        begun = False
        async with closing(self._asked(attempt, messages, tools)) as events:
            async for event in events:
                if not begun and not isinstance(event, Abandoned):
                    begun = True
                    self._models.worked(attempt.choice)
                if isinstance(event, TextDelta):
                    if text := attempt.seam.feed(event.text):
                        yield replace(event, text=text)
                    continue
                if not isinstance(event, Abandoned) and (rest := attempt.seam.rest()):
                    yield TextDelta(rest)
                yield replace(event, model=attempt.name) if isinstance(event, Finished) else event

    def _asked(
        self, attempt: _Attempt, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncIterator[ChatEvent]:
        if self._hedge is None or attempt.later:
            return self._hurried(attempt.choice, attempt.spare is not None, messages, tools)
        return self._hedged(attempt, self._hedge, messages, tools)

    def _hurried(
        self, choice: Choice[ChatModel], replaceable: bool, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncIterator[ChatEvent]:
        model = choice.implementation
        first_s = self._switch_s if replaceable and len(self._models.all) > 1 else None
        return hurried(model.reply(messages, tools), first_s, model.name, "llm")

    async def _hedged(
        self, attempt: _Attempt, hedge: Hedge, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncIterator[ChatEvent]:
        """As `_hurried`; when the first word is late, the spare (or the same model again) is asked as well."""
        choice = attempt.choice
        self._first_words.earn(choice.key, hedge)

        def ask(whom: Choice[ChatModel]) -> Request[ChatEvent]:
            return Request(whom, self._hurried(whom, attempt.spare is not None, messages, tools))

        def second() -> Request[ChatEvent] | None:
            return ask(attempt.spare or choice) if self._first_words.spend(choice.key) else None

        first = ask(choice)
        winner, loser = await first_to_begin(first, self._first_words.wait_s(choice.key, hedge), second)
        try:
            if first.fault is None:
                self._first_words.took(choice.key, first.waiting_s)  # of one that lost, at least so long
            attempt.choice = winner.who
            if loser is not None:
                if loser.fault is not None:
                    self._models.failed(loser.who, loser.fault)
                yield Abandoned(loser.who.implementation.name)
            async for event in winner.events():
                yield event
        finally:
            await winner.close()


def _note(progress: _Progress, event: ChatEvent) -> None:
    if isinstance(event, TextDelta):
        progress.told += event.text
    elif isinstance(event, ToolRequest):
        progress.tools = True
