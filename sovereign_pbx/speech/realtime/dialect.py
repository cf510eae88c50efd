"""What the realtime dialects have in common: OpenAI's events, which xAI has taken over with differences of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from sovereign_pbx.core.audio import pcm_ms
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.realtime.signals import (
    AnswerTool,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    Complained,
    ForgetInput,
    Order,
    Recite,
    Respond,
    ResponseBegun,
    ResponseEnded,
    Signal,
    Sound,
    SoundEnded,
    Spoken,
    Status,
    StopResponse,
    Tell,
    ToolAsked,
    Truncate,
)
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.speech.llm import ToolSpec
from sovereign_pbx.speech.realtime import Setup
from sovereign_pbx.speech.realtime.code import Code
from sovereign_pbx.speech.sockets import one_line

Wire = dict[str, Any]

NOT_ACTIVE: Final = "response_cancel_not_active"
ALREADY: Final = "conversation_already_has_active_response"
_STATUSES: Final[Mapping[str, Status]] = {
    "completed": "completed",
    "cancelled": "cancelled",
    "incomplete": "incomplete",
}


class Dialect:
    """One session's way of talking. Make a new one for each session: it knows what has been said in it."""

    started: tuple[str, ...] = ("session.created",)

    def __init__(self, name: str, setup: Setup, code: Code, rate: int) -> None:
        self.name = name
        self.setup = setup
        self.code = code
        self.rate = rate
        self._tool_names: dict[str, str] = {}
        self._unasked: set[str] = set()  # turns of a caller who said nothing: the vendor's own patience ended
        self._readers: dict[str, Callable[[Wire], Sequence[Signal]]] = {
            "input_audio_buffer.speech_started": lambda _: (CallerStarted(),),
            "input_audio_buffer.timeout_triggered": self._timeout,
            "input_audio_buffer.committed": self._committed,
            "conversation.item.input_audio_transcription.completed": self._transcribed,
            "conversation.item.input_audio_transcription.failed": self._transcribed,
            "response.created": lambda event: (ResponseBegun(_id(event.get("response"))),),
            "response.output_item.added": self._item_added,
            "response.output_audio.delta": self._sound,
            "response.output_audio.done": lambda event: (SoundEnded(_text(event, "response_id"), _item(event)),),
            "response.output_audio_transcript.delta": self._spoken,
            "response.function_call_arguments.done": self._tool,
            "response.done": self._done,
            "error": self._error,
        }

    # --- what a vendor does its own way

    def session(self) -> Wire:
        """The session's settings."""
        raise NotImplementedError

    def recite(self, text: str) -> list[Wire]:
        """Have exact words spoken."""
        raise NotImplementedError

    def respond(self, instructions: str) -> list[Wire]:
        """Have the model answer, with `instructions` for this answer only."""
        raise NotImplementedError

    def stop(self, response: str) -> Wire:
        """Stop an answer. Without one to stop the vendor complains, and nothing else."""
        return {"type": "response.cancel", **({"response_id": response} if response else {})}

    # --- out

    def frame(self, pcm: bytes) -> str:
        """20 ms of the caller; base64 needs no escaping."""
        return f'{{"type":"input_audio_buffer.append","audio":"{self.code.encode(pcm)}"}}'

    def opening(self) -> list[Wire]:
        """What is sent when the session is accepted: what was said before it."""
        return [item for message in self.setup.history for item in _items(message)]

    def order(self, order: Order) -> list[Wire]:
        """An order in the vendor's events."""
        match order:
            case Respond(instructions):
                return self.respond(instructions)
            case Recite(text):
                return self.recite(text)
            case StopResponse(response):
                return [self.stop(response)]
            case Truncate(item, ms):
                return [
                    {"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": ms},
                ]
            case Tell(message):
                return _items(message)
            case AnswerTool(call_id, output):
                return [_answer(call_id, output)]
            case ForgetInput():
                return [{"type": "input_audio_buffer.clear"}]

    # --- in

    def read(self, message: str | bytes) -> tuple[str, Sequence[Signal]]:
        """(type of the event, what it means). Raises ProviderError for what is no event, or ends the session."""
        try:
            event = msgspec.json.decode(message)
            kind = event["type"]
            reader = self._readers.get(kind)
            return kind, reader(event) if reader is not None else ()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise self.fault("garbled", f"an event that can't be understood: {type(exc).__name__}") from exc

    def fault(self, kind: Any, detail: str) -> ProviderError:
        return ProviderError(self.name.partition("/")[0], "realtime", kind, one_line(detail))

    def complaint(self, event: Wire) -> tuple[str, str]:
        """(code, message) of an `error` event."""
        error = event.get("error")
        told = error if isinstance(error, Mapping) else {"message": error if error is not None else event}
        return one_line(told.get("code") or told.get("type") or "error", 64), one_line(told.get("message") or "")

    def _error(self, event: Wire) -> Sequence[Signal]:
        code, message = self.complaint(event)
        if code in ("session_expired", "server_error"):
            raise self.fault("dropped", f"{code}: {message}")
        return (Complained(code, message),)

    def _timeout(self, event: Wire) -> Sequence[Signal]:
        self._unasked.add(_item(event))
        return ()

    def _committed(self, event: Wire) -> Sequence[Signal]:
        item = _item(event)
        if item in self._unasked:
            self._unasked.discard(item)
            return ()
        return (CallerStopped(item),)

    def _transcribed(self, event: Wire) -> Sequence[Signal]:
        text = event.get("transcript")
        return (CallerSaid(_item(event), text if isinstance(text, str) else ""),)

    def _item_added(self, event: Wire) -> Sequence[Signal]:
        item = event.get("item")
        if isinstance(item, Mapping) and item.get("type") == "function_call":
            self._tool_names[_text(item, "call_id")] = _text(item, "name")
        return ()

    def _sound(self, event: Wire) -> Sequence[Signal]:
        pcm = self.code.decode(_text(event, "delta"))
        if not pcm:
            return ()
        return (Sound(_text(event, "response_id"), _item(event), pcm, pcm_ms(len(pcm), self.rate)),)

    def _spoken(self, event: Wire) -> Sequence[Signal]:
        return (Spoken(_text(event, "response_id"), _item(event), _text(event, "delta")),)

    def _tool(self, event: Wire) -> Sequence[Signal]:
        call_id = _text(event, "call_id")
        name = event.get("name") or self._tool_names.get(call_id, "")
        call = ToolCall(call_id, str(name), _text(event, "arguments"))
        return (ToolAsked(_text(event, "response_id"), call),)

    def _done(self, event: Wire) -> Sequence[Signal]:
        response = event["response"]
        status = _STATUSES.get(str(response.get("status")), "failed")
        details = response.get("status_details")
        error = details.get("error") if isinstance(details, Mapping) else None
        told = error if isinstance(error, Mapping) else {}
        text = one_line(f"{told.get('code') or ''} {told.get('message') or ''}") if status == "failed" else ""
        return (ResponseEnded(_id(response), status, usage_of(response.get("usage")), text),)


def usage_of(told: Any) -> dict[str, Any]:
    """A response's tokens by the names of ours; what a vendor does not tell is left out."""
    if not isinstance(told, Mapping):
        return {}
    into, out = told.get("input_token_details"), told.get("output_token_details")
    into = into if isinstance(into, Mapping) else {}
    out = out if isinstance(out, Mapping) else {}
    found = {
        "input_tokens": told.get("input_tokens"),
        "cached_tokens": into.get("cached_tokens"),
        "output_tokens": told.get("output_tokens"),
        "audio_input_tokens": into.get("audio_tokens"),
        "audio_output_tokens": out.get("audio_tokens"),
    }
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}


def tools_of(tools: Sequence[ToolSpec]) -> list[Wire]:
    """The tools as both vendors take them."""
    return [
        {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in tools
    ]


def message_item(role: str, text: str) -> Wire:
    """A message of the history, or a new one."""
    content = {"type": "output_text" if role == "assistant" else "input_text", "text": text}
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": role, "content": [content]},
    }


def _items(message: Message) -> list[Wire]:
    if message.role == "tool":
        return [_answer(message.tool_call_id or "", message.content)]
    said = [message_item(message.role, message.content)] if message.content else []
    calls = [
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments},
        }
        for call in message.tool_calls
    ]
    return said + calls


def _answer(call_id: str, output: str) -> Wire:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return {"type": "conversation.item.create", "item": item}


def _item(event: Wire) -> str:
    return _text(event, "item_id")


def _id(thing: Any) -> str:
    return _text(thing, "id")


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value
