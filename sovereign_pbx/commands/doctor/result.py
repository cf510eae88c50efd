"""What one look finds, and how a look is bounded: whatever it meets, it ends in time and with a word of what to do."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sovereign_pbx.core.errors import ConfigError, SovereignError

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`detail` says what was seen, `remedy` what to do about it, `facts` the same for programs."""

    status: Status
    detail: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    seconds: float = 0.0


def ok(detail: str, **facts: Any) -> Result:
    return Result(status="ok", detail=detail, facts=facts)


def warning(detail: str, remedy: str = "", **facts: Any) -> Result:
    return Result(status="warning", detail=detail, remedy=remedy, facts=facts)


def failed(detail: str, remedy: str = "", **facts: Any) -> Result:
    return Result(status="failed", detail=detail, remedy=remedy, facts=facts)


def skipped(detail: str, remedy: str = "") -> Result:
    return Result(status="skipped", detail=detail, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Look:
    """Something to be examined, within `limit_s`."""

    name: str
    examine: Callable[[], Awaitable[Result]]
    limit_s: float = 10.0

    async def take(self) -> Result:
        """The result; never raises but for cancellation."""
        began = time.monotonic()
        result = await self._bounded()
        return replace(result, name=self.name, seconds=round(time.monotonic() - began, 3))

    async def _bounded(self) -> Result:
        try:
            async with asyncio.timeout(self.limit_s) as limit:
                return await self.examine()
        except TimeoutError as exc:
            if limit.expired():
                return failed(f"took longer than {self.limit_s:g} s and was given up")
            return failed(f"failed: {exc or 'timed out'}")
        except ConfigError as exc:
            return failed(exc.message, exc.remedy)
        except (SovereignError, OSError) as exc:
            return failed(str(exc) or type(exc).__name__)
        except Exception as exc:  # the others must still be looked at, and a bug must not pass for health
            return failed(f"could not be examined: {type(exc).__name__}: {exc}", "this is a fault of doctor: report it")
