"""FreeSWITCH's channels against ours, and what is done where they differ."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded, Refused
from sovereign_pbx.pbx.freeswitch.channels import Channels
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.harmless import clean
from sovereign_pbx.pbx.reconciliation import GONE, Reconciliation

log = structlog.get_logger(__name__)

_PARKED: Final = "park"

# gone: a channel that is waited for, which FreeSWITCH has not got. ringing, stray: channels that an earlier daemon of
# this installation had made, which ring, or were answered and wait for somebody to take them.
Kind = Literal["gone", "ringing", "stray"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A channel as `show channels` tells it."""

    uuid: str
    name: str
    state: str  # DOWN, RING_WAIT, RINGING, EARLY, ACTIVE, HELD, UNHELD, HANGUP
    application: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        uuid, name, state, application = (
            clean(str(row.get(key) or "")) for key in ("uuid", "name", "callstate", "application")
        )
        return cls(uuid, name, state, application)

    @property
    def answered(self) -> bool:
        return self.state in ("ACTIVE", "HELD", "UNHELD")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that FreeSWITCH and the daemon do not agree on. Equal ones are the same thing, seen again."""

    kind: Kind
    uuid: str
    call_id: str = ""  # of `gone`
    channel: str = ""

    def told(self) -> str:
        """A sentence for people."""
        match self.kind:
            case "gone":
                return f"the call {self.call_id} has no channel in FreeSWITCH any more"
            case "ringing":
                return f"{self.channel} rings for a call that an earlier daemon placed"
            case "stray":
                return f"{self.channel} waits for an earlier daemon, which had called it"


class Audit(Reconciliation[Difference]):
    """Compares, and mends: who waits for a channel that is gone is told; telephones that ring or wait for an earlier
    daemon are let go. Nothing else is touched. `mark`: how the ids of our channels begin. `every_s` 0: after a login
    only."""

    def __init__(self, esl: Esl, channels: Channels, mark: str, *, every_s: float) -> None:
        super().__init__(every_s)
        self._esl = esl
        self._channels = channels
        self._mark = mark

    async def watch(self) -> None:
        """The work after a login: it goes on until the connection is lost."""
        first = await self._looked()
        missed = [one for one in first if one.kind == GONE]
        # An originate that was sent as the socket broke may be acted on a moment after we are back
        await self._confirm(first)
        log.info("reconciled", channels=len(self._channels), lost=len(missed), differences=len(first))
        await self._goes_on()

    async def look(self) -> list[Difference]:
        """Where the two differ at this moment; changes nothing. Raises LinkEnded, BadInput."""
        before = tuple(self._channels)
        shown = await self.roll()
        gone = [
            Difference("gone", one.uuid, one.call_id)
            for one in before
            if one.uuid not in shown and one.uuid in self._channels
        ]
        return gone + [found for one in shown.values() if (found := self._foreign(one))]

    async def roll(self) -> dict[str, Shown]:
        """Every channel of FreeSWITCH by its id. Raises LinkEnded, BadInput."""
        said = await self._esl.api("show", "channels", "as", "json")
        return await asyncio.to_thread(_read, said)  # of a busy PBX it is megabytes

    async def left_over(self) -> int:
        """How many channels there are that an earlier daemon of this installation had made. Raises Refused
        `pbx_unavailable` where FreeSWITCH can't be asked."""
        try:
            shown = await self.roll()
        except (LinkEnded, BadInput) as exc:
            raise Refused("pbx_unavailable", str(exc)) from exc
        return sum(uuid.startswith(self._mark) and uuid not in self._channels for uuid in shown)

    # Private

    def _foreign(self, one: Shown) -> Difference | None:
        """What is wrong with a channel that nobody here waits for. One that was answered and talks to somebody, or was
        handed over to the administrator's dialplan, is nothing of ours any more."""
        if not one.uuid.startswith(self._mark) or one.uuid in self._channels:
            return None
        if not one.answered:
            return Difference("ringing", one.uuid, channel=one.name)
        return Difference("stray", one.uuid, channel=one.name) if one.application == _PARKED else None

    async def _mend(self, one: Difference) -> None:
        if one.kind == GONE:
            self._channels.end(one.uuid, "")
            return
        try:
            await self._esl.api("uuid_kill", one.uuid, "NORMAL_CLEARING")
        except (LinkEnded, BadInput) as exc:
            log.warning("audit_failed", why=str(exc))


def _read(text: str) -> dict[str, Shown]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise LinkBroken(f"FreeSWITCH does not show its channels: {text[:80]}") from exc
    rows = found.get("rows", []) if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise LinkBroken("FreeSWITCH shows its channels in a form of its own")
    shown = (Shown.of(row) for row in rows if isinstance(row, dict))
    return {one.uuid: one for one in shown if one.uuid}
