"""Which number a campaign calls from."""

import asyncio
from dataclasses import replace

import pytest

from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.calls.campaign_calls import CampaignCall
from sovereign_pbx.calls.campaign_desk import DeskDialler
from sovereign_pbx.calls.outbound import Finished, OutboundRequest
from sovereign_pbx.core.errors import Refused
from tests.calls.campaign_world import ASSISTANT

CALL = CampaignCall(
    call_id="the-call",
    destination="+31612345678",
    assistant=ASSISTANT,
    number_id="",
    campaign_id="the-campaign",
    lead_id="the-lead",
)


class Desk:
    """Notes what it is asked for; knows no call."""

    def __init__(self) -> None:
        self.requests: list[OutboundRequest] = []

    async def place(self, request: OutboundRequest) -> str:
        self.requests.append(request)
        return request.call_id

    async def finished(self, call_id: str) -> Finished:
        raise Refused("not_found", "no such call")


def number(digits: str, **fields: str | bool) -> Number:
    return replace(Number(number=digits, id=f"id-{digits}"), **fields)  # type: ignore[arg-type]  # fields of a Number


def placed(call: CampaignCall, *numbers: Number) -> OutboundRequest:
    trunks = {"carrier": Trunk(id="t1", name="carrier"), "idle": Trunk(id="t2", name="idle", is_active=False)}
    desk = Desk()
    directory = Directory({"caller": ASSISTANT}, numbers, trunks=trunks)
    asyncio.run(DeskDialler(desk, directory).place(call))
    return desk.requests[0]


def test_the_call_bears_the_id_and_the_lead_that_were_written_down() -> None:
    request = placed(CALL)
    assert (request.call_id, request.campaign_id, request.lead_id) == ("the-call", "the-campaign", "the-lead")
    assert request.number is None


def test_the_campaigns_own_number_is_used_and_must_be_there() -> None:
    chosen = number("+31850000001")
    assert placed(replace(CALL, number_id="id-+31850000001"), chosen).number == chosen
    with pytest.raises(Refused, match="there is no number"):
        placed(replace(CALL, number_id="gone"), chosen)


def test_else_an_active_number_with_a_trunk_the_assistants_own_first() -> None:
    without, idle = number("1"), number("2", transfer_trunk="idle")
    resting = number("3", transfer_trunk="carrier", is_active=False)
    any_one, own = number("4", transfer_trunk="carrier"), number("5", transfer_trunk="carrier", assistant="caller")
    assert placed(CALL, without, idle, resting).number is None
    assert placed(CALL, without, idle, resting, any_one).number == any_one
    assert placed(CALL, without, any_one, own).number == own


def test_a_call_of_an_earlier_daemon_is_over() -> None:
    async def run() -> None:
        async with asyncio.timeout(1):
            await DeskDialler(Desk(), Directory({})).over("the-call")

    asyncio.run(run())
