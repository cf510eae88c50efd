"""Asterisk's channels against our lines, and what is done where they differ."""

import time
from typing import Any, Final

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.pbx.asterisk.lines import Line, Lines
from sovereign_pbx.pbx.asterisk.roll_call import Difference, Ours, Shown, compare
from sovereign_pbx.pbx.reconciliation import GONE, Reconciliation

log = structlog.get_logger(__name__)

HEARD_S: Final = 2.0
_INBOUND: Final = "-inbound"  # ends the name of the printed dialplan's context that has the label `fallback`


class Audit(Reconciliation[Difference]):
    """Compares, and mends: calls without a channel are closed; channels whose audio comes here although no call of ours
    is theirs go to their dialplan's fallback; telephones that ring for an earlier daemon stop. Nothing else is touched.

    `every_s` 0: after a login only.
    """

    def __init__(self, ami: Ami, lines: Lines, ours: Ours, *, every_s: float) -> None:
        super().__init__(every_s)
        self._ami = ami
        self._lines = lines
        self._ours = ours

    async def watch(self) -> None:
        """The work after a login: it goes on until the connection is lost."""
        found = await self._looked()
        gone = [one for one in found if one.kind == GONE]
        for one in gone:
            self._close(one)
        log.info("reconciled", lines=len(self._lines), lost=len(gone), differences=len(found))
        await self._confirm([one for one in found if one.kind != GONE])
        await self._goes_on()

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

    # Private

    async def _mend(self, one: Difference) -> None:
        if one.kind == GONE:
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
