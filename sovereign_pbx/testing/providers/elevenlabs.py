"""A scripted ElevenLabs: the multi-context websocket, the HTTP stream and the list of voices.

Its voice is a burst of sound for every letter, so that whoever listens for energy hears where speech is. Strict where
the vendor is: key, voice, query, message fields, five contexts, inactivity.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from sovereign_pbx.testing.providers.elevenlabs_rules import FORMATS, request_complaint, socket_complaint
from sovereign_pbx.testing.providers.elevenlabs_talk import CHUNK_CHARS, ElevenLabsTalk
from sovereign_pbx.testing.providers.faults import Fault
from sovereign_pbx.testing.providers.server import STALL_S, ScriptedServer, Talk, cut
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS, PITCH_HZ, USUAL_PITCH_HZ, Sound

KEPT = 1000
VOICES: Final[Sequence[Mapping[str, Any]]] = (
    {
        "voice_id": "anna",
        "name": "Anna",
        "category": "premade",
        "labels": {"accent": "standard", "gender": "female", "language": "nl"},
        "description": "A calm voice for the telephone.",
    },
    {"voice_id": "ben", "name": "Ben", "category": "cloned", "labels": {}, "description": None},
)


@dataclass(slots=True)
class Received:
    """One websocket or request as the server saw it."""

    voice_id: str
    query: dict[str, str]
    messages: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None


class ScriptedElevenLabs(ScriptedServer):
    """Serves both transports; see the module's text."""

    def __init__(
        self,
        *,
        api_key: str = "test-key",
        first_audio_ms: float = 150.0,
        real_time_factor: float = 0.2,
        unknown_voices: Collection[str] = ("missing",),
        inactivity_s: float | None = None,
        voices: Sequence[Mapping[str, Any]] = VOICES,
    ) -> None:
        super().__init__()
        self.voices = voices
        self.lists = 0  # times that the voices were asked for
        self.first_audio_ms = first_audio_ms
        self.real_time_factor = real_time_factor
        self.sockets: deque[Received] = deque(maxlen=KEPT)
        self.requests: deque[Received] = deque(maxlen=KEPT)
        self.cancelled = 0  # HTTP requests that the client closed before their end
        self._unknown_voices = frozenset(unknown_voices)
        self._inactivity_s = inactivity_s
        self._api_key = api_key
        pitches = {USUAL_PITCH_HZ, *PITCH_HZ.values()}
        self._sounds = {(rate, pitch): Sound(rate, pitch) for rate in FORMATS.values() for pitch in pitches}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/text-to-speech/{voice}/multi-stream-input", self.guarded(self._talk)),
            web.post("/v1/text-to-speech/{voice}/stream", self.guarded(self._stream)),
            web.get("/v1/voices", self.guarded(self._list)),
        ]

    def received(self) -> dict[str, Any]:
        return {
            "sockets": len(self.sockets),
            "requests": len(self.requests),
            "lists": self.lists,
            "cancelled": self.cancelled,
            "open": self.open_requests,
            "faults": self.faults.happened,
        }

    def _refusal(self, request: web.Request, wrong: str | None) -> web.Response | None:
        if request.headers.get("xi-api-key") != self._api_key:
            return _error(401, "invalid_api_key", "Invalid API key")
        if request.match_info["voice"] in self._unknown_voices:
            return _error(404, "voice_not_found", "A voice with that id was not found.")
        return _error(422, "unprocessable", wrong) if wrong else None

    def _sound(self, request: web.Request) -> Sound:
        pitch = PITCH_HZ.get(request.match_info["voice"], USUAL_PITCH_HZ)
        return self._sounds[FORMATS[request.query["output_format"]], pitch]

    async def _list(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if request.headers.get("xi-api-key") != self._api_key:
            return _error(401, "invalid_api_key", "Invalid API key")
        self.lists += 1
        return web.json_response({"voices": [dict(voice) for voice in self.voices]})

    async def _talk(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        query = dict(request.query)
        if (refusal := self._refusal(request, socket_complaint(query))) is not None:
            return refusal
        talk = Talk(request, fault, self.faults)
        idle_s = self._inactivity_s or float(query.get("inactivity_timeout", "20"))
        sound = self._sound(request)
        vendor = ElevenLabsTalk(talk, sound, self.first_audio_ms, self.real_time_factor, idle_s)
        seen = Received(request.match_info["voice"], query, vendor.received)
        self.sockets.append(seen)
        idle = asyncio.create_task(vendor.watch_idle())
        try:
            await talk.run(vendor.hear)
        finally:
            idle.cancel()
            vendor.stop()
            seen.close_code = talk.close_code
        return talk.ws

    async def _stream(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        query = dict(request.query)
        try:
            body = await request.json()
        except ValueError:
            body = None
        if (refusal := self._refusal(request, request_complaint(query, body))) is not None:
            return refusal
        fault = fault or self.faults.take_now()
        self.requests.append(Received(request.match_info["voice"], query, [body]))
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        try:
            await self._speak(request, response, body["text"], fault)
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled += 1
            raise
        await response.write_eof()
        return response

    async def _speak(self, request: web.Request, response: web.StreamResponse, text: str, fault: Fault | None) -> None:
        sound = self._sound(request)
        pause_s = CHUNK_CHARS * CHAR_MS / 1000 * self.real_time_factor
        await asyncio.sleep(self.first_audio_ms / 1000)
        for start in range(0, len(text), CHUNK_CHARS):
            if fault is not None and start == (CHUNK_CHARS if fault.at == "middle" else 0):
                if fault.kind == "stall":
                    await asyncio.sleep(STALL_S)
                cut(request)
                raise ConnectionResetError("scripted drop")
            await response.write(sound.of(text[start : start + CHUNK_CHARS]))
            await asyncio.sleep(pause_s)


def _error(status: int, name: str, message: str | None) -> web.Response:
    return web.json_response({"detail": {"status": name, "message": message}}, status=status)
