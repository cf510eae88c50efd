"""One chunk of a streamed chat completion, as far as a reply needs it.

Servers differ in what they leave out and what they add, so everything is optional and what is not read is not judged
(https://platform.openai.com/docs/api-reference/chat-streaming).
"""

from typing import Any

import msgspec


class CalledFunction(msgspec.Struct):
    name: str | None = None
    arguments: Any = None  # text by the reference; some servers send the object itself


class CallPart(msgspec.Struct):
    """A fragment of a tool call."""

    index: int | None = None
    id: str | None = None
    function: CalledFunction | None = None


class Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[CallPart] | None = None


class ChunkChoice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class TokenUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class Chunk(msgspec.Struct):
    choices: list[ChunkChoice] | None = None
    usage: TokenUsage | None = None

    def told_usage(self) -> dict[str, Any]:
        """What the server says that the reply took; empty where it says nothing."""
        usage = self.usage
        if usage is None:
            return {}
        told: dict[str, Any] = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
        details = usage.prompt_tokens_details
        if details is not None and details.cached_tokens:
            told["cached_tokens"] = details.cached_tokens
        return told


def chunk_of(message: object) -> Chunk:
    """The chunk that a server's JSON holds. Raises ValueError for what is none."""
    return msgspec.convert(message, Chunk)
