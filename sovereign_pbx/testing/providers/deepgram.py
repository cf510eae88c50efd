"""A scripted Deepgram: Nova on `/v1/listen`, Flux on `/v2/listen`.

It hears speech by its level and answers each utterance with the next transcript of its script, `final_ms` after the
last loud slice. Strict where the vendor is: authorization, query parameters, text frames, ten seconds without audio.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sovereign_pbx.testing.providers.deepgram_flux import FluxTalk
from sovereign_pbx.testing.providers.deepgram_nova import NovaTalk
from sovereign_pbx.testing.providers.deepgram_query import complaint
from sovereign_pbx.testing.providers.faults import Fault
from sovereign_pbx.testing.providers.server import ScriptedServer, Talk

KEPT_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one utterance is transcribed as: its `is_final` segments, and whether `speech_final` ends it.

    `seconds` is how long it is spoken, where that matters: its words are spread over so much of the sound.
    """

    segments: tuple[str, ...]
    speech_final: bool = True
    seconds: float | None = None

    @property
    def text(self) -> str:
        return " ".join(self.segments)


@dataclass(slots=True)
class Received:
    """One connection as the server saw it."""

    path: str
    query: list[tuple[str, str]]
    texts: list[dict[str, Any]] = field(default_factory=list)
    audio_bytes: int = 0
    message_bytes: set[int] = field(default_factory=set)
    audio: bytearray = field(default_factory=bytearray)
    close_code: int | None = None

    def values(self, name: str) -> list[str]:
        """Every value of one query parameter."""
        return [value for key, value in self.query if key == name]


class ScriptedDeepgram(ScriptedServer):
    """Serves both generations; see the module's text."""

    def __init__(
        self,
        script: Sequence[str | Utterance] = ("Hello there.",),
        *,
        api_key: str = "test-key",
        final_ms: float = 250.0,
        interim_lag_ms: float | None = None,
        net_0001_s: float = 10.0,
        keep_audio: bool = False,
    ) -> None:
        super().__init__()
        self.script = tuple(item if isinstance(item, Utterance) else Utterance((item,)) for item in script)
        self.final_ms = final_ms
        self.interim_lag_ms = interim_lag_ms  # an interim for each word, so long after it; None: one every 300 ms
        self.net_0001_s = net_0001_s
        self.keep_audio = keep_audio
        self.connections: deque[Received] = deque(maxlen=KEPT_CONNECTIONS)
        self._api_key = api_key

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/listen", self.guarded(self._listen)),
            web.get("/v2/listen", self.guarded(self._listen)),
        ]

    def received(self) -> dict[str, Any]:
        return {"connections": len(self.connections), "open": self.open_requests, "faults": self.faults.happened}

    def utterance(self, number: int) -> Utterance:
        """The script, over and over."""
        return self.script[number % len(self.script)]

    async def _listen(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Token {self._api_key}":
            return _refusal(401, "Invalid credentials.")
        query = list(request.query.items())
        if (wrong := complaint(request.path, query)) is not None:
            return _refusal(400, wrong)
        seen = Received(request.path, query)
        self.connections.append(seen)
        talk = Talk(request, fault, self.faults)
        vendor = (NovaTalk if request.path == "/v1/listen" else FluxTalk)(self, talk, seen)
        idle = asyncio.create_task(vendor.watch_idle())
        try:
            await talk.run(vendor.hear)
        finally:
            idle.cancel()
            vendor.stop()
            seen.close_code = talk.close_code
        return talk.ws


def _refusal(status: int, why: str) -> web.Response:
    body = {"err_code": "Bad Request" if status == 400 else "INVALID_AUTH", "err_msg": why}
    return web.json_response(body, status=status, headers={"dg-error": why})
