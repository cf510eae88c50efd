"""Our history and tools as chat-completions JSON."""

import hashlib
import string
from collections.abc import Sequence
from typing import Any

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ToolSpec
from sovereign_pbx.speech.llm.quirks import Quirks

_LETTERS = string.ascii_letters + string.digits


def chat_messages(messages: Sequence[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """The history for the wire. Messages without content and tools are left out: several servers refuse them."""
    wanted = [m for m in messages if m.content or m.tool_calls or m.role == "tool"]
    if quirks.one_system:
        wanted = _one_system(wanted)
    elif not quirks.system_last and wanted and wanted[-1].role == "system":
        wanted = _as_user(wanted, len(wanted) - 1)
    return [_chat_message(message, quirks) for message in wanted]


def chat_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools for the wire."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def _chat_message(message: Message, quirks: Quirks) -> dict[str, Any]:
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": _tool_id(message.tool_call_id or "", quirks),
            "content": message.content,
        }
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    return {
        "role": message.role,
        "content": message.content,
        "tool_calls": [
            {
                "id": _tool_id(call.id, quirks),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in message.tool_calls
        ],
    }


def _one_system(messages: Sequence[Message]) -> list[Message]:
    """The leading system messages as one, later ones as the user's."""
    leading = 0
    while leading < len(messages) and messages[leading].role == "system":
        leading += 1
    text = "\n\n".join(message.content for message in messages[:leading])
    return [Message("system", text)] * bool(leading) + _as_user(messages[leading:], 0)


def _as_user(messages: Sequence[Message], first: int) -> list[Message]:
    """System messages from `first` on as the user's, in brackets; joined with what the user says before or behind."""
    told = list(messages[:first])
    for message in messages[first:]:
        ours = message.role == "system"
        one = Message("user", f"[{message.content}]") if ours else message
        if one.role == "user" and told and told[-1].role == "user":
            told[-1] = Message("user", f"{told[-1].content}\n\n{one.content}")
        else:
            told.append(one)
    return told


def _tool_id(given: str, quirks: Quirks) -> str:
    """The id as the server accepts it: one made by another server (before a fallback) is mapped, always alike."""
    length = quirks.tool_id_length
    if length is None or (len(given) == length and given.isascii() and given.isalnum()):
        return given
    digest = hashlib.sha256(given.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:length])
