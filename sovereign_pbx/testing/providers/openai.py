"""A scripted chat-completions server, strict as OpenAI, Mistral, xAI, Ollama, vLLM or llama.cpp.

`/v1` behaves as the flavour given, `/FLAVOUR/v1` as any other. The answer is picked by the number of the caller's turns
in the request, so each of many simultaneous conversations goes through the script on its own.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sovereign_pbx.testing.providers.faults import Fault
from sovereign_pbx.testing.providers.openai_rules import FLAVOURS, Flavour, refusal
from sovereign_pbx.testing.providers.server import STALL_S, ScriptedServer, cut

KEPT_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted reply: text, then tool calls as (name, arguments JSON). With `when` to those words, at any turn."""

    text: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    finish: str = ""
    when: str = ""

    @property
    def finish_reason(self) -> str:
        return self.finish or ("tool_calls" if self.tools else "stop")


Script = Sequence[str | Answer] | Callable[[dict[str, Any]], Answer]


class ScriptedOpenAI(ScriptedServer):
    """Serves chat completions, streamed or whole, and the list of models."""

    def __init__(
        self,
        script: Script = ("Certainly. How can I help you?",),
        *,
        flavour: str = "openai",
        api_key: str = "test-key",
        first_token_ms: float = 300.0,
        tokens_per_s: float = 50.0,
    ) -> None:
        super().__init__()
        self.script = script
        self.first_token_ms = first_token_ms
        self.tokens_per_s = tokens_per_s
        self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self.refused = 0  # requests that broke the flavour's rules
        self.finished = 0
        self.cancelled = 0  # streams that the client closed before their end
        self._flavour = flavour
        self._api_key = api_key

    @property
    def base_url(self) -> str:
        """For the flavour given."""
        return f"{self.url}/v1"

    def routes(self) -> list[web.RouteDef]:
        chat, models = self.guarded(self._chat), self._models
        return [
            web.post("/v1/chat/completions", chat),
            web.post("/{flavour}/v1/chat/completions", chat),
            web.get("/v1/models", models),
            web.get("/{flavour}/v1/models", models),
        ]

    def received(self) -> dict[str, Any]:
        return {
            "requests": len(self.requests),
            "refused": self.refused,
            "finished": self.finished,
            "cancelled": self.cancelled,
            "open": self.open_requests,
            "faults": self.faults.happened,
        }

    def _flavour_of(self, request: web.Request) -> Flavour:
        name = request.match_info.get("flavour", self._flavour)
        if name not in FLAVOURS:
            raise web.HTTPNotFound
        return FLAVOURS[name]

    def _authorized(self, request: web.Request, flavour: Flavour) -> bool:
        given = request.headers.get("Authorization", "")
        return given == f"Bearer {self._api_key}" or not flavour.needs_key

    async def _models(self, request: web.Request) -> web.Response:
        if not self._authorized(request, self._flavour_of(request)):
            return _wrong_key(request)
        return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _chat(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        flavour = self._flavour_of(request)
        if not self._authorized(request, flavour):
            return _wrong_key(request)
        try:
            body = await request.json()
        except ValueError:
            body = None
        if (refused := refusal(flavour, body)) is not None:
            self.refused += 1
            return web.json_response(refused.body, status=refused.status)
        fault = fault or self.faults.take_now()
        self.requests.append(body)
        answer = self._answer(body)
        try:
            if body.get("stream"):
                return await self._stream(request, body, answer, fault)
            await asyncio.sleep(self.first_token_ms / 1000)
            return web.json_response(_whole(body, answer))
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled += 1
            raise

    def _answer(self, body: dict[str, Any]) -> Answer:
        if callable(self.script):
            return self.script(body)
        script = [item if isinstance(item, Answer) else Answer(item) for item in self.script]
        last = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
        fitting = [item for item in script if item.when and item.when in last]
        turn = sum(message["role"] in ("user", "tool") for message in body["messages"])
        usual = [item for item in script if not item.when]
        return fitting[0] if fitting else usual[max(turn - 1, 0) % len(usual)]

    async def _stream(
        self, request: web.Request, body: dict[str, Any], answer: Answer, fault: Fault | None
    ) -> web.StreamResponse:
        flavour = self._flavour_of(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        told = 0
        async for chunk in self._chunks(body, flavour, answer):
            if fault is not None and told == (2 if fault.at == "middle" else 1):
                await self._misbehave(request, response, fault)
            await response.write(chunk)
            told += 1
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        self.finished += 1
        return response

    async def _chunks(self, body: dict[str, Any], flavour: Flavour, answer: Answer) -> AsyncIterator[bytes]:
        yield _sse(body, {"role": "assistant", "content": ""})
        await asyncio.sleep(self.first_token_ms / 1000)
        for number, word in enumerate(answer.text.split(" ") if answer.text else ()):
            if number:
                await asyncio.sleep(1 / self.tokens_per_s)
            yield _sse(body, {"content": word if number == 0 else f" {word}"})
        for delta in _tool_deltas(flavour, answer):
            yield _sse(body, {"tool_calls": [delta]})
        usage = _usage_of(body, answer)
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        yield _sse(body, {}, finish=answer.finish_reason, usage=usage if flavour.usage == "always" else None)
        if flavour.usage == "asked" and asked:
            yield _event({"object": "chat.completion.chunk", "model": body["model"], "choices": [], "usage": usage})

    async def _misbehave(self, request: web.Request, response: web.StreamResponse, fault: Fault) -> None:
        if fault.kind == "stall":
            await asyncio.sleep(STALL_S)
        elif fault.kind == "drop":
            cut(request)
            raise ConnectionResetError("scripted drop")
        else:
            await response.write(b'data: {"choices": [{"delta": \n\n')


def _wrong_key(request: web.Request) -> web.Response:
    # As some servers do, it quotes what it was given.
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    error = {
        "message": f"Incorrect API key provided: {given}.",
        "type": "invalid_request_error",
        "code": "invalid_api_key",
    }
    return web.json_response({"error": error}, status=401)


def _tool_deltas(flavour: Flavour, answer: Answer) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    for number, (name, arguments) in enumerate(answer.tools):
        index = {"count": {"index": number}, "zero": {"index": 0}, "none": {}}[flavour.tool_index]
        call_id = f"call{number:05d}"
        if flavour.whole_tools:
            function = {"name": name, "arguments": arguments}
            deltas.append({**index, "id": call_id, "type": "function", "function": function})
            continue
        deltas.append({**index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}})
        half = len(arguments) // 2
        deltas += [{**index, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
    return deltas


def _usage_of(body: dict[str, Any], answer: Answer) -> dict[str, int]:
    prompt = sum(len(message["content"].split()) for message in body["messages"])
    completion = len(answer.text.split()) + 8 * len(answer.tools)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _sse(body: dict[str, Any], delta: dict[str, Any], *, finish: str | None = None, usage: Any = None) -> bytes:
    chunk = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return _event(chunk if usage is None else {**chunk, "usage": usage})


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _whole(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    calls = [
        {"id": f"call{number:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(answer.tools)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if calls:
        message["tool_calls"] = calls
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        "usage": _usage_of(body, answer),
    }
