"""The vendor's side of one scripted realtime session: it hears by level, answers by the script, and keeps its books."""

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.testing.providers.ear import Ear
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.realtime_rules import complaint
from sovereign_pbx.testing.providers.server import Talk
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS, Sound
from sovereign_pbx.wire.g711 import pcm_to_ulaw

if TYPE_CHECKING:
    from sovereign_pbx.testing.providers.realtime import RealtimeSeen, ScriptedRealtime

CHUNK_CHARS: Final = 5
USUAL_SILENCE_MS: Final = 500


@dataclass(slots=True)
class _Response:
    id: str
    item: str
    task: "asyncio.Task[None] | None" = None


class RealtimeTalk:
    """One session."""

    def __init__(self, server: "ScriptedRealtime", talk: Talk, seen: "RealtimeSeen", dialect: str) -> None:
        self.server = server
        self.talk = talk
        self.seen = seen
        self.dialect = dialect
        self._loop = asyncio.get_running_loop()
        self._session: dict[str, Any] | None = None
        self._ear: Ear | None = None
        self._sound = Sound(PHONE_RATE)
        self._mulaw = True
        self._loud_at: float | None = None  # of the turn being heard
        self._stop: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._active: _Response | None = None
        self._numbers = 0
        self._made_ms: dict[str, float] = {}
        self._calls: set[str] = set()
        self._item = ""
        first = "session.created" if dialect == "openai" else server.first_event
        self.say({"type": first, "session" if first == "session.created" else "conversation": {"id": "sess_1"}})

    def say(self, event: dict[str, Any]) -> None:
        self._numbers += 1
        self.talk.say({"event_id": f"event_{self._numbers}", **event})

    def complain(self, message: str, code: str = "invalid_value") -> None:
        self.seen.errors.append(message)
        self.say({"type": "error", "error": {"type": "invalid_request_error", "code": code, "message": message}})

    def stop(self) -> None:
        """The connection is over."""
        for timer in self._timers | ({self._stop} if self._stop else set()):
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    # --- what the client says

    def hear(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.complain("binary frames are not accepted", "invalid_json")
            return
        event = json.loads(message)
        wrong = complaint(self.dialect, event)
        if wrong is not None:
            self.complain(wrong)
            return
        kind = event["type"]
        if kind != "input_audio_buffer.append":
            self.seen.events.append(event)
        if self._session is None and kind != "session.update":
            self.complain(f"{kind} before the session was configured", "session_not_configured")
            return
        getattr(self, "_on_" + kind.replace(".", "_"))(event)

    def _on_session_update(self, event: dict[str, Any]) -> None:
        if self._session is not None:
            self.complain("the session has been configured already")
            return
        self._session = event["session"]
        audio = self._session["audio"]
        heard, spoken = audio["input"]["format"], audio["output"]["format"]
        if heard != spoken:
            self.complain("this server speaks as it hears")
            return
        self._mulaw = heard["type"] == "audio/pcmu"
        rate = heard.get("rate", PHONE_RATE)
        self._ear = Ear("mulaw" if self._mulaw else "linear16", rate)
        self._sound = Sound(rate)
        self.say({"type": "session.updated", "session": self._session})

    def _on_input_audio_buffer_append(self, event: dict[str, Any]) -> None:
        try:
            audio = base64.b64decode(event["audio"], validate=True)
        except binascii.Error:
            self.complain("audio is no base64")
            return
        self.seen.audio_bytes += len(audio)
        for loud in self._ear.slices(audio) if self._ear is not None else ():
            self._follow(loud)

    def _on_input_audio_buffer_clear(self, _: dict[str, Any]) -> None:
        self._loud_at = None
        if self._stop is not None:
            self._stop.cancel()
            self._stop = None
        self.say({"type": "input_audio_buffer.cleared"})

    def _on_conversation_item_create(self, event: dict[str, Any]) -> None:
        item = event["item"]
        if item["type"] == "force_message":
            self._begin(Answer(item["content"][0]["text"]))
            return
        if item["type"] == "function_call":
            self._calls.add(item["call_id"])
        if item["type"] == "function_call_output":
            if item["call_id"] not in self._calls:
                self.complain(f"no tool call with id {item['call_id']}", "invalid_tool_call_id")
                return
            self._calls.discard(item["call_id"])
        self.say({"type": "conversation.item.added", "item": {"id": self._new_item(), **item}})

    def _on_conversation_item_truncate(self, event: dict[str, Any]) -> None:
        item, ms = event["item_id"], event["audio_end_ms"]
        if item not in self._made_ms:
            self.complain(f"no assistant item {item}", "item_truncate_invalid_item_id")
        elif ms > self._made_ms[item]:
            self.complain(f"Audio content of {self._made_ms[item]:g}ms is already shorter than {ms}ms")
        else:
            self.seen.truncated.append((item, ms))
            self.say({"type": "conversation.item.truncated", "item_id": item, "content_index": 0, "audio_end_ms": ms})

    def _on_response_create(self, event: dict[str, Any]) -> None:
        if self._active is not None:
            self.complain(
                "Conversation already has an active response in progress",
                "conversation_already_has_active_response" if self.dialect == "openai" else "invalid_request",
            )
            return
        instructions = event.get("response", {}).get("instructions", "")
        lines = instructions.split("\n---\n") if event.get("response", {}).get("tool_choice") == "none" else []
        if len(lines) >= 2:
            self._begin(Answer(lines[1].removesuffix("\n---")))
        elif instructions:
            self._begin(Answer(self.server.aside))
        else:
            self._begin(self.server.answer())

    def _on_response_cancel(self, event: dict[str, Any]) -> None:
        response = self._active
        if response is None or event.get("response_id", response.id) != response.id:
            code = "response_cancel_not_active" if self.dialect == "openai" else "invalid_request"
            self.complain("Cancellation failed: no active response found", code)
            self.seen.errors.pop()
            return
        self._cancel("client_cancelled")

    # --- hearing

    def _follow(self, loud: bool) -> None:
        if loud:
            if self._stop is not None:
                self._stop.cancel()
                self._stop = None
            if self._loud_at is None:
                self._item = self._new_item()
                self.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": self._item})
                if self._active is not None:
                    self._cancel("turn_detected")
            self._loud_at = self._loop.time()
        elif self._loud_at is not None and self._stop is None:
            self._stop = self._loop.call_at(self._loud_at + self._silence_ms() / 1000, self._turn_over)

    def _silence_ms(self) -> float:
        session = self._session or {}
        place = session["audio"]["input"] if self.dialect == "openai" else session
        found = place.get("turn_detection", {}).get("silence_duration_ms", USUAL_SILENCE_MS)
        return float(found)

    def _turn_over(self) -> None:
        self._stop = self._loud_at = None
        item, text = self._item, self.server.words()
        self.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, "item_id": item})
        self.say({"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None})
        self.say({"type": "conversation.item.added", "item": {"id": item, "type": "message", "role": "user"}})
        self._later(self.server.transcript_ms, lambda: self._transcribed(item, text))
        self._later(self.server.first_audio_ms, self._respond)

    def _transcribed(self, item: str, text: str) -> None:
        kind = "conversation.item.input_audio_transcription.completed"
        usage = {"type": "duration", "seconds": 1.0}
        self.say({"type": kind, "item_id": item, "content_index": 0, "transcript": text, "usage": usage})

    def _respond(self) -> None:
        if self._active is None and self._loud_at is None:
            self._begin(self.server.answer())

    # --- answering

    def _begin(self, answer: Answer) -> None:
        self._numbers += 1
        response = self._active = _Response(f"resp_{self._numbers}", self._new_item())
        self.say({"type": "response.created", "response": {"id": response.id, "status": "in_progress"}})
        task = response.task = self._loop.create_task(self._produce(response, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _produce(self, response: _Response, answer: Answer) -> None:
        if answer.text:
            await self._speak(response, answer.text)
        for name, arguments in answer.tools:
            self._ask(response, name, arguments)
        self._active = None
        self._done(response, "completed", None)

    async def _speak(self, response: _Response, text: str) -> None:
        of = {"response_id": response.id, "item_id": response.item, "output_index": 0, "content_index": 0}
        item = {"id": response.item, "type": "message", "role": "assistant", "status": "in_progress"}
        self.say({"type": "response.output_item.added", "response_id": response.id, "output_index": 0, "item": item})
        self.say({"type": "response.content_part.added", **of, "part": {"type": "audio"}})
        self._made_ms[response.item] = 0.0
        for start in range(0, len(text), CHUNK_CHARS):
            piece = text[start : start + CHUNK_CHARS]
            self.say({"type": "response.output_audio_transcript.delta", **of, "delta": piece})
            pcm = self._sound.of(piece)
            audio = base64.b64encode(pcm_to_ulaw(pcm) if self._mulaw else pcm).decode()
            self._made_ms[response.item] += len(piece) * CHAR_MS
            self.say({"type": "response.output_audio.delta", **of, "delta": audio})
            await asyncio.sleep(len(piece) * CHAR_MS / 1000 * self.server.real_time_factor)
        self.say({"type": "response.output_audio.done", **of})
        self.say({"type": "response.output_audio_transcript.done", **of, "transcript": text})
        done = {**item, "status": "completed"}
        self.say({"type": "response.output_item.done", "response_id": response.id, "output_index": 0, "item": done})

    def _ask(self, response: _Response, name: str, arguments: str) -> None:
        item, call_id = self._new_item(), f"call_{self._numbers}"
        self._calls.add(call_id)
        of = {"response_id": response.id, "item_id": item, "output_index": 1, "call_id": call_id}
        added = {"id": item, "type": "function_call", "name": name, "call_id": call_id, "arguments": ""}
        self.say({"type": "response.output_item.added", "response_id": response.id, "output_index": 1, "item": added})
        self.say({"type": "response.function_call_arguments.delta", **of, "delta": arguments})
        done = {"type": "response.function_call_arguments.done", **of, "arguments": arguments}
        self.say({**done, "name": name} if self.dialect == "openai" else done)

    def _cancel(self, reason: str) -> None:
        response, self._active = self._active, None
        if response is not None and response.task is not None:
            response.task.cancel()
            self._done(response, "cancelled", {"type": "cancelled", "reason": reason})

    def _done(self, response: _Response, status: str, details: dict[str, Any] | None) -> None:
        usage = {
            "total_tokens": 70,
            "input_tokens": 50,
            "output_tokens": 20,
            "input_token_details": {"text_tokens": 20, "audio_tokens": 30, "cached_tokens": 10},
            "output_token_details": {"text_tokens": 5, "audio_tokens": 15},
        }
        told: dict[str, Any] = {"id": response.id, "status": status, "status_details": details, "usage": usage}
        self.say({"type": "response.done", "response": {**told, "output": []}})

    def _new_item(self) -> str:
        self._numbers += 1
        return f"item_{self._numbers}"

    def _later(self, ms: float, act: Any) -> None:
        def run() -> None:
            self._timers.discard(timer)
            act()

        timer = self._loop.call_later(ms / 1000, run)
        self._timers.add(timer)
