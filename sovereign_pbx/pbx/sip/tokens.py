"""INVITEs that are expected: the user of their request URI is a token that only we and our PBX know, good for one call
within its time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from sovereign_pbx.pbx.sip.invitation import Invitation
from sovereign_pbx.pbx.sip.leg import Leg

log = structlog.get_logger(__name__)

Take = Callable[[Invitation, Leg], Awaitable[None]]
"""Takes the call over until its dialog has ended."""


@dataclass(frozen=True, slots=True)
class _Expected:
    take: Take
    timer: asyncio.TimerHandle | None
    rate: int | None


class Tokens:
    """Every token that is expected."""

    def __init__(self) -> None:
        self._expected: dict[str, _Expected] = {}

    def __len__(self) -> int:
        return len(self._expected)

    def __contains__(self, token: str) -> bool:
        return token in self._expected

    def expect(
        self,
        token: str,
        take: Take,
        *,
        within_s: float | None = None,
        expired: Callable[[], None] = lambda: None,
        rate: int | None = None,
    ) -> None:
        """Give the first INVITE to `token` (a UUID) to `take`; `expired` is told when none has come in time. Without
        `within_s` it is expected until `forget`. `rate`: the one in Hz that its sound is wanted at."""
        key = str(UUID(token))
        self.forget(key)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(within_s, self._expire, key, expired) if within_s is not None else None
        self._expected[key] = _Expected(take, timer, rate)

    def rate(self, token: str) -> int | None:
        """At which a call's sound is wanted; None where nobody has said."""
        expected = self._expected.get(token)
        return expected.rate if expected is not None else None

    def forget(self, token: str) -> None:
        """It will not come after all."""
        expected = self._expected.pop(token, None)
        if expected is not None and expected.timer is not None:
            expected.timer.cancel()

    def claim(self, token: str) -> Take | None:
        """Who takes it, once; None for a token that nobody expects."""
        expected = self._expected.get(token)
        self.forget(token)
        return expected.take if expected is not None else None

    def close(self) -> None:
        for token in tuple(self._expected):
            self.forget(token)

    def _expire(self, token: str, expired: Callable[[], None]) -> None:
        del self._expected[token]
        log.warning("sip_never_came", expected_id=token)
        expired()


def token_of(user: str) -> str:
    """The token that a user is, in its usual form; "" for everybody else."""
    if len(user) != 36:
        return ""
    try:
        return str(UUID(user))
    except ValueError:
        return ""
