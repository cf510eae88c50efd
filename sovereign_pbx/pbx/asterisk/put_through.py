"""What the dialplan asks on the channel of the person called, who has answered and is not connected with the caller
yet: `/through`, or where he is to be briefed first `/brief` and `/briefed`.

Whatever goes wrong here the two are connected: the caller must reach somebody. Only who has heard the briefing and
has not taken the call is let go.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final
from uuid import uuid4

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars

from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.agi_session import AgiSession
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.pbx.asterisk.dialled import dialled
from sovereign_pbx.pbx.asterisk.lines import Line, Lines
from sovereign_pbx.pbx.harmless import cause_of
from sovereign_pbx.pbx.link import Desk, Dialled

log = structlog.get_logger(__name__)

BRIEFING_S: Final = 10.0
"""How long the person called is kept waiting in silence, until the words for him are there; by then it is a wonder that
he has not hung up. What follows his answer comes at once."""

_LEFT: Final = Dialled("declined", "The person called hung up during the briefing.")
_NOT_TAKEN: Final = Dialled("declined", "The person called heard the briefing and did not take the call.")


class PutThrough:
    """Handlers of the paths, and the media of those who are briefed, which is AudioSocket's application at 8 kHz
    whatever brings the callers': see the dialplan."""

    def __init__(
        self,
        desk: Desk,
        lines: Lines,
        audiosocket: AudioSocketServer,
        *,
        connect_s: float,
        briefing_s: float = BRIEFING_S,
    ) -> None:
        self._desk = desk
        self._lines = lines
        self._audiosocket = audiosocket
        self._briefing_s = briefing_s
        self._connect_s = connect_s

    # --- paths

    async def through(self, session: AgiSession) -> None:
        """They are connected when this returns; SOVEREIGN_TAKEN becomes `no` for a caller who is to be hung up."""
        line = self._line_of(session)
        if line is not None:
            await self._conclude(session, line, taken=not line.hang_up)

    async def brief(self, session: AgiSession) -> None:
        """SOVEREIGN_BRIEFING becomes the id under which his media is expected; unset, it goes as for `through`."""
        line = self._line_of(session)
        if line is None:
            return
        if line.hang_up or not await self._ask(session, self._desk.briefing(line.call_id), default=False):
            await self._conclude(session, line, taken=not line.hang_up)
            return
        token = str(uuid4())
        if self._lines.brief(line, token):
            self._audiosocket.expect(token, self._connect_s)
            await session.set_variable("SOVEREIGN_BRIEFING", token)

    async def briefed(self, session: AgiSession) -> None:
        """SOVEREIGN_TAKEN becomes `no` for who is to be let go."""
        line = self._line_of(session)
        if line is None:
            return
        self._audiosocket.forget(line.briefing)
        taken = True
        if line.briefed_by is None:
            log.warning("briefing_without_audio")
        else:
            line.briefed_by.close()
            taken = await self._ask(session, self._desk.briefed(line.call_id), default=True)
        await self._conclude(session, line, taken=taken and not line.hang_up)

    # --- the media of who is briefed

    def audio_came(self, token: str, link: MediaLink) -> bool:
        """Whether this id was given out by `/brief`."""
        line = self._lines.by_briefing(token)
        if line is None:
            return False
        line.briefed_by = link
        with bound_contextvars(call_id=line.call_id):
            self._desk.briefing_connected(line.call_id, link)
        return True

    def event(self, message: AmiMessage) -> None:
        """Any AMI event. A caller who hangs up while somebody is briefed about him stays unnoticed in Dial(), which
        waits for the briefing's end; that he wants to go is told by this event alone."""
        if message.event in ("HangupRequest", "SoftHangupRequest"):
            line = self._lines.by_pbx_id(message.get("Uniqueid"))
            if line is not None and line.phase == "dialled" and line.briefing:
                self._lines.close(line, cause_of(message.get("Cause")))

    # --- how it went

    def how(self, line: Line, arguments: tuple[str, ...]) -> Dialled | None:
        """What the desk is told of a `dial` step, by the dialplan's word and by what is known here."""
        if line.phase != "dialled":
            return None
        found = dialled(arguments, asyncio.get_running_loop().time() - line.dialled_at)
        if found is None:
            log.warning("dialplan_does_not_say", remedy="print it anew: sovereign-pbx dialplan asterisk")
            return None
        if found.outcome == "answered" and not line.through:
            if line.taken is False:
                return _NOT_TAKEN
            if line.briefed_by is not None:
                return _LEFT
            # The question was lost (a daemon too busy for it); that they talked is known now
            self._connect(line)
        return found

    def ended(self, line: Line, arguments: tuple[str, ...]) -> None:
        """The caller has gone; if he was connected, and nobody has told so yet, he was put through first."""
        if line.phase == "dialled" and not line.through and line.briefed_by is None:
            found = dialled(arguments, 0.0)
            if found is not None and found.outcome == "answered":
                self._connect(line)

    # --- private

    def _line_of(self, session: AgiSession) -> Line | None:
        line = self._lines.asked_about(session.request.arguments)
        if line is None or line.phase != "dialled":
            log.warning("put_through_for_unknown_call", peer=session.peer)
            return None
        bind_contextvars(call_id=line.call_id)
        return line

    async def _conclude(self, session: AgiSession, line: Line, *, taken: bool) -> None:
        line.taken = taken
        if taken:
            self._connect(line)
        else:
            await session.set_variable("SOVEREIGN_TAKEN", "no")

    def _connect(self, line: Line) -> None:
        if line.through or not self._lines.holds(line):
            return
        line.through = True
        try:
            self._desk.put_through(line.call_id)
        except Exception:
            log.exception("put_through_failed")

    async def _ask(self, session: AgiSession, asking: Awaitable[bool], *, default: bool) -> bool:
        """Raises LinkEnded when the person called leaves meanwhile; every other failure is the default."""
        try:
            return await session.unless_hung_up(asking, self._briefing_s)
        except LinkEnded:
            raise
        except TimeoutError:
            log.warning("briefing_too_late", after_s=self._briefing_s)
        except Exception:
            log.exception("briefing_failed")
        return default
