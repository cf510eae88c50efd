"""Calls of campaigns, placed by the desk."""

from typing import Protocol

from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.campaign_calls import CampaignCall
from sovereign_pbx.calls.outbound import Finished, OutboundRequest
from sovereign_pbx.core.errors import Refused


class Desk(Protocol):
    """What is needed of `desk.CallDesk`."""

    async def place(self, request: OutboundRequest) -> str: ...

    async def finished(self, call_id: str) -> Finished: ...


class DeskDialler:
    """`campaign_calls.Dialler` on the desk of the daemon."""

    def __init__(self, desk: Desk, directory: Directory) -> None:
        self._desk = desk
        self._directory = directory

    async def place(self, call: CampaignCall) -> None:
        number = self._number(call)
        await self._desk.place(
            OutboundRequest(
                call_id=call.call_id,
                destination=call.destination,
                assistant=call.assistant,
                number=number,
                trunk=None,
                campaign_id=call.campaign_id,
                lead_id=call.lead_id,
            )
        )

    async def over(self, call_id: str) -> None:
        try:
            await self._desk.finished(call_id)
        except Refused:  # of an earlier daemon, or long ago: its row tells
            return

    def _number(self, call: CampaignCall) -> Number | None:
        if not call.number_id:
            return _free_number(self._directory, call.assistant)
        number = self._directory.number_by_id(call.number_id)
        if number is None:
            raise Refused("number_unknown", f"there is no number {call.number_id!r} any more")
        return number


def _free_number(directory: Directory, assistant: Assistant) -> Number | None:
    """An active number that has a trunk: one of this assistant's, else the first; as for `POST /calls/outbound`."""

    def able(number: Number) -> bool:
        trunk = directory.trunk(number.transfer_trunk) if number.transfer_trunk else None
        return number.is_active and trunk is not None and trunk.is_active

    found = [number for number in directory.numbers if able(number)]
    answering = ((number, directory.assistant(number.assistant)) for number in found)
    own = (number for number, who in answering if who is not None and who.id == assistant.id)
    return next(own, found[0] if found else None)
