"""What OpenAI's Realtime API and xAI's turn down: unknown events and fields, wrong formats, values out of range."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[Any, str], str | None]


def _text(value: Any, path: str) -> str | None:
    return None if isinstance(value, str) else f"{path}: must be a string"


def _flag(value: Any, path: str) -> str | None:
    return None if isinstance(value, bool) else f"{path}: must be true or false"


def _number(low: float, high: float) -> Check:
    def check(value: Any, path: str) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return f"{path}: must be from {low:g} to {high:g}"
        return None

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: Any, path: str) -> str | None:
        return f"{path}: must be whole" if not isinstance(value, int) else _number(low, high)(value, path)

    return check


def _one_of(*values: Any) -> Check:
    def check(value: Any, path: str) -> str | None:
        return None if value in values else f"{path}: must be one of {values}"

    return check


def _list(of: Check, most: int = 128) -> Check:
    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, list) or len(value) > most:
            return f"{path}: must be a list of {most} at most"
        return next((wrong for index, each in enumerate(value) if (wrong := of(each, f"{path}[{index}]"))), None)

    return check


def _object(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    known = {**required, **(optional or {})}

    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, dict):
            return f"{path}: must be an object"
        for name in value:
            if name not in known:
                return f"Unknown parameter: '{path}.{name}'."
        for name in required:
            if name not in value:
                return f"Missing required parameter: '{path}.{name}'."
        return next((wrong for name, each in value.items() if (wrong := known[name](each, f"{path}.{name}"))), None)

    return check


def _kinds(kinds: Mapping[str, Check]) -> Check:
    """Objects told apart by their `type`."""

    def check(value: Any, path: str) -> str | None:
        kind = str(value.get("type")) if isinstance(value, dict) else ""
        return kinds[kind](value, path) if kind in kinds else f"Invalid value: '{kind}' for '{path}.type'."

    return check


def _any(value: Any, path: str) -> str | None:
    return None


_FUNCTION: Final = _object({"type": _one_of("function"), "name": _text}, {"description": _text, "parameters": _any})
_MESSAGE: Final = _kinds(
    {
        "message": _object(
            {
                "type": _one_of("message"),
                "role": _one_of("user", "assistant", "system"),
                "content": _list(_object({"type": _one_of("input_text", "output_text"), "text": _text}), 16),
            }
        ),
        "function_call": _object(
            {"type": _one_of("function_call"), "name": _text, "arguments": _text}, {"call_id": _text}
        ),
        "function_call_output": _object(
            {"type": _one_of("function_call_output"), "call_id": _text, "output": _text},
        ),
    }
)
_OPENAI_FORMAT: Final = _kinds(
    {
        "audio/pcmu": _object({"type": _one_of("audio/pcmu")}),
        "audio/pcm": _object({"type": _one_of("audio/pcm"), "rate": _one_of(24000)}),
    }
)
_OPENAI_SESSION: Final = _object(
    {"type": _one_of("realtime")},
    {
        "output_modalities": _one_of(["audio"], ["text"]),
        "instructions": _text,
        "audio": _object(
            {},
            {
                "input": _object(
                    {},
                    {
                        "format": _OPENAI_FORMAT,
                        "transcription": _object({"model": _text}, {"language": _text, "keywords": _list(_text)}),
                        "turn_detection": _object(
                            {"type": _one_of("server_vad")},
                            {
                                "threshold": _number(0, 1),
                                "prefix_padding_ms": _whole(0, 5000),
                                "silence_duration_ms": _whole(0, 10000),
                                "idle_timeout_ms": _whole(5000, 30000),
                                "create_response": _flag,
                                "interrupt_response": _flag,
                            },
                        ),
                    },
                ),
                "output": _object({}, {"format": _OPENAI_FORMAT, "voice": _text, "speed": _number(0.25, 1.5)}),
            },
        ),
        "tools": _list(_FUNCTION),
        "tool_choice": _one_of("auto", "none", "required"),
        "max_output_tokens": _whole(1, 4096),
        "reasoning": _object({"effort": _one_of("minimal", "low", "medium", "high", "xhigh")}),
    },
)
_XAI_FORMAT: Final = _kinds(
    {
        "audio/pcmu": _object({"type": _one_of("audio/pcmu")}),
        "audio/pcm": _object({"type": _one_of("audio/pcm"), "rate": _one_of(8000, 16000, 24000, 32000, 44100, 48000)}),
    }
)
_XAI_SESSION: Final = _object(
    {},
    {
        "instructions": _text,
        "voice": _one_of("eve", "ara", "rex", "sal", "leo"),
        "turn_detection": _object(
            {"type": _one_of("server_vad")},
            {
                "threshold": _number(0.1, 0.9),
                "prefix_padding_ms": _whole(0, 10000),
                "silence_duration_ms": _whole(0, 10000),
                "idle_timeout_ms": _whole(1, 30000),
            },
        ),
        "audio": _object(
            {},
            {
                "input": _object(
                    {},
                    {
                        "format": _XAI_FORMAT,
                        "transcription": _object({}, {"language_hint": _text, "keyterms": _list(_text, 100)}),
                    },
                ),
                "output": _object({}, {"format": _XAI_FORMAT, "speed": _number(0.7, 1.5)}),
            },
        ),
        "reasoning": _object({"effort": _one_of("none", "high")}),
        "tools": _list(_FUNCTION),
    },
)
_COMMON: Final[Mapping[str, Mapping[str, Check]]] = {
    "input_audio_buffer.append": {"audio": _text},
    "input_audio_buffer.clear": {},
}
EVENTS: Final[Mapping[str, Mapping[str, Check]]] = {
    "openai": {
        kind: _object({"type": _text, **fields}, {"event_id": _text})
        for kind, fields in {
            **_COMMON,
            "session.update": {"session": _OPENAI_SESSION},
            "conversation.item.create": {"item": _MESSAGE},
            "conversation.item.truncate": {
                "item_id": _text,
                "content_index": _one_of(0),
                "audio_end_ms": _whole(0, 1 << 31),
            },
        }.items()
    }
    | {
        "response.cancel": _object({"type": _text}, {"event_id": _text, "response_id": _text}),
        "response.create": _object(
            {"type": _text}, {"response": _object({}, {"instructions": _text, "tool_choice": _one_of("auto", "none")})}
        ),
    },
    "xai": {
        kind: _object({"type": _text, **fields})
        for kind, fields in {
            **_COMMON,
            "session.update": {"session": _XAI_SESSION},
            "response.cancel": {},
            "response.create": {},
            "conversation.item.create": {
                "item": _kinds(
                    {
                        "force_message": _object(
                            {
                                "type": _text,
                                "content": _list(_object({"text": _text}), 1),
                                "interruptible": _flag,
                            }
                        ),
                        **dict.fromkeys(("message", "function_call", "function_call_output"), _MESSAGE),
                    }
                )
            },
        }.items()
    },
}


def complaint(dialect: str, event: Any) -> str | None:
    """Why the vendor would refuse the event, or None."""
    kind = str(event.get("type")) if isinstance(event, dict) else ""
    rules = EVENTS[dialect]
    if kind not in rules:
        return f"Invalid value: '{kind}'. Supported values are: {', '.join(rules)}."
    return rules[kind](event, kind)
