"""Webhooks that are asked while a caller waits: who answers (`assistant-request`), and tools (`tool-calls`).

Both have one total deadline and are never retried: a second try would take time that the caller hears, and a tool might
act twice.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
import msgspec

from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.webhooks import signing
from sovereign_pbx.webhooks.post import post, public_url


class Asker:
    """Asks webhooks. `max_bytes` bounds an answer; `now` gives Unix seconds for the signature."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        user_agent: str = signing.USER_AGENT,
        max_bytes: int = 1_000_000,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._user_agent = user_agent
        self._max_bytes = max_bytes
        self._now = now

    async def assistant_request(self, url: str, secret: str, body: bytes, budget_s: float = 5.0) -> dict[str, Any]:
        """The answer to `assistant-request`: a JSON object. Raises WebhookError and nothing else (contract §9)."""
        return await self._ask("assistant-request", url, secret, body, budget_s)

    async def tool_calls(self, url: str, secret: str, body: bytes, timeout_s: float = 10.0) -> dict[str, Any]:
        """The answer to `tool-calls`, for `parse_tool_answer`. Raises WebhookError and nothing else (contract §11)."""
        return await self._ask("tool-calls", url, secret, body, timeout_s)

    async def _ask(self, event: str, url: str, secret: str, body: bytes, deadline_s: float) -> dict[str, Any]:
        headers = signing.headers(
            event,
            body,
            secret,
            webhook_id=str(uuid.uuid4()),
            unix_s=int(self._now()),
            user_agent=self._user_agent,
        )
        answer = await post(self._session, url, headers, body, deadline_s=deadline_s, max_bytes=self._max_bytes)
        return parse_object(url, answer)


def parse_object(url: str, answer: bytes) -> dict[str, Any]:
    """An answer's JSON object; nothing at all counts as `{}`. Raises WebhookError."""
    stripped = answer.removeprefix(b"\xef\xbb\xbf").strip()
    if not stripped:
        return {}
    try:
        # msgspec and not json: a megabyte in 2 ms instead of 10, and lone surrogates are refused here and not later.
        found = msgspec.json.decode(stripped)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise WebhookError(public_url(url), "not_json", f"the answer is not valid JSON: {str(exc)[:120]}") from exc
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise WebhookError(public_url(url), "wrong_shape", f"the answer must be a JSON object and is a {kind}")
    return found


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What one call of a tool came to: `text` for the model, and whether it is an error."""

    text: str
    failed: bool = False


_MISSING: Final = ToolAnswer("Error: the tool gave no result for this call.", failed=True)


def parse_tool_answer(
    answer: Mapping[str, Any], call_ids: Sequence[str], max_chars: int = 20_000
) -> dict[str, ToolAnswer]:
    """What the model is told for each of `call_ids`, from any of the four forms of contract §11.3.

    Ids without a result get an error text, so that the model never waits for one. Longer texts are cut at `max_chars`:
    a result goes into every later prompt of the call.
    """
    results = answer.get("results")
    if isinstance(results, list):
        found = _by_id(results, call_ids)
    elif "result" in answer:
        found = dict.fromkeys(call_ids, ToolAnswer(_text(answer["result"])))
    else:  # an error, or any other object, which is the result itself
        found = dict.fromkeys(call_ids, _answer_of(answer))
    return {call_id: _cut(found.get(call_id, _MISSING), max_chars) for call_id in call_ids}


def _by_id(results: Sequence[Any], call_ids: Sequence[str]) -> dict[str, ToolAnswer]:
    entries = [entry for entry in results if isinstance(entry, dict)]
    found: dict[str, ToolAnswer] = {}
    for entry in entries:
        call_id = entry.get("tool_call_id", entry.get("toolCallId"))
        if isinstance(call_id, str):
            found[call_id] = _answer_of(entry)
    if not found and len(entries) == 1 and len(call_ids) == 1:  # one question, one answer: the id adds nothing
        found[call_ids[0]] = _answer_of(entries[0])
    return found


def _answer_of(entry: Mapping[str, Any]) -> ToolAnswer:
    if "result" in entry:
        return ToolAnswer(_text(entry["result"]))
    if entry.get("error"):
        return ToolAnswer(f"Error: {_text(entry['error'])}", failed=True)
    return ToolAnswer(_text(dict(entry)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _cut(answer: ToolAnswer, limit: int) -> ToolAnswer:
    return answer if len(answer.text) <= limit else replace(answer, text=answer.text[:limit] + " … (cut)")
