"""How a conversation is put to a model of 1.5 billion parameters so that it answers briefly and uses its tools. Pure.

The shipped model's own template describes three tools in some 300 tokens; asked about an order afterwards, the model
made the answer up more often than it called the tool. Listed as "what the caller wants -> the JSON to answer", in 100
tokens, the same model calls the right tool nearly always (docs/models.md has the counts). So tools are written into
the instructions, calls and their answers into the conversation, and the template never hears of them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ToolSpec

STYLE: Final = (
    "You are speaking on the telephone. Answer in one or two short spoken sentences. No lists, no markdown, no emoji. "
    "If these instructions do not say it, say that you do not know."
)
TOOL_STYLE: Final = (
    "Answer from the facts above. Only if the caller asks for one of these actions, answer with its JSON instead:"
)
RESULT_STYLE: Final = "Tell the caller."
_SPELLED: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double triple"
)
_NUMBER_WORDS: Final = frozenset(_SPELLED.split(" "))


def shaped(messages: Sequence[Message], tools: Sequence[ToolSpec], style: str = STYLE) -> list[Message]:
    """The messages with the telephone's rules and the tools behind the first system message, calls and answers as
    text. An empty `style` leaves the instructions alone."""
    suffix = "\n\n".join(part for part in (style, _tool_list(tools)) if part)
    out = [_plain(message, messages) for message in messages]
    if not suffix:
        return out
    if not out or out[0].role != "system":
        return [Message("system", suffix), *out]
    return [replace(out[0], content=f"{out[0].content}\n\n{suffix}"), *out[1:]]


def supported(arguments: str, tool: ToolSpec, messages: Sequence[Message]) -> str | None:
    """A call's arguments as the tool takes them; None when they can't come from the conversation: the placeholder, an
    option that is none, a number although the caller never said one. Such a call would look up a stranger's order."""
    given: Any = json.loads(arguments)
    kept: dict[str, Any] = {}
    for name, schema in tool.parameters.get("properties", {}).items():
        options = schema.get("enum") or []
        value = options[0] if len(options) == 1 else given.get(name)
        if value is None:
            continue
        if options and value not in options:
            return None
        if not options and ("…" in str(value) or (re.search(r"\d\d", str(value)) and not _number_said(messages))):
            return None
        kept[name] = value
    if any(name not in kept for name in tool.parameters.get("required", ())):
        return None
    return json.dumps(kept, ensure_ascii=False)


def asking_for(tool: ToolSpec) -> str:
    """What to tell the model when it wanted a tool without having what the tool needs."""
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    details = ", ".join(str(properties[name].get("description", name)) for name in properties)
    return f"If the caller wants this: {tool.description} then ask for: {details}."


def _number_said(messages: Sequence[Message]) -> bool:
    said = " ".join(message.content for message in messages if message.role in ("user", "tool"))
    return any(char.isdigit() for char in said) or bool(_NUMBER_WORDS.intersection(re.findall("[a-z]+", said.lower())))


def _tool_list(tools: Sequence[ToolSpec]) -> str:
    return "\n".join([TOOL_STYLE, *map(_tool_line, tools)]) if tools else ""


def _tool_line(tool: ToolSpec) -> str:
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    example = _call_text(tool.name, {name: _placeholder(schema) for name, schema in properties.items()})
    notes = "; ".join(
        f"{name}: {schema['description']}"
        for name, schema in properties.items()
        if schema.get("description") and _placeholder(schema) == "…"
    )
    return f"- {tool.description} -> {example}" + (f" ({notes})" if notes else "")


def _placeholder(schema: Mapping[str, Any]) -> Any:
    options = schema.get("enum") or []
    return options[0] if len(options) == 1 else "…"


def _call_text(name: str, arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _plain(message: Message, messages: Sequence[Message]) -> Message:
    if message.role == "assistant" and message.tool_calls:
        calls = (_call_text(call.name, _read(call.arguments)) for call in message.tool_calls)
        return Message("assistant", "\n".join([*filter(None, [message.content]), *calls]))
    if message.role == "tool":
        name = next(
            (call.name for told in messages for call in told.tool_calls if call.id == message.tool_call_id), "the tool"
        )
        return Message("user", f"Answer of {name}: {message.content}\n{RESULT_STYLE}")
    return message


def _read(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {}
