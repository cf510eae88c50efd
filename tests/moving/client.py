"""A client library as customers of the platform have one: typed, with retries and an auto-pager (contract §3, §8.5)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.moving import answers
from tests.moving.shapes import Check, Unexpected, envelope, listed

TIMEOUT_S = 30.0
RETRIES = 2
LONGEST_RETRY_AFTER_S = 30.0
PAGE = 100

Body = Mapping[str, Any]


class ApiError(Exception):
    """An answer of 400 and above, as far as the library reads it: `error` only if it is a string."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        known = body if isinstance(body, dict) else {}
        self.status, self.body, self.headers = status, known, headers
        self.error = known["error"] if isinstance(known.get("error"), str) else ""
        self.message = str(known.get("message") or "")
        self.details: list[str] = known.get("details") or []
        super().__init__(f"{status} {self.error}: {self.message} {self.details}")


def backoff_s(attempt: int) -> float:
    waited_ms: int = min(1000 * 2**attempt, 8000)
    return waited_ms / 1000


@dataclass
class Client:
    """Give it a base URL and a key. `waited` holds the pauses between attempts, in seconds."""

    session: aiohttp.ClientSession
    base_url: str
    key: str = field(repr=False)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    waited: list[float] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)  # of the latest answer

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer, None for 204. Raises ApiError, or what the network raised."""
        for attempt in range(RETRIES + 1):
            last = attempt == RETRIES
            try:
                status, answer = await self._once(method, path, body, query)
            except (aiohttp.ClientConnectionError, TimeoutError):
                if last or method not in ("GET", "PUT", "DELETE"):
                    raise
                await self._pause(backoff_s(attempt))
                continue
            again = status == 429 or (status >= 500 and method in ("GET", "PUT", "DELETE"))
            if not again or last:
                break
            await self._pause(self._retry_after_s() or backoff_s(attempt))
        if status >= 400:
            raise ApiError(status, answer, self.headers)
        return answer

    async def read(self, check: Check, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer, if it is what it is said to be."""
        answer = await self.ask(method, path, body, **query)
        check(answer, f"{method} {path}")
        return answer

    async def _pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        await self.sleep(seconds)

    def _retry_after_s(self) -> float:
        given = self.headers.get("Retry-After", "")
        return min(float(given), LONGEST_RETRY_AFTER_S) if given.isdecimal() else 0.0

    async def _once(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.key}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        params = {name: str(value) for name, value in query.items() if value is not None}
        async with (
            asyncio.timeout(TIMEOUT_S),
            self.session.request(method, self.base_url + path, data=data, headers=headers, params=params) as response,
        ):
            raw = await response.read()
            self.headers = dict(response.headers)
            return response.status, json.loads(raw) if raw else None

    # What it can do

    def collection(self, path: str, one: str, many: str, item: Check, in_list: Check | None = None) -> "Collection":
        return Collection(self, path, one, many, item, in_list or item)

    @property
    def assistants(self) -> "Collection":
        return self.collection("/assistants", "assistant", "assistants", answers.ASSISTANT)

    @property
    def agents(self) -> "Collection":
        """As the previous library called them; the answers are of today."""
        return self.collection("/agents", "assistant", "assistants", answers.ASSISTANT)

    @property
    def numbers(self) -> "Collection":
        return self.collection("/numbers", "number", "numbers", answers.NUMBER)

    @property
    def trunks(self) -> "Collection":
        return self.collection("/sip-trunks", "trunk", "trunks", answers.TRUNK)

    @property
    def campaigns(self) -> "Collection":
        return self.collection("/campaigns", "campaign", "campaigns", answers.CAMPAIGN)

    def leads(self, campaign_id: str) -> "Collection":
        return self.collection(f"/campaigns/{campaign_id}/leads", "lead", "leads", answers.LEAD)

    @property
    def tool_templates(self) -> "Collection":
        return self.collection("/tool-templates", "tool_template", "tool_templates", answers.TOOL_TEMPLATE)

    @property
    def analysis_templates(self) -> "Collection":
        path, one = "/analysis-templates", "analysis_template"
        return self.collection(path, one, "analysis_templates", answers.ANALYSIS_TEMPLATE)

    @property
    def workflows(self) -> "Collection":
        return self.collection("/workflows", "workflow", "workflows", answers.WORKFLOW, answers.WORKFLOW_ITEM)

    @property
    def mcp_servers(self) -> "Collection":
        return self.collection("/mcp-servers", "mcp_server", "mcp_servers", answers.MCP_SERVER)

    async def call(self, call_id: str) -> dict[str, Any]:
        return dict(await self.read(answers.CALL, "GET", f"/calls/{call_id}"))

    async def calls(self, **query: Any) -> dict[str, Any]:
        return dict(await self.read(answers.CALLS, "GET", "/calls", **query))

    async def every_call(self, step: int = PAGE, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """The auto-pager: `step` a request, until what was told as the total is there."""
        offset = 0
        while True:
            page = await self.calls(limit=step, offset=offset, **query)
            for call in page["calls"]:
                yield call
            offset += step
            if offset >= page["pagination"]["total"] or not page["calls"]:
                return

    async def outbound(self, **body: Any) -> str:
        return str((await self.read(answers.DIALLED, "POST", "/calls/outbound", body))["call_id"])

    async def control(self, call_id: str, **command: Any) -> None:
        answer = await self.read(answers.CONTROLLED, "POST", f"/calls/{call_id}/control", command)
        assert answer["success"] is True

    async def say(self, call_id: str, content: str) -> None:
        """The library's short form sends its default too."""
        await self.control(call_id, type="say", content=content, end_after=False)

    async def usage(self, **query: Any) -> dict[str, Any]:
        return dict(await self.read(answers.USAGE, "GET", "/usage", **query))


@dataclass
class Collection:
    """What can be listed, made, read, changed and deleted in the same way."""

    client: Client
    path: str
    one: str
    many: str
    item: Check
    in_list: Check

    async def list(self) -> Any:
        answer = await self.client.read(envelope(self.many, listed(self.in_list)), "GET", self.path)
        return answer[self.many]

    async def create(self, **body: Any) -> Any:
        return await self._one("POST", self.path, body)

    async def get(self, object_id: str) -> Any:
        return await self._one("GET", f"{self.path}/{object_id}")

    async def update(self, object_id: str, **body: Any) -> Any:
        return await self._one("PATCH", f"{self.path}/{object_id}", body)

    async def delete(self, object_id: str) -> None:
        answer = await self.client.ask("DELETE", f"{self.path}/{object_id}")
        if answer is None:
            return  # a 204, which the documentation speaks of as well
        answers.DELETED(answer, f"DELETE {self.path}")
        if answer["success"] is not True:
            raise Unexpected(self.path, "success", answer)

    async def _one(self, method: str, path: str, body: Body | None = None) -> Any:
        return (await self.client.read(envelope(self.one, self.item), method, path, body))[self.one]
