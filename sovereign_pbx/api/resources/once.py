"""Requests that must not be carried out twice: the `Idempotency-Key` header, remembered for a day, over restarts too.

The key is claimed on disk before anything is dialled. Who repeats a request whose outcome was never written (the daemon
was killed in between) is told so, rather than dialled for again.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

import structlog

from sovereign_pbx.api.errors import ApiError, conflict
from sovereign_pbx.api.operation import Asked
from sovereign_pbx.core.errors import Refused, SovereignError

log = structlog.get_logger(__name__)

HEADER: Final = "Idempotency-Key"
KEPT: Final = timedelta(hours=24)
_DISK_S: Final = 5.0
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


class Claim(Protocol):
    """A key that was used. `body` is the digest of its request; `call_id` is "" until the outcome is known."""

    @property
    def body(self) -> str: ...

    @property
    def call_id(self) -> str: ...


class Claims(Protocol):
    """Where keys are remembered. Times are ISO text as everywhere in the store; all may raise SovereignError."""

    async def claimed(self, key: str, since: str) -> Claim | None:
        """The claim on this key, if it was made since then."""

    async def claim(self, key: str, body: str, at: str, since: str) -> None:
        """Remember the key, and forget those older than `since`."""

    async def settle(self, key: str, call_id: str) -> None:
        """What came of it."""

    async def release(self, key: str) -> None:
        """Nothing came of it: the key is free again."""


class Once:
    """Carries requests out once a key. Requests without one are carried out as often as they are sent."""

    def __init__(self, claims: Claims, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._claims = claims
        self._now = now
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def do(self, asked: Asked, work: Callable[[], Awaitable[str]]) -> str:
        """The call's id: of this request, or of the one before that bore its key. ApiError 400, 409 or 422."""
        given = asked.request.headers.get(HEADER)
        if given is None:
            return await work()
        if not _KEY.fullmatch(given):
            raise ApiError(400, "invalid_request", f"{HEADER} must be 1 to 255 printable ASCII characters.")
        key = _digest(f"{asked.key.digest if asked.key else ''} {given}")
        body = await asyncio.to_thread(_digest_of, asked.body)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            known = await self._claims.claimed(key, self._since())
            return await self._first(key, body, work) if known is None else _again(known, body)

    async def _first(self, key: str, body: str, work: Callable[[], Awaitable[str]]) -> str:
        async with asyncio.timeout(_DISK_S):
            await self._claims.claim(key, body, _text(self._now()), self._since())
        try:
            call_id = await work()
        except (ApiError, Refused):  # nothing was dialled: the same key may be tried again
            await self._written(self._claims.release(key))
            raise
        await self._written(self._claims.settle(key, call_id))
        return call_id

    async def _written(self, write: Awaitable[None]) -> None:
        """What happened has happened, whatever the disk says; a slow one writes it later."""
        try:
            async with asyncio.timeout(_DISK_S):
                await write
        except (TimeoutError, SovereignError) as exc:
            log.error("idempotency.not_written", error=str(exc) or type(exc).__name__)

    def _since(self) -> str:
        return _text(self._now() - KEPT)


def _again(known: Claim, body: str) -> str:
    if known.body != body:
        raise ApiError(422, "idempotency_key_reused", f"This {HEADER} was sent before with another request.")
    if not known.call_id:
        message = f"A request with this {HEADER} may have been carried out: look at GET /calls before another key."
        raise conflict("outcome_unknown", message)
    return known.call_id


def _digest_of(body: Any) -> str:
    return _digest(json.dumps(body, sort_keys=True, default=str))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
