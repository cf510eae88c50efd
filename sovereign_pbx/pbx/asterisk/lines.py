"""The calls this PBX has given us, from the first AGI request until their channel is gone."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.agi_text import call_token
from sovereign_pbx.pbx.digits import DigitsOnce

log = structlog.get_logger(__name__)

# dialling: placed by us, nobody has answered. ringing: a decision is pending. answering: its audio is expected.
# talking: it has a link. after: its link has ended, the dialplan is to ask what comes next. dialled: the dialplan has
# passed it to somebody.
Phase = Literal["dialling", "ringing", "answering", "talking", "after", "dialled"]

# The dialplan asks within milliseconds of a link's end, unless the caller hung up. AMI or the `h` extension report
# that; this is for the case that neither works.
AFTER_S: Final = 10.0
# Without AMI nobody reports the end of a call passed on if Asterisk is restarted meanwhile; no call is so long.
DIALLED_S: Final = 12 * 3600.0


@dataclass(slots=True, eq=False)
class Line:
    """One call. `token` is its id in the dialplan: the call's own at first, a new one each time it comes back. `rate`
    is that of its sound.

    While it is dialled: `dialled_at`, since when by the loop's clock; `through`, whether who was called has been
    connected; `briefing`, the id that his media comes under where he is briefed before ("": he is not); `briefed_by`,
    that media; `taken`, what he said to it.
    """

    call_id: str
    channel: str
    pbx_id: str
    token: str
    phase: Phase = "ringing"
    rate: int = PHONE_RATE
    link: MediaLink | None = None
    rounds: int = 0
    hang_up: bool = False
    dialled_at: float = 0.0
    through: bool = False
    briefing: str = ""
    briefed_by: MediaLink | None = None
    taken: bool | None = None
    digits: DigitsOnce = field(default_factory=DigitsOnce)
    pacing: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None


class Lines:
    """Every line, found by its call, its token or its channel. `on_gone` is told once of each that closes."""

    def __init__(self, limit: int, on_gone: Callable[[str, int | None], None]) -> None:
        self._limit = limit
        self._on_gone = on_gone
        self._by_call: dict[str, Line] = {}
        self._by_token: dict[str, Line] = {}
        self._by_pbx_id: dict[str, Line] = {}
        self._by_briefing: dict[str, Line] = {}

    def __len__(self) -> int:
        return len(self._by_call)

    def __iter__(self) -> Iterator[Line]:
        return iter(tuple(self._by_call.values()))

    def open(self, call_id: str, channel: str, pbx_id: str) -> Line | None:
        """A new line, or None when there are as many as may be. A channel that calls anew has left its old line."""
        old = self._by_pbx_id.get(pbx_id)
        if old is not None:
            self.close(old, None)
        if len(self._by_call) >= self._limit:
            log.warning("lines_full", limit=self._limit)
            return None
        line = Line(call_id, channel, pbx_id, call_id)
        self._by_call[call_id] = self._by_token[call_id] = self._by_pbx_id[pbx_id] = line
        return line

    def by_call(self, call_id: str) -> Line | None:
        return self._by_call.get(call_id)

    def by_token(self, token: str) -> Line | None:
        return self._by_token.get(token)

    def by_briefing(self, token: str) -> Line | None:
        return self._by_briefing.get(token)

    def asked_about(self, arguments: Sequence[str]) -> Line | None:
        """The line that an AGI request's first argument names."""
        return self.by_token(call_token(arguments[0])) if arguments else None

    def by_pbx_id(self, pbx_id: str) -> Line | None:
        return self._by_pbx_id.get(pbx_id)

    def holds(self, line: Line) -> bool:
        """Whether the line is open still (its channel may go at any moment)."""
        return self._by_call.get(line.call_id) is line

    def retoken(self, line: Line, token: str) -> None:
        """The dialplan knows the call by another id from now on."""
        del self._by_token[line.token]
        line.token = token
        self._by_token[token] = line

    def dial(self, line: Line) -> None:
        """The dialplan passes it to somebody; nothing is known of him yet."""
        self._end_briefing(line)
        line.through = False
        line.dialled_at = asyncio.get_running_loop().time()
        self.enter(line, "dialled", DIALLED_S)

    def brief(self, line: Line, token: str) -> bool:
        """The media of the person called will come as `token`; False when the line has closed."""
        if not self.holds(line):
            return False
        self._end_briefing(line)
        line.briefing = token
        self._by_briefing[token] = line
        return True

    def enter(self, line: Line, phase: Phase, at_most_s: float | None = None) -> None:
        """Move to `phase`; a line that is still in it after `at_most_s` seconds is closed."""
        if not self.holds(line):
            return
        self._disarm(line)
        line.phase = phase
        if at_most_s is not None:
            line.timer = asyncio.get_running_loop().call_later(at_most_s, self._overdue, line)

    def close(self, line: Line, cause: int | None) -> None:
        """The channel is gone, or no longer ours. Idempotent."""
        if not self.holds(line):
            return
        self._disarm(line)
        self._end_briefing(line)
        del self._by_call[line.call_id], self._by_token[line.token]
        if self._by_pbx_id.get(line.pbx_id) is line:
            del self._by_pbx_id[line.pbx_id]
        try:
            self._on_gone(line.call_id, cause)
        except Exception:
            log.exception("gone_failed", call_id=line.call_id)

    def _end_briefing(self, line: Line) -> None:
        self._by_briefing.pop(line.briefing, None)
        if line.briefed_by is not None:
            line.briefed_by.close()
        line.briefing, line.briefed_by, line.taken = "", None, None

    def _overdue(self, line: Line) -> None:
        log.info("line_overdue", call_id=line.call_id, phase=line.phase)
        self.close(line, None)

    def _disarm(self, line: Line) -> None:
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
