"""Calls of campaigns, placed by the desk."""

from typing import Protocol

from sovereign_pbx.assistants.directory import Directory, Number
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
            return self._directory.free_number(call.assistant)
        number = self._directory.number_by_id(call.number_id)
        if number is None:
            raise Refused("number_unknown", f"there is no number {call.number_id!r} any more")
        return number
