"""What each OpenAI-compatible server turns down, and how it streams: the strict half of `ScriptedOpenAI`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

COMMON: Final = frozenset(
    {"model", "messages", "tools", "tool_choice", "stream", "temperature", "top_p", "stop", "max_tokens"}
)
OPENAI: Final = COMMON | {
    "max_completion_tokens",
    "stream_options",
    "reasoning_effort",
    "parallel_tool_calls",
    "response_format",
    "seed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """One kind of server."""

    fields: frozenset[str] = OPENAI
    extra_status: int = 400  # the answer to an unknown field; Mistral's is 422 with another body
    reasoning_rules: bool = False  # newer OpenAI models: no max_tokens, some no temperature
    needs_key: bool = True
    tool_id: str = r".{1,64}"
    system_first: bool = False  # the chat template raises otherwise
    last_role: tuple[str, ...] = ("system", "user", "assistant", "tool")
    whole_tools: bool = False  # a tool call comes in one delta
    tool_index: str = "count"  # count | zero | none
    usage: str = "asked"  # asked | always | never


FLAVOURS: Final[Mapping[str, Flavour]] = {
    "openai": Flavour(reasoning_rules=True),
    "xai": Flavour(),
    "mistral": Flavour(
        fields=COMMON | {"parallel_tool_calls", "response_format", "random_seed", "safe_prompt"},
        extra_status=422,
        tool_id=r"[a-zA-Z0-9]{9}",
        last_role=("user", "tool"),
        whole_tools=True,
        usage="always",
    ),
    "ollama": Flavour(needs_key=False, whole_tools=True, tool_index="zero"),
    "vllm": Flavour(needs_key=False, system_first=True),
    "llamacpp": Flavour(needs_key=False, system_first=True, whole_tools=True, tool_index="none", usage="never"),
}

_FIXED_TEMPERATURE = re.compile(r"^(o\d|gpt-5(-mini|-nano)?($|-\d)|gpt-5\.6)")
_REASONING = re.compile(r"^(o\d|gpt-5)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error with the vendor's kind of body."""

    status: int
    body: dict[str, Any]


def refusal(flavour: Flavour, body: Any) -> Refusal | None:
    """Why this server would turn the request down, or None."""
    if not isinstance(body, dict):
        return _error(400, "request body must be an object")
    if extra := sorted(set(body) - flavour.fields):
        return _extra(flavour, extra[0])
    if not isinstance(body.get("model"), str) or not isinstance(body.get("messages"), list) or not body["messages"]:
        return _error(400, "model and messages are required")
    return (_reasoning(body) if flavour.reasoning_rules else None) or _messages(flavour, body["messages"])


def _extra(flavour: Flavour, name: str) -> Refusal:
    if flavour.extra_status == 422:
        detail = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
        return Refusal(422, {"object": "error", "message": {"detail": [detail]}, "type": "invalid_request_error"})
    return _error(400, f"Unrecognized request argument supplied: {name}", name)


def _reasoning(body: Mapping[str, Any]) -> Refusal | None:
    model = body["model"]
    if "max_tokens" in body and _REASONING.match(model):
        why = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return _error(400, why, "max_tokens")
    fixed = _FIXED_TEMPERATURE.match(model) and not model.startswith("gpt-5-chat")
    if fixed and body.get("temperature", 1) != 1 and body.get("reasoning_effort") != "none":
        return _error(
            400, "Unsupported value: 'temperature' does not support that value with this model.", "temperature"
        )
    return None


def _messages(flavour: Flavour, messages: Sequence[Any]) -> Refusal | None:
    asked: set[str] = set()
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "user", "assistant", "tool"):
            return _error(400, f"messages[{number}]: no such role")
        if not isinstance(message.get("content"), str):
            return _error(400, f"messages[{number}]: content must be text")
        if role == "assistant" and not message["content"] and not message.get("tool_calls"):
            return _error(400, f"messages[{number}]: assistant message must have content or tool_calls")
        if role == "system" and number > 0 and flavour.system_first:
            return _error(500, "Jinja Exception: System message must be at the beginning.")
        if role == "tool":
            if message.get("tool_call_id") not in asked:
                return _error(400, f"messages[{number}]: tool message answers no tool call")
            asked.discard(message["tool_call_id"])
        elif asked:
            return _error(400, f"messages[{number}]: tool calls were not answered")
        for call in message.get("tool_calls") or ():
            if not re.fullmatch(flavour.tool_id, call["id"]):
                return _error(400, f"Tool call id was {call['id']} but must be {flavour.tool_id}")
            asked.add(call["id"])
    if asked or messages[-1]["role"] not in flavour.last_role:
        return _error(400, "Expected last role User or Tool for serving")
    return None


def _error(status: int, message: str, param: str | None = None) -> Refusal:
    return Refusal(status, {"error": {"message": message, "type": "invalid_request_error", "param": param}})
