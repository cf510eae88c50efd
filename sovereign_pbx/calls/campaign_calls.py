"""What a campaign needs of whoever places calls."""

from dataclasses import dataclass
from typing import Final, Protocol

from sovereign_pbx.assistants.model import Assistant

NO_ROOM: Final = frozenset(
    {"too_many_calls", "dialling_limit_reached", "pbx_unavailable", "shutting_down", "store_slow"}
)
"""Refusals that pass by themselves: the lead waits, and has not used up an attempt."""

NOT_DIALLED: Final = frozenset({"destination_not_allowed", "do_not_call"})
"""Refusals of this one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignCall:
    """A call to place. `call_id` is on disk already; `number_id` is shown to the one called, "" for the usual one."""

    call_id: str
    destination: str
    assistant: Assistant
    number_id: str
    campaign_id: str
    lead_id: str


class Dialler(Protocol):
    """Places calls."""

    async def place(self, call: CampaignCall) -> None:
        """Dial, and return once it is under way. Refused: it was not dialled. The call's row is on disk before anything
        is dialled, so that one without a row was never dialled."""

    async def over(self, call_id: str) -> None:
        """Return when the call has ended and its row says how; at once for one that is not known (any more)."""
