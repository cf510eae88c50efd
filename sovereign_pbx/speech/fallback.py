"""Several providers as one: what models (`llm/fallback.py`), voices (`tts/fallback.py`) and recognisers
(`stt/fallback.py`) have in common when one of them fails and another takes over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import structlog

from sovereign_pbx.core.errors import ProviderError, Stage
from sovereign_pbx.speech.standing import Choices

log = structlog.get_logger(__name__)

T = TypeVar("T")


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
    """The events, the first of them within `first_s` (None: no matter when) or ProviderError `stalled`. Closes them."""
    async with closing(events):
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
