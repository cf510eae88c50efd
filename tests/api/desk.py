"""A desk without calls: as strict as the real one about what it is asked, and telling what that was."""

from dataclasses import dataclass, field

from sovereign_pbx.calls.outbound import OutboundRequest
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Instructed


@dataclass
class ScriptedDesk:
    """Places and steers calls that do not exist. `live` are those in progress, `over` those that were."""

    config: Config
    live: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    placed: list[OutboundRequest] = field(default_factory=list)
    orders: list[tuple[str, Instructed]] = field(default_factory=list)
    refusal: Refused | None = None  # of the next call
    fault: Exception | None = None

    async def place(self, request: OutboundRequest) -> str:
        if self.fault is not None:
            raise self.fault
        if refusal := self.config.dialling.rules.refusal(request.destination):
            raise Refused("destination_not_allowed", refusal)
        if not request.assistant.is_active:
            raise Refused("assistant_inactive", "the assistant is not active")
        if request.number is not None and not request.number.is_active:
            raise Refused("number_inactive", "the number is not active")
        if self.refusal is not None:
            raise self.refusal
        self.placed.append(request)
        return f"call-{len(self.placed)}"

    async def instruct(self, call_id: str, order: Instructed) -> None:
        if call_id in self.over:
            raise Refused("call_not_active", "the call has ended")
        if call_id not in self.live:
            raise Refused("not_found", f"no call with the id {call_id!r}")
        if order.kind == "transfer" and (refusal := self.config.dialling.rules.refusal(order.destination)):
            raise Refused("destination_not_allowed", refusal)
        self.orders.append((call_id, order))
