"""How a caller leaves a conversation: hung up on, put through, given back to the dialplan, or lost with his audio."""

from typing import TYPE_CHECKING

import structlog

from sovereign_pbx.core.commands import HandOver, HangUp
from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFull, Refused
from sovereign_pbx.pbx.link import NextStep

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call

log = structlog.get_logger(__name__)


class Departure:
    """The end of one call's talk."""

    def __init__(self, call: "Call") -> None:
        self._call = call

    def lost(self, how: LinkEnded) -> None:
        """The audio ended without us."""
        if isinstance(how, LinkClosed):  # by ourselves, for a reason that the call knows already
            return
        if isinstance(how, LinkBroken | LinkFull):
            self._call.end("error", str(how), NextStep("fallback"))
        else:
            self._call.fell_silent()

    def leave(self, command: HangUp | HandOver) -> None:
        """The conversation has said its last word."""
        if isinstance(command, HangUp):
            call = self._call
            usual = (command.reason, NextStep("hangup"))
            reason, step = (call.refused_as, call.after_refusal) if call.refusal else usual
            call.end(reason, command.error, step)
        elif not command.destination:
            self._call.end(command.reason, command.error, NextStep("fallback"))
        else:
            self._put_through(command)

    def _put_through(self, command: HandOver) -> None:
        try:
            step = self._call.transfer_to(command.destination)
        except Refused as exc:
            log.error("transfer.refused", destination=command.destination, why=str(exc), code=exc.code)
            self._call.books.record.event("transfer.refused", {"destination": command.destination, "why": str(exc)})
            self._call.end("error", f"the transfer's destination is not allowed: {exc}", NextStep("fallback"))
        else:
            self._call.end(command.reason, command.error, step)
