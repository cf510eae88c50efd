"""What a call was about, in a sentence or two: by the model, else from the transcript itself."""

from collections.abc import Sequence

import structlog

from sovereign_pbx.calls.asking import ask
from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ChatModel

log = structlog.get_logger(__name__)

_INSTRUCTION = (
    "Summarise this telephone call in one or two plain sentences, in the language of the call: what the caller "
    "wanted and what came of it. Do not invent anything."
)
_LONGEST = 600
_LONGEST_OF_A_MODEL = 4000


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


def voicemail_summary(messages: Sequence[Message]) -> str:
    """Of a call that a mailbox took, in the contract's words (§15.1)."""
    left = next((m.content for m in reversed(messages) if m.role == "assistant" and m.content), "")
    after = bool(left) and messages[-1].role == "assistant"
    return f"Voicemail detected. Left message: {left}" if after else "Voicemail detected. No message was left."


async def summarise(model: ChatModel, messages: Sequence[Message], timeout_s: float, tokens: Tokens) -> str:
    """A summary within `timeout_s`, never an error: a report without one would break the contract (§10.2). What it
    took is added to `tokens`."""
    questions = (Message("system", _INSTRUCTION), Message("user", transcript(messages)))
    try:
        text = await ask(model, questions, tokens, timeout_s)
    except ProviderError as exc:
        log.warning("summary.failed", error=str(exc))
        text = ""
    except Exception:  # whatever a provider's code does wrong, the report is owed
        log.exception("summary.broke")
        text = ""
    return text[:_LONGEST_OF_A_MODEL] or plain_summary(messages)
