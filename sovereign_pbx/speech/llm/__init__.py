"""Language models, the interface."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sovereign_pbx.core.values import Message, ToolCall


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `parameters` is JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A complete tool call (fragments are put together by the adapter)."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Finished:
    """The model stopped. `usage`: input_tokens, output_tokens where the vendor tells. `model`: the name of who
    answered, where several could."""

    reason: str
    usage: dict[str, Any] = field(default_factory=dict)
    model: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A request was given up for another one: `model` began to work on it, and no vendor tells what that took."""

    model: str


ChatEvent = TextDelta | ToolRequest | Finished | Abandoned


class ChatModel(Protocol):
    """A configured model."""

    name: str

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        """Stream one reply, ending with `Finished`. Closing the iterator closes the vendor's stream at once.

        Raises ProviderError: connect and first event within their deadlines, then `stalled` between events.
        """

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Prepare while the call rings: open the connection, prime a local prompt cache. Never raises."""

    async def aclose(self) -> None: ...
