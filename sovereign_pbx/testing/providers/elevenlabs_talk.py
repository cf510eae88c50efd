"""One multi-context connection of the scripted ElevenLabs."""

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any

from sovereign_pbx.testing.providers.elevenlabs_rules import settings_complaint
from sovereign_pbx.testing.providers.server import Talk
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS, Sound

CONTEXTS = 5
CHUNK_CHARS = 3
_KEYS = {"text", "context_id", "voice_settings", "generation_config", "flush", "close_context", "close_socket"}


@dataclass(slots=True)
class _Context:
    id: str
    waiting: str = ""  # text not yet flushed
    speaking: str = ""  # text being synthesised
    spoken: int = 0
    closed: bool = False
    timer: asyncio.TimerHandle | None = None


class ElevenLabsTalk:
    """Speaks each context's text in chunks, `factor` times as fast as it is heard."""

    def __init__(self, talk: Talk, sound: Sound, first_ms: float, factor: float, inactivity_s: float) -> None:
        self.received: list[dict[str, Any]] = []
        self._talk = talk
        self._sound = sound
        self._first_s = first_ms / 1000
        self._chunk_s = CHUNK_CHARS * CHAR_MS / 1000 * factor
        self._contexts: dict[str, _Context] = {}
        self._loop = asyncio.get_running_loop()
        self._inactivity_s = inactivity_s
        self._touched_at = self._loop.time()

    def hear(self, message: str | bytes) -> None:
        """A frame from the client."""
        self._touched_at = self._loop.time()
        try:
            fields = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or (set(fields) - _KEYS):
            self._refuse("invalid_message", "Message could not be understood.")
            return
        self.received.append(fields)
        if fields.get("close_socket"):
            self._talk.hang_up(1000, "")
        elif "context_id" in fields:
            self._hear_context(fields)
        elif fields != {"text": ""}:
            self._refuse("missing_context_id", "context_id is required.")

    async def watch_idle(self) -> None:
        """The socket ends after its inactivity time."""
        while True:
            left_s = self._touched_at + self._inactivity_s - self._loop.time()
            if left_s <= 0:
                self._talk.hang_up(1000, "input_timeout_exceeded")
                return
            await asyncio.sleep(left_s)

    def stop(self) -> None:
        """Forget the timers."""
        for context in self._contexts.values():
            if context.timer is not None:
                context.timer.cancel()

    def _hear_context(self, fields: dict[str, Any]) -> None:
        context = self._contexts.get(fields["context_id"])
        if context is None:
            context = self._open(fields)
            if context is None:
                return
        elif "voice_settings" in fields:
            self._refuse("invalid_message", "voice_settings belong to a context's first message.")
            return
        if context.closed:
            self._refuse("invalid_message", "The context was closed.")
            return
        context.waiting += fields.get("text", "")
        context.closed = bool(fields.get("close_context"))
        if fields.get("flush") or context.closed:
            context.speaking += context.waiting.lstrip() if not context.speaking else context.waiting
            context.waiting = ""
            if context.timer is None:
                context.timer = self._loop.call_later(self._first_s, self._step, context)

    def _open(self, fields: dict[str, Any]) -> _Context | None:
        if len(self._contexts) >= CONTEXTS:
            self._refuse("max_active_conversations", "Maximum simultaneous contexts per WebSocket exceeded (5).")
        elif (wrong := settings_complaint(fields.get("voice_settings"))) is not None:
            self._refuse("invalid_voice_settings", wrong)
        elif not fields.get("text"):
            self._refuse("invalid_message", "The first message of a context needs text.")
        else:
            return self._contexts.setdefault(fields["context_id"], _Context(fields["context_id"]))
        return None

    def _step(self, context: _Context) -> None:
        """One chunk of a context's audio, or its end."""
        context.timer = None
        piece = context.speaking[context.spoken : context.spoken + CHUNK_CHARS]
        if not piece.strip() and context.spoken + CHUNK_CHARS >= len(context.speaking):
            if context.closed:
                del self._contexts[context.id]
                self._talk.say({"isFinal": True, "contextId": context.id})
            return
        context.spoken += len(piece)
        alignment = {
            "chars": list(piece),
            "charStartTimesMs": [CHAR_MS * number for number in range(len(piece))],
            "charDurationsMs": [CHAR_MS] * len(piece),
        }
        audio = base64.b64encode(self._sound.of(piece)).decode()
        self._talk.say(
            {
                "audio": audio,
                "contextId": context.id,
                "isFinal": None,
                "alignment": alignment,
                "normalizedAlignment": alignment,
            }
        )
        context.timer = self._loop.call_later(self._chunk_s, self._step, context)

    def _refuse(self, error: str, message: str) -> None:
        self._talk.say({"message": message, "error": error, "code": 1008})
        self._talk.hang_up(1008, error)
