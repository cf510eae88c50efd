"""A scripted Inworld: the HTTP stream of JSON lines and the list of voices; strict about key, voice and every field."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from sovereign_pbx.testing.providers.faults import Fault
from sovereign_pbx.testing.providers.server import STALL_S, ScriptedServer, cut
from sovereign_pbx.testing.providers.voice_sound import CHAR_MS, Sound

KEPT: Final = 1000
CHUNK_CHARS: Final = 10
VOICES: Final = ("Katrien", "Lennart", "Erik", "Lore")
MODELS: Final = frozenset({"inworld-tts-2", "inworld-tts-1.5-max", "inworld-tts-1.5-mini", "inworld-tts-1"})
_FIELDS: Final = frozenset(
    {"text", "voiceId", "modelId", "language", "audioConfig", "deliveryMode", "temperature", "timestampType"}
)
_AUDIO: Final = frozenset({"audioEncoding", "sampleRateHertz", "speakingRate"})


def complaint(body: Any) -> str | None:
    """Why a request would be refused, or None."""
    if not isinstance(body, dict) or (extra := sorted(set(body) - _FIELDS)):
        return f"unknown field {extra[0]}" if isinstance(body, dict) else "the body is no object"
    if not isinstance(body.get("text"), str) or not 0 < len(body["text"]) <= 2000:
        return "text must have 1 to 2000 characters"
    if body.get("voiceId") not in VOICES:
        return f"Unknown voice: {body.get('voiceId')} not found!"
    model = body.get("modelId")
    if model not in MODELS:
        return "no such model"
    if "deliveryMode" in body and model != "inworld-tts-2":
        return "deliveryMode is for inworld-tts-2"
    if "temperature" in body and model == "inworld-tts-2":
        return "temperature is not for inworld-tts-2"
    if body.get("timestampType", "WORD") not in ("WORD", "CHARACTER"):
        return "no such timestampType"
    return _audio_complaint(body.get("audioConfig"))


def _audio_complaint(audio: Any) -> str | None:
    if not isinstance(audio, Mapping) or set(audio) - _AUDIO:
        return "audioConfig has unknown fields"
    if audio.get("audioEncoding") != "PCM" or audio.get("sampleRateHertz") not in (8000, 16000):
        return "audioConfig is not one of this server's"
    return None if 0.5 <= audio.get("speakingRate", 1.0) <= 1.5 else "speakingRate out of range"


class ScriptedInworld(ScriptedServer):
    """`wav_headers`: every chunk begins with one, as the vendor's LINEAR16 does."""

    def __init__(
        self,
        *,
        api_key: str = "dGVzdC1rZXk=",
        first_audio_ms: float = 150.0,
        real_time_factor: float = 0.2,
        wav_headers: bool = False,
        error_in_stream: str = "",
    ) -> None:
        super().__init__()
        self.first_audio_ms = first_audio_ms
        self.real_time_factor = real_time_factor
        self.wav_headers = wav_headers
        self.error_in_stream = error_in_stream
        self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.cancelled = 0
        self._api_key = api_key
        self._sounds = {rate: Sound(rate) for rate in (8000, 16000)}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/tts/v1/voice:stream", self.guarded(self._stream)),
            web.get("/voices/v1/voices", self.guarded(self._list)),
        ]

    def received(self) -> dict[str, Any]:
        return {
            "requests": len(self.requests),
            "cancelled": self.cancelled,
            "open": self.open_requests,
            "faults": self.faults.happened,
        }

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Basic {self._api_key}":
            return None
        return web.json_response({"code": 16, "message": "Invalid authorization credentials"}, status=401)

    async def _list(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        voices = [{"voiceId": name, "displayName": name, "languages": ["nl"]} for name in VOICES]
        return web.json_response({"voices": [*voices, {"displayName": "without an id"}]})

    async def _stream(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        body = await request.json()
        if (wrong := complaint(body)) is not None:
            return web.json_response({"code": 3, "message": wrong}, status=400)
        fault = fault or self.faults.take_now()
        self.requests.append(body)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            await self._speak(request, response, body, fault)
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled += 1
            raise
        await response.write_eof()
        return response

    async def _speak(
        self, request: web.Request, response: web.StreamResponse, body: dict[str, Any], fault: Fault | None
    ) -> None:
        text, sound = body["text"], self._sounds[body["audioConfig"]["sampleRateHertz"]]
        await asyncio.sleep(self.first_audio_ms / 1000)
        if self.error_in_stream:
            await response.write(json.dumps({"error": {"code": 8, "message": self.error_in_stream}}).encode() + b"\n")
            return
        for start in range(0, len(text), CHUNK_CHARS):
            if fault is not None and start == (CHUNK_CHARS if fault.at == "middle" else 0):
                await self._misbehave(request, response, fault)
            line = self._line(text, start, sound)
            # In two halves, as a network would: lines are not packets.
            await response.write(line[: len(line) // 2])
            await response.write(line[len(line) // 2 :] + b"\n\n")
            await asyncio.sleep(CHUNK_CHARS * CHAR_MS / 1000 * self.real_time_factor)

    async def _misbehave(self, request: web.Request, response: web.StreamResponse, fault: Fault) -> None:
        if fault.kind == "stall":
            await asyncio.sleep(STALL_S)
        if fault.kind == "garbage":
            await response.write(b'{"result": [\n')
            return
        cut(request)
        raise ConnectionResetError("scripted drop")

    def _line(self, text: str, start: int, sound: Sound) -> bytes:
        pcm = sound.of(text[start : start + CHUNK_CHARS])
        header = b"RIFF" + bytes(40) if self.wav_headers else b""
        words, position = [], 0
        for word in text.split(" "):
            if start <= position < start + CHUNK_CHARS and word:
                words.append((word, position))
            position += len(word) + 1
        timed = {
            "words": [word for word, _ in words],
            "wordStartTimeSeconds": [at * CHAR_MS / 1000 for _, at in words],
            "wordEndTimeSeconds": [(at + len(word)) * CHAR_MS / 1000 for word, at in words],
        }
        result = {
            "audioContent": base64.b64encode(header + pcm).decode(),
            "usage": {"processedCharactersCount": len(text), "modelId": "scripted"},
            "timestampInfo": {"wordAlignment": timed},
        }
        return json.dumps({"result": result}).encode()
