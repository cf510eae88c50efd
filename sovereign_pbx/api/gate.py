"""The gate before every operation: who asks, how often, and whether he may."""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import web

from sovereign_pbx.api.errors import ApiError
from sovereign_pbx.api.keys import Key, KeyRing
from sovereign_pbx.api.limiter import Allowance, Limiter
from sovereign_pbx.core.errors import ConfigError

log = structlog.get_logger(__name__)

ALLOWANCE = web.RequestKey("allowance", dict[str, str])
"""Where a request keeps the headers of its limit, which are told with every answer, whatever becomes of it."""

_NO_KEY = "Invalid or missing API key"
_STATES = {"expired": "This API key has expired.", "revoked": "This API key has been revoked."}


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who asks, and what is left to him this minute; None for what needs no key or is not counted."""

    key: Key | None
    allowance: Allowance | None


NOBODY = Admitted(None, None)
"""Whoever needs no key."""


class Gate:
    """Keys and limits. `limit_loopback` False: who asks from this machine is not counted."""

    def __init__(
        self,
        keys: KeyRing,
        *,
        per_minute: int = 100,
        limit_loopback: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._now = now
        self._limit_loopback = limit_loopback
        self._by_key = Limiter(per_minute)
        self._by_address = Limiter(per_minute)  # of those who come without a key that fits: guessing is counted as well

    async def admit(self, request: web.Request, scope: str | None) -> Admitted:
        """Let the request in, counted. ApiError 401, 403, 429, or 503 when the keys can't be read."""
        if scope is None:
            return NOBODY
        key, fault = await self._identify(request)
        allowance = self._count(request, key)
        if allowance is not None:
            request[ALLOWANCE] = allowance.headers
            if allowance.exhausted:
                raise _too_many(allowance)
        if key is None or fault is not None:
            raise fault or ApiError(401, "unauthorized", _NO_KEY)
        if not key.may(scope):
            raise _forbidden(key, scope)
        return Admitted(key, allowance)

    async def _identify(self, request: web.Request) -> tuple[Key | None, ApiError | None]:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return None, ApiError(401, "unauthorized", f"{_NO_KEY}: send `Authorization: Bearer <key>`.")
        try:
            key = await self._keys.find(token.strip())
        except ConfigError as exc:
            log.error("api.keys_unreadable", error=str(exc))
            return None, ApiError(503, "keys_unreadable", "The API keys can't be read; the daemon's log says why.")
        state = key.state(datetime.fromtimestamp(self._now(), UTC)) if key is not None else ""
        if state in _STATES:
            return None, ApiError(401, f"api_key_{state}", _STATES[state])
        return key, None

    def _count(self, request: web.Request, key: Key | None) -> Allowance | None:
        if not self._limit_loopback and _is_loopback(request.remote):
            return None
        if key is not None:
            return self._by_key.take(key.digest, self._now())
        return self._by_address.take(_whereabouts(request.remote), self._now())


def _too_many(allowance: Allowance) -> ApiError:
    seconds = allowance.retry_after_s
    return ApiError(
        429,
        "rate_limit_exceeded",
        f"Too many requests. Please retry after {seconds} seconds.",
        extra={"retry_after": seconds},
    )


def _forbidden(key: Key, scope: str) -> ApiError:
    have = ", ".join(key.scopes) or "none"
    return ApiError(
        403,
        "forbidden",
        f"You don't have access to this resource: the key {key.name!r} has the scopes {have}, this needs {scope}.",
    )


def _address(remote: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A socket for both families gives IPv4 callers as `::ffff:192.0.2.1`."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_loopback(remote: str | None) -> bool:
    address = _address(remote)
    return address is not None and address.is_loopback


def _whereabouts(remote: str | None) -> str:
    """Who guesses, as one: a subscriber of IPv6 has a whole /64 to ask from."""
    address = _address(remote)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return str(address or remote or "")
