"""How a caller leaves a conversation: hung up on, put through, given back to the dialplan, or lost with his audio."""

from typing import TYPE_CHECKING

from sovereign_pbx.core.commands import HandOver, HangUp
from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFull
from sovereign_pbx.pbx.link import NextStep

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call


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
            self._call.transfers.begin(command)
