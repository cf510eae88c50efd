"""Several providers as one: who fails or stalls before the first result is replaced at once; afterwards nothing is
restarted in secret, the failure is reported. Used with a single provider too.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import structlog

from sovereign_pbx.core.errors import ProviderError, Stage
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ChatEvent, ChatModel, Finished, ToolSpec
from sovereign_pbx.speech.standing import Choice, Choices
from sovereign_pbx.speech.tts import Audio, Voice, VoiceSession

log = structlog.get_logger(__name__)

T = TypeVar("T")

LLM_SWITCH_S = 2.5  # a first token later than this is worth another provider's attempt
TTS_SWITCH_S = 1.5


class _Closable(Protocol):
    name: str

    async def aclose(self) -> None: ...


@asynccontextmanager
async def closing(events: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close an iterator at the end of the block; interfaces promise AsyncIterator, adapters are generators."""
    try:
        yield events
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def hurried(events: AsyncIterator[T], first_s: float | None, provider: str, stage: Stage) -> AsyncIterator[T]:
    """The events, the first of them within `first_s` (None: no matter when) or ProviderError `stalled`."""
    try:
        async with asyncio.timeout(first_s):
            first = await anext(events)
    except StopAsyncIteration:
        return
    except TimeoutError as exc:
        raise ProviderError(provider, stage, "stalled", f"no result within {first_s:g} s") from exc
    yield first
    async for event in events:
        yield event


def note_switch(stage: Stage, left: _Closable, fault: ProviderError, taken: _Closable) -> None:
    """One log line for every change of provider."""
    log.warning(
        "provider replaced", stage=stage, left=left.name, taken=taken.name, kind=fault.kind, detail=fault.detail
    )


async def close_all(choices: Choices[Any]) -> None:
    """Let go of every implementation."""
    for choice in choices.all:
        await choice.implementation.aclose()


class FallbackChat:
    """Models in order of preference."""

    def __init__(self, models: Choices[ChatModel], *, switch_s: float = LLM_SWITCH_S) -> None:
        self._models = models
        self._switch_s = switch_s
        self.name = models.all[0].implementation.name

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        """One reply, from the first model that begins it in time."""
        order = self._models.in_order()
        for place, choice in enumerate(order):
            model = choice.implementation
            spare = order[place + 1].implementation if place + 1 < len(order) else None
            begun = False
            try:
                async with closing(model.reply(messages, tools)) as events:
                    async for event in hurried(events, self._switch_s if spare else None, model.name, "llm"):
                        if not begun:
                            begun = True
                            self._models.worked(choice)
                        yield replace(event, model=model.name) if isinstance(event, Finished) else event
                return
            except ProviderError as exc:
                self._models.failed(choice, exc)
                if begun or spare is None:
                    raise
                note_switch("llm", model, exc, spare)

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Warm the model that would be asked first."""
        await self._models.in_order()[0].implementation.warm(messages, tools)

    async def aclose(self) -> None:
        await close_all(self._models)


class FallbackVoiceSession:
    """One call's voices. A caller hears one voice as long as it works: after a change it stays changed."""

    def __init__(self, voices: Choices[Voice], rate: int, language: str, switch_s: float) -> None:
        self._voices = voices
        self._rate = rate
        self._language = language
        self._switch_s = switch_s
        self._sessions: dict[str, VoiceSession] = {}
        self._current: Choice[Voice] | None = None
        self._opening = asyncio.Lock()

    @property
    def spoke_with(self) -> str:
        """The key of the voice that spoke last."""
        return (self._current or self._voices.all[0]).implementation.key

    @property
    def served_by(self) -> str:
        """The name of the voice that spoke last."""
        return (self._current or self._voices.all[0]).implementation.name

    async def open(self) -> None:
        """Open the first voice that can be opened; ProviderError of the last one when none can."""
        order = self._voices.in_order()
        for place, choice in enumerate(order):
            try:
                await self._session(choice)
                self._current = choice
                return
            except ProviderError as exc:
                self._voices.failed(choice, exc)
                if place + 1 == len(order):
                    raise
                note_switch("tts", choice.implementation, exc, order[place + 1].implementation)

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        """One segment, from the first voice that begins it in time."""
        order = self._order()
        for place, choice in enumerate(order):
            spare = order[place + 1].implementation if place + 1 < len(order) else None
            voice = choice.implementation
            begun = False
            try:
                async with asyncio.timeout(self._switch_s if spare else None):
                    session = await self._session(choice)
                async with closing(session.speak(text)) as chunks:
                    async for chunk in hurried(chunks, self._switch_s if spare else None, voice.name, "tts"):
                        if not begun:
                            begun = True
                            self._current = choice
                            self._voices.worked(choice)
                        yield chunk
                return
            except (ProviderError, TimeoutError) as exc:
                fault = exc if isinstance(exc, ProviderError) else _slow(voice.name)
                self._voices.failed(choice, fault)
                if begun or spare is None:
                    raise fault from exc
                note_switch("tts", voice, fault, spare)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _order(self) -> list[Choice[Voice]]:
        order = self._voices.in_order()
        return sorted(order, key=lambda choice: choice is not self._current)

    async def _session(self, choice: Choice[Voice]) -> VoiceSession:
        async with self._opening:
            if choice.key not in self._sessions:
                self._sessions[choice.key] = await choice.implementation.open(rate=self._rate, language=self._language)
            return self._sessions[choice.key]


def _slow(name: str) -> ProviderError:
    return ProviderError(name, "tts", "stalled", "no connection within the time for a change")


class FallbackVoice:
    """Voices in order of preference."""

    def __init__(self, voices: Choices[Voice], *, switch_s: float = TTS_SWITCH_S) -> None:
        self._voices = voices
        self._switch_s = switch_s
        first = voices.all[0].implementation
        self.name = first.name
        self.key = first.key
        self.keys = tuple(choice.implementation.key for choice in voices.all)

    async def open(self, *, rate: int, language: str) -> VoiceSession:
        """A session whose first voice is connected, or ProviderError when none could be."""
        session = FallbackVoiceSession(self._voices, rate, language, self._switch_s)
        await session.open()
        return session

    async def aclose(self) -> None:
        await close_all(self._voices)
