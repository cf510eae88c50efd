"""A scripted Mistral for recordings: `POST /v1/audio/transcriptions`, strict about key, model, fields and sound."""

import asyncio
import io
import wave
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sovereign_pbx.testing.providers.ear import Ear
from sovereign_pbx.testing.providers.faults import Fault
from sovereign_pbx.testing.providers.server import STALL_S, ScriptedServer, cut

KEPT: Final = 1000
MODELS: Final = frozenset({"voxtral-mini-latest", "voxtral-mini-2602", "voxtral-small-latest"})
_FIELDS: Final = frozenset({"file", "model", "language", "temperature"})


@dataclass(slots=True)
class Heard:
    """One recording as the vendor got it."""

    seconds: float
    rate: int
    model: str
    language: str


class ScriptedMistral(ScriptedServer):
    """Writes down each recording with sound in it as the next of `words`, which go round."""

    def __init__(
        self, words: Sequence[str] = ("What time do you open?",), *, api_key: str = "test-key", answer_ms: float = 200.0
    ) -> None:
        super().__init__()
        self.words = list(words)
        self.answer_ms = answer_ms
        self.heard: deque[Heard] = deque(maxlen=KEPT)
        self._api_key = api_key
        self._answered = 0

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self._models),
            web.post("/v1/audio/transcriptions", self.guarded(self._transcribe)),
        ]

    def received(self) -> dict[str, Any]:
        return {"recordings": len(self.heard), "open": self.open_requests, "faults": self.faults.happened}

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self._api_key}"

    async def _models(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return web.json_response({"detail": "Unauthorized"}, status=401)
        return web.json_response({"object": "list", "data": [{"id": name} for name in sorted(MODELS)]})

    async def _transcribe(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if not self._authorized(request):
            return web.json_response({"detail": "Unauthorized"}, status=401)
        fields = dict(await request.post())
        if extra := sorted(set(fields) - _FIELDS):
            return _refused(f"extra_forbidden: {extra[0]}")
        if fields.get("model") not in MODELS:
            return web.json_response({"message": "Invalid model"}, status=400)
        language = str(fields.get("language", ""))
        if language and len(language) != 2:
            return _refused("language must be of two letters")
        file = fields.get("file")
        if not isinstance(file, web.FileField):
            return _refused("file is missing")
        with file.file:
            raw = file.file.read()
        try:
            with wave.open(io.BytesIO(raw)) as recording:
                rate, pcm = recording.getframerate(), recording.readframes(recording.getnframes())
        except (wave.Error, EOFError) as exc:
            return _refused(f"file is no audio: {exc}")
        self.heard.append(Heard(len(pcm) / 2 / rate, rate, str(fields["model"]), language))
        fault = fault or self.faults.take_now()
        await asyncio.sleep(STALL_S if fault is not None and fault.kind == "stall" else self.answer_ms / 1000)
        if fault is not None:
            if fault.kind == "garbage":
                return web.Response(text='{"text": ', content_type="application/json")
            cut(request)
            return web.Response()
        text = self._next() if any(Ear("linear16", rate).slices(pcm)) else ""
        return web.json_response({"model": fields["model"], "text": text, "language": None, "segments": []})

    def _next(self) -> str:
        self._answered += 1
        return self.words[(self._answered - 1) % len(self.words)]


def _refused(message: str) -> web.Response:
    return web.json_response({"detail": [{"type": "extra_forbidden", "msg": message}]}, status=422)
