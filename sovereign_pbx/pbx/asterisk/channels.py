"""What the manager interface tells of our channels: digits, hold, the end."""

from collections.abc import Callable

from structlog.contextvars import bound_contextvars

from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.lines import Line, Lines
from sovereign_pbx.pbx.digits import DIGITS
from sovereign_pbx.pbx.harmless import cause_of
from sovereign_pbx.pbx.link import Desk


class Channels:
    """Matches AMI events to lines by the channel's Uniqueid, which no transfer or rename changes."""

    def __init__(self, lines: Lines, desk: Desk) -> None:
        self._lines = lines
        self._desk = desk
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

    def _hung_up(self, line: Line, message: AmiMessage) -> None:
        self._lines.close(line, cause_of(message.get("Cause")))

    def _digit(self, line: Line, message: AmiMessage) -> None:
        digit = message.get("Digit").upper()
        if message.get("Direction") == "Received" and digit in DIGITS and line.digits.is_news("signalling", digit):
            self._desk.digit(line.call_id, digit)
