"""What the manager interface tells of our channels: digits, hold, the end; and the roll-call after a reconnection."""

from collections.abc import Callable
from typing import Final

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.digits import DIGITS
from sovereign_pbx.pbx.asterisk.lines import Line, Lines
from sovereign_pbx.pbx.asterisk.reception import cause_of
from sovereign_pbx.pbx.link import Desk

log = structlog.get_logger(__name__)

_AUDIO_APPLICATION: Final = "AudioSocket"


class Channels:
    """Matches AMI events to lines by the channel's Uniqueid, which no transfer or rename changes."""

    def __init__(self, ami: Ami, lines: Lines, desk: Desk, audio_port: Callable[[], int]) -> None:
        self._ami = ami
        self._lines = lines
        self._desk = desk
        self._audio_port = audio_port
        self.unknown = 0
        self._handlers: dict[str, Callable[[Line, AmiMessage], None]] = {
            "Hangup": self._hung_up,
            "DTMFEnd": self._digit,
            "Hold": lambda line, message: self._desk.held(line.call_id, True),
            "Unhold": lambda line, message: self._desk.held(line.call_id, False),
        }

    def event(self, message: AmiMessage) -> None:
        """Any AMI event; most are of channels that are not ours."""
        handler = self._handlers.get(message.event)
        line = self._lines.by_pbx_id(message.get("Uniqueid")) if handler else None
        if handler is not None and line is not None and line.phase != "dialling":  # that is the originator's
            with bound_contextvars(call_id=line.call_id):
                handler(line, message)

    async def reconcile(self) -> None:
        """After a time without AMI: close the lines whose channel has gone meanwhile, report channels we don't know.

        Only lines that were there before the question are judged by its answer.
        """
        before = tuple(line for line in self._lines if line.phase != "dialling")
        try:
            answer = await self._ami.action("CoreShowChannels")
        except (LinkEnded, BadInput) as exc:
            log.warning("reconciliation_failed", why=str(exc))
            return
        if not answer.ok:
            log.warning("reconciliation_refused", why=answer.get("Message"))
            return
        channels = {entry.get("Uniqueid"): entry for entry in answer.entries if entry.event == "CoreShowChannel"}
        lost = [line for line in before if line.pbx_id not in channels]
        for line in lost:
            self._lines.close(line, None)
        self._report_unknown(channels)
        log.info("reconciled", channels=len(channels), lines=len(self._lines), lost=len(lost))

    def _report_unknown(self, channels: dict[str, AmiMessage]) -> None:
        """Channels that talk to our AudioSocket port and that we know nothing of."""
        ours = f":{self._audio_port()}"
        unknown = [
            entry.get("Channel")
            for pbx_id, entry in channels.items()
            if entry.get("Application") == _AUDIO_APPLICATION
            and entry.get("ApplicationData").endswith(ours)
            and self._lines.by_pbx_id(pbx_id) is None
        ]
        self.unknown = len(unknown)
        if unknown:
            log.warning("unknown_channels", channels=unknown[:10], count=len(unknown))

    def _hung_up(self, line: Line, message: AmiMessage) -> None:
        self._lines.close(line, cause_of(message.get("Cause")))

    def _digit(self, line: Line, message: AmiMessage) -> None:
        digit = message.get("Digit").upper()
        if message.get("Direction") == "Received" and digit in DIGITS and line.digits.is_news("ami", digit):
            self._desk.digit(line.call_id, digit)
