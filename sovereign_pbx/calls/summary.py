"""What a call was about, in a sentence or two: by the model, else from the transcript itself."""

import asyncio
from collections.abc import Sequence

import structlog

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.llm import ChatModel, TextDelta

log = structlog.get_logger(__name__)

_INSTRUCTION = (
    "Summarise this telephone call in one or two plain sentences, in the language of the call: what the caller "
    "wanted and what came of it. Do not invent anything."
)
_LONGEST = 600


def transcript(messages: Sequence[Message]) -> str:
    """Who said what, a line each; what the model and its tools told each other is left out."""
    names = {"user": "Caller", "assistant": "Assistant"}
    return "\n".join(f"{names[m.role]}: {m.content}" for m in messages if m.role in names and m.content)


def plain_summary(messages: Sequence[Message]) -> str:
    """The summary without a model: the caller's own words."""
    said = [m.content for m in messages if m.role == "user" and m.content]
    if not said:
        return "The caller said nothing."
    text = "The caller said: " + " / ".join(said)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


async def summarise(model: ChatModel | None, messages: Sequence[Message], timeout_s: float) -> str:
    """A summary within `timeout_s`, never an error: a report without one would break the contract (§10.2)."""
    talk = transcript(messages)
    if model is None or not any(m.role == "user" and m.content for m in messages):
        return plain_summary(messages)
    try:
        async with asyncio.timeout(timeout_s):
            text = await _ask(model, talk)
    except (TimeoutError, ProviderError) as exc:
        log.warning("summary.failed", error=str(exc) or "no summary in time")
        text = ""
    except Exception:  # whatever a provider's code does wrong, the report is owed
        log.exception("summary.broke")
        text = ""
    return text or plain_summary(messages)


async def _ask(model: ChatModel, talk: str) -> str:
    parts: list[str] = []
    messages = (Message("system", _INSTRUCTION), Message("user", talk))
    async with closing(model.reply(messages)) as events:
        parts.extend([event.text async for event in events if isinstance(event, TextDelta)])
    return "".join(parts).strip()
