"""What a PBX has of our calls is the truth: asked after every login, from time to time, and whenever a person asks.

Events get lost with the connection, with a PBX that is started anew, with a daemon that was killed. What differs after
a login is what was missed meanwhile; what differs at any other time must be seen twice, because a call that comes or
goes just now differs for a moment.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from sovereign_pbx.core.errors import BadInput, LinkEnded

log = structlog.get_logger(__name__)

# Longer than a PBX may take to leave a link that we have closed.
CONFIRM_S: Final = 2.0
_SHOWN: Final = 10
GONE: Final = "gone"


class Differs(Protocol):
    """One thing that the PBX and the daemon do not agree on. Equal ones are the same thing, seen again."""

    @property
    def kind(self) -> str:
        """`gone`: a call of ours whose channel the PBX has not got. Else a channel of which no call of ours knows."""

    @property
    def call_id(self) -> str:
        """Of `gone`."""

    @property
    def channel(self) -> str:
        """As the PBX calls it."""

    def told(self) -> str:
        """A sentence for people."""


DifferenceT = TypeVar("DifferenceT", bound=Differs)


class Reconciliation(ABC, Generic[DifferenceT]):
    """Compares, and mends what was seen twice. `every_s` 0: after a login only."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self.unknown = 0  # channels at the last look that are of no call of ours and should be
        self.mended = 0

    @abstractmethod
    async def look(self) -> list[DifferenceT]:
        """Where the two differ at this moment; changes nothing. Raises LinkEnded, BadInput."""

    @abstractmethod
    async def _mend(self, one: DifferenceT) -> None:
        """Put right what was seen twice."""

    async def report(self) -> dict[str, Any]:
        """For people: what the PBX says that is different, now and again after `CONFIRM_S`."""
        try:
            found = await self.look()
            if found:
                await asyncio.sleep(CONFIRM_S)
                again = await self.look()
                found = [one for one in found if one in again]
        except (LinkEnded, BadInput) as exc:
            return {"asked": False, "why": str(exc), "differences": [], "mended": self.mended}
        told = [{"kind": one.kind, "call_id": one.call_id, "channel": one.channel, "why": one.told()} for one in found]
        return {"asked": True, "why": "", "differences": told, "mended": self.mended}

    async def _goes_on(self) -> None:
        """The looks from time to time."""
        while self._every_s:
            await asyncio.sleep(self._every_s)
            await self._confirm(await self._looked())

    async def _looked(self) -> list[DifferenceT]:
        """As `look`; nothing where the PBX can't be asked: nobody is given up because of that."""
        try:
            found = await self.look()
        except (LinkEnded, BadInput) as exc:
            log.warning("reconciliation_failed", why=str(exc))
            return []
        strays = [one.channel for one in found if one.kind != GONE]
        self.unknown = len(strays)
        if strays:
            log.warning("unknown_channels", channels=strays[:_SHOWN], count=len(strays))
        return found

    async def _confirm(self, found: Sequence[DifferenceT]) -> None:
        """Look again a moment later, and mend what is there still."""
        if not found:
            return
        await asyncio.sleep(CONFIRM_S)
        for one in await self._looked():
            if one in found:
                log.warning("audit_mends", kind=one.kind, why=one.told())
                self.mended += 1
                await self._mend(one)
