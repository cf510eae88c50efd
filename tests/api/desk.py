"""A desk whose calls are rows and nothing more: as strict as the real one about what it is asked."""

from dataclasses import dataclass, field

from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.calls.outbound import OutboundRequest
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore


@dataclass
class ScriptedDesk:
    """Places and steers calls that nobody talks in. `live` are those in progress, `over` those that were."""

    config: Config
    store: SqliteStore
    live: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    placed: list[OutboundRequest] = field(default_factory=list)
    orders: list[tuple[str, Instructed]] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    pauses: list[tuple[str, bool]] = field(default_factory=list)
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
        call_id = f"call-{len(self.placed)}"
        self.live.add(call_id)
        await self.store.create_call(self._row(call_id, request))
        return call_id

    def _row(self, call_id: str, request: OutboundRequest) -> CallRow:
        """On disk before anything is dialled."""
        return CallRow(
            id=call_id,
            direction="outbound",
            caller_phone=normal(request.destination),
            assistant_phone=request.number.number if request.number else None,
            number_id=request.number.id if request.number else None,
            assistant_id=request.assistant.id,
            assistant_name=request.assistant.name,
            business_name=request.assistant.business_name,
            assistant=request.assistant.to_public(),
        )

    async def pause_recording(self, call_id: str, paused: bool) -> None:
        if call_id in self.over:
            raise Refused("call_not_active", "the call has ended")
        if call_id not in self.live:
            raise Refused("not_found", f"no call with the id {call_id!r}")
        if call_id not in self.recorded:
            raise Refused("not_recorded", "the call is not being recorded")
        self.pauses.append((call_id, paused))

    async def instruct(self, call_id: str, order: Instructed) -> None:
        if call_id in self.over:
            raise Refused("call_not_active", "the call has ended")
        if call_id not in self.live:
            raise Refused("not_found", f"no call with the id {call_id!r}")
        if order.kind == "transfer" and (refusal := self.config.dialling.rules.refusal(order.destination)):
            raise Refused("destination_not_allowed", refusal)
        self.orders.append((call_id, order))
