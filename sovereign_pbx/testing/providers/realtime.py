"""A scripted realtime vendor in two dialects: OpenAI's Realtime API, and xAI's with its differences.

Strict where they are: key, model, every event and field, the order of things, audio that a truncation cuts.
`/v1` speaks the dialect given,
`/DIALECT/v1` the other one.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web

from sovereign_pbx.testing.providers.faults import Fault
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.realtime_talk import RealtimeTalk
from sovereign_pbx.testing.providers.server import ScriptedServer, Talk

KEPT = 100
RealtimeDialect = Literal["openai", "xai"]


@dataclass(slots=True)
class RealtimeSeen:
    """One session as the vendor saw it: events without the audio, what was truncated, what was complained of."""

    model: str
    events: list[dict[str, Any]] = field(default_factory=list)
    truncated: list[tuple[str, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    audio_bytes: int = 0
    close_code: int | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type."""
        return [event for event in self.events if event["type"] == kind]


class ScriptedRealtime(ScriptedServer):
    """Answers a caller's turns by `answers`, and writes them down as `heard`; both go round."""

    def __init__(
        self,
        answers: Sequence[str | Answer] = ("We are open from nine to five.",),
        *,
        heard: Sequence[str] = ("What time do you open?",),
        dialect: RealtimeDialect = "openai",
        api_key: str = "test-key",
        first_audio_ms: float = 50.0,
        transcript_ms: float = 100.0,
        real_time_factor: float = 0.05,
        first_event: str = "conversation.created",
        unknown_models: Sequence[str] = ("missing",),
    ) -> None:
        super().__init__()
        self.answers = list(answers)
        self.heard = list(heard)
        self.aside = "Are you still there?"
        self.dialect = dialect
        self.first_audio_ms = first_audio_ms
        self.transcript_ms = transcript_ms
        self.real_time_factor = real_time_factor
        self.first_event = first_event
        self.sessions: deque[RealtimeSeen] = deque(maxlen=KEPT)
        self._api_key = api_key
        self._unknown_models = frozenset(unknown_models)
        self._answered = self._heard = 0

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def routes(self) -> list[web.RouteDef]:
        talk = self.guarded(self._talk)
        return [web.get("/v1/realtime", talk), web.get("/{dialect}/v1/realtime", talk)]

    def received(self) -> dict[str, Any]:
        return {
            "sessions": len(self.sessions),
            "errors": sum(len(seen.errors) for seen in self.sessions),
            "open": self.open_requests,
            "faults": self.faults.happened,
        }

    def answer(self) -> Answer:
        """The next of the script."""
        item = self.answers[self._answered % len(self.answers)]
        self._answered += 1
        return item if isinstance(item, Answer) else Answer(item)

    def words(self) -> str:
        """What the caller is taken to have said."""
        self._heard += 1
        return self.heard[(self._heard - 1) % len(self.heard)]

    async def _talk(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        dialect = request.match_info.get("dialect", self.dialect)
        if dialect not in get_args(RealtimeDialect):
            raise web.HTTPNotFound
        if request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return _refused(401, "Incorrect API key provided")
        if set(request.query) != {"model"}:
            return _refused(400, "model is the one parameter")
        if request.query["model"] in self._unknown_models:
            return _refused(404, "The model does not exist")
        seen = RealtimeSeen(request.query["model"])
        self.sessions.append(seen)
        talk = Talk(request, fault, self.faults)
        vendor = RealtimeTalk(self, talk, seen, dialect)
        try:
            await talk.run(vendor.hear)
        finally:
            vendor.stop()
            seen.close_code = talk.close_code
        return talk.ws


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
