"""What Asterisk has of our calls is the truth: asked after every login, from time to time, and whenever a person asks.

Events get lost with the connection, with a PBX that is started anew, with a daemon that was killed. What differs after
a login is what was missed meanwhile; what differs at any other time must be seen twice, because a call that comes or
goes just now differs for a moment.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.pbx.asterisk.lines import Line, Lines
from sovereign_pbx.pbx.asterisk.roll_call import Difference, Ours, Shown, compare

log = structlog.get_logger(__name__)

# Longer than Asterisk may take to leave a link that we have closed (`audiosocket.LINGER_S`).
CONFIRM_S: Final = 2.0
HEARD_S: Final = 2.0
_INBOUND: Final = "-inbound"  # ends the name of the printed dialplan's context that has the label `fallback`
_SHOWN: Final = 10


class Audit:
    """Compares, and mends: calls without a channel are closed; channels whose audio comes here although no call of ours
    is theirs go to their dialplan's fallback; telephones that ring for an earlier daemon stop. Nothing else is touched.

    `every_s` 0: after a login only.
    """

    def __init__(self, ami: Ami, lines: Lines, ours: Ours, *, every_s: float) -> None:
        self._ami = ami
        self._lines = lines
        self._ours = ours
        self._every_s = every_s
        self.unknown = 0  # channels at the last look that come to us and are of no call
        self.mended = 0

    async def watch(self) -> None:
        """The work after a login: it goes on until the connection is lost."""
        found = await self._looked()
        gone = [one for one in found if one.kind == "gone"]
        for one in gone:
            self._close(one)
        log.info("reconciled", lines=len(self._lines), lost=len(gone), differences=len(found))
        await self._confirm([one for one in found if one.kind != "gone"])
        while self._every_s:
            await asyncio.sleep(self._every_s)
            await self._confirm(await self._looked())

    async def look(self) -> list[Difference]:
        """Where Asterisk and the daemon differ at this moment; changes nothing. Raises LinkEnded, BadInput."""
        before = tuple(self._lines)
        answer = await self._ami.action("CoreShowChannels")
        if not answer.ok:
            raise LinkBroken(f"Asterisk does not show its channels: {answer.get('Message')}")
        shown = (Shown.of(entry) for entry in answer.entries if entry.event == "CoreShowChannel")
        channels = {one.pbx_id: one for one in shown}
        still = [line for line in before if self._lines.holds(line) and not _is_heard(line)]
        return compare(channels, still, self._lines, self._ours)

    async def report(self) -> dict[str, Any]:
        """For people: every line, and what Asterisk says that is different, now and again after `CONFIRM_S`."""
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

    # Private

    async def _looked(self) -> list[Difference]:
        """As `look`; nothing where Asterisk can't be asked: nobody is given up because of that."""
        try:
            found = await self.look()
        except (LinkEnded, BadInput) as exc:
            log.warning("reconciliation_failed", why=str(exc))
            return []
        strays = [one.channel for one in found if one.kind != "gone"]
        self.unknown = len(strays)
        if strays:
            log.warning("unknown_channels", channels=strays[:_SHOWN], count=len(strays))
        return found

    async def _confirm(self, found: Sequence[Difference]) -> None:
        """Look again a moment later, and mend what is there still."""
        if not found:
            return
        await asyncio.sleep(CONFIRM_S)
        for one in await self._looked():
            if one in found:
                log.warning("audit_mends", kind=one.kind, why=one.told())
                self.mended += 1
                await self._mend(one)

    async def _mend(self, one: Difference) -> None:
        if one.kind == "gone":
            self._close(one)
        elif one.kind == "stray" and one.context.endswith(_INBOUND) and await self._to_fallback(one):
            return
        else:
            await self._do("Hangup", Channel=one.channel, Cause=16)

    async def _to_fallback(self, one: Difference) -> bool:
        """Whether the dialplan has taken it; one printed by an older version may lack the label."""
        return await self._do("Redirect", Channel=one.channel, Context=one.context, Exten="s", Priority="fallback")

    async def _do(self, name: str, **fields: Any) -> bool:
        try:
            answer = await self._ami.action(name, **fields)
        except (LinkEnded, BadInput) as exc:
            log.warning("audit_failed", action=name, why=str(exc))
            return False
        if not answer.ok:
            log.warning("audit_refused", action=name, channel=fields["Channel"], why=answer.get("Message"))
        return answer.ok

    def _close(self, one: Difference) -> None:
        line = self._lines.by_call(one.call_id)
        if line is not None and line.pbx_id == one.pbx_id:
            self._lines.close(line, None)


def _is_heard(line: Line) -> bool:
    """Whether somebody's sound comes just now: then he is there, whatever the roll says. Callers who are no channels of
    this Asterisk (`sovereign-pbx bench`) are."""
    link = line.link
    if not isinstance(link, AudioSocketLink) or link.ended is not None:
        return False
    return link.statistics()["frames_in"] > 0 and time.monotonic() - link.last_heard < HEARD_S
