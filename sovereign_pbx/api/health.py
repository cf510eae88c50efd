"""What `/api/v1/health` says (contract §19), and what the daemon must be able to tell for it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import structlog

from sovereign_pbx.api.vitals import Vitals

log = structlog.get_logger(__name__)

Status = Literal["ok", "degraded", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part's health. A part that is `down` takes the whole down with it only if it is `essential`."""

    status: Status
    latency_ms: float | None = None
    detail: str = ""  # why it is not ok, for the administrator; no secrets, no numbers of callers
    essential: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """As the answer shows it."""
        shown: dict[str, Any] = {"status": self.status}
        if self.latency_ms is not None:
            shown["latency_ms"] = round(self.latency_ms, 1)
        if self.detail:
            shown["detail"] = self.detail
        return shown | dict(self.values)


class HealthProbe(Protocol):
    """The daemon, as health and metrics see it."""

    version: str

    async def checks(self) -> Mapping[str, Check]:
        """database (essential), pbx (essential), models, clock, outbox."""

    async def vitals(self) -> Vitals:
        """The numbers that are read rather than counted."""


class Health:
    """Asks the probe, at most once a second however often it is asked itself, and not for longer than `limit_s`."""

    def __init__(self, probe: HealthProbe, *, limit_s: float = 2.0, keep_s: float = 1.0) -> None:
        self._probe = probe
        self._limit_s = limit_s
        self._keep_s = keep_s
        self._asking = asyncio.Lock()
        self._known: tuple[Status, dict[str, Any]] | None = None
        self._known_until = 0.0

    async def report(self) -> tuple[Status, dict[str, Any]]:
        """The whole's status and the answer's body. Never raises: an unwell probe is itself a finding."""
        async with self._asking:
            if self._known is None or time.monotonic() >= self._known_until:
                self._known = self._worded(await self._checks())
                self._known_until = time.monotonic() + self._keep_s
            return self._known

    async def _checks(self) -> Mapping[str, Check]:
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._probe.checks()
        except TimeoutError:
            detail = f"the daemon could not tell within {self._limit_s:g} s"
            return {"daemon": Check(status="down", detail=detail, essential=True)}
        except Exception as exc:  # health must be told above all when something is broken
            log.exception("health_probe_failed")
            return {"daemon": Check(status="down", detail=type(exc).__name__, essential=True)}

    def _worded(self, checks: Mapping[str, Check]) -> tuple[Status, dict[str, Any]]:
        status = overall(checks)
        body = {
            "status": status,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": self._probe.version,
            "checks": {name: check.public() for name, check in checks.items()},
        }
        return status, body


def overall(checks: Mapping[str, Check]) -> Status:
    """down if anything essential is, degraded if anything is not well, else ok."""
    if any(check.status == "down" and check.essential for check in checks.values()):
        return "down"
    return "ok" if all(check.status == "ok" for check in checks.values()) else "degraded"
