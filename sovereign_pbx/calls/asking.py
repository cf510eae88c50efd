"""One whole answer of a model, for work after the call: its text, and what it cost."""

import asyncio
from collections.abc import Sequence
from typing import Final

from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.llm import ChatModel, Finished, TextDelta

LONGEST: Final = 200_000
"""Characters of an answer; a model that says more is stuck."""


async def ask(model: ChatModel, messages: Sequence[Message], tokens: Tokens, within_s: float) -> str:
    """The model's answer; what it took is added to `tokens`. Raises ProviderError and nothing else of its own."""
    parts: list[str] = []
    size = 0
    try:
        async with asyncio.timeout(within_s), closing(model.reply(messages)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    size += len(event.text)
                    parts.append(event.text)
                    if size > LONGEST:
                        raise ProviderError(model.name, "llm", "garbled", "an answer without end")
                elif isinstance(event, Finished):
                    tokens.add(event.model or model.name, event.usage)
    except TimeoutError as exc:
        raise ProviderError(model.name, "llm", "stalled", f"no whole answer within {within_s:g} s") from exc
    return "".join(parts).strip()
