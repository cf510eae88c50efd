"""How the outbox reaches those who are no web server: what a carrier is, and what it says when it fails."""

from dataclasses import dataclass
from typing import Protocol

from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.store import Outgoing


@dataclass(eq=False)
class TurnedDown(WebhookError):
    """The receiver will never take it (no such mailbox): it becomes a dead letter at once, which can be sent again."""

    __str__ = WebhookError.__str__


class Carrier(Protocol):
    """Takes deliveries of one scheme of address (`mailto`)."""

    async def carry(self, one: Outgoing) -> None:
        """Hand it over, within a deadline of the carrier's own. Raises WebhookError and nothing else: TurnedDown for
        good, any other to be tried again."""
