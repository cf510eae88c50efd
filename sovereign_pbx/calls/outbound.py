"""A call that we place: dialled while its assistant gets ready, answered by a person, and then a call like every other.

Nobody answers, the line is busy, the PBX can't: all of these are ends, with a row, a status-update and a report.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from sovereign_pbx.assistants.directory import ANY_NUMBER, Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import plan_for
from sovereign_pbx.assistants.resolve import Resolution
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.calls.admission import Seat
from sovereign_pbx.calls.call import Call
from sovereign_pbx.calls.left_behind import own_secret
from sovereign_pbx.calls.realtime_ringing import prepare_talk
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.errors import BadInput, ConfigError, ProviderError, Refused
from sovereign_pbx.core.values import AnsweredBy, EndReason
from sovereign_pbx.pbx.link import Decision, DialOrder, NotAnswered, Offer

log = structlog.get_logger(__name__)

REFUSE = Decision("reject")

_LOST = "The PBX has lost track of the call."
_SUMMARIES: Mapping[EndReason, str] = {
    "user_hangup": "The person called hung up before the conversation began.",
    "shutdown": "The call was given up before anybody answered: the daemon was ending.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """Whom to call, who speaks, and as which number.

    `trunk`: what it goes out on; None: what `number` names, else the administrator's dialplan. `ring_s`: how long it
    may ring; None: as configured. `variables` go into the dialplan, each with SOVEREIGN_VAR_ before its name.
    `call_id`: the id that the call is to have, never used before; "": a new one.
    """

    destination: str
    assistant: Assistant
    number: Number | None
    trunk: Trunk | None
    call_id: str = ""
    campaign_id: str = ""
    lead_id: str = ""
    ring_s: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a call went, once it is over and in the books. `seconds`: how long it lasted; None if nobody answered."""

    call_id: str
    end_reason: EndReason
    error: str
    seconds: float | None

    @property
    def answered(self) -> bool:
        return self.seconds is not None


class OutboundCall(Call):
    """One call that we place. `placed` says whether it is dialled; the rest is a call's."""

    def __init__(
        self,
        request: OutboundRequest,
        order: DialOrder,
        trunk: Trunk | None,
        services: Services,
        seat: Seat,
    ) -> None:
        offer = Offer(
            call_id=order.call_id,
            caller=order.destination,
            caller_name="",
            called=_ours(request, order),
            channel="",
            pbx_id="",
        )
        super().__init__(offer, services, seat, direction="outbound")
        self.assistant, self.number, self.trunk = request.assistant, request.number, trunk
        self._request = request
        self._order = order
        self._why = ""
        self._refused = self._lost = False
        self._ordered = False  # it may be ringing at somebody's
        self._answered = False
        self._ready_for_him = asyncio.Event()
        self._placed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- what the desk asks

    async def placed(self) -> None:
        """Returns when the PBX has taken the order, or may have: the call's end tells what became of it. Raises Refused
        when nobody was called."""
        await asyncio.shield(self._placed)

    async def picked_up(self, answered_by: AnsweredBy = "unknown") -> Decision:
        """The person called has answered: what the PBX is to do, once the assistant is ready."""
        self._answered = True
        decision = REFUSE if self.over else await self.decision()
        if self._plan.voicemail is not None:
            self._plan = replace(self._plan, voicemail=replace(self._plan.voicemail, answered_by=answered_by))
        self._ready_for_him.set()
        return REFUSE if self.over else decision

    def not_answered(self, how: NotAnswered) -> None:
        """Nobody has answered, and nobody will; or who did has hung up already."""
        self._why = how.why
        self.books.record.event("not_answered", {"reason": how.reason, "why": how.why, "cause": how.cause})
        self.end(how.reason, how.why if how.reason == "error" else "")

    def gone(self, cause: int | None) -> None:
        if self._answered:
            super().gone(cause)
        elif self._placed.done():
            self.end("error", _LOST)
        else:
            self._lost = True  # mostly an order that is being refused, which says why

    # --- life

    async def _live(self) -> None:
        try:
            await self._dial()
            if await self._is_answered():
                await self._wait_for_the_end()
            await self._over.wait()
        except Exception as exc:
            log.exception("call.broke")
            self.end("error", f"internal error: {type(exc).__name__}")

    async def _dial(self) -> None:
        """Have it placed, with a trace of it on disk before; everything else gets ready meanwhile."""
        request = self._request
        resolution = Resolution(outcome="assistant", assistant=request.assistant, number=request.number, source="saved")
        self.books.resolved(resolution, own_secret(resolution.assistant, self._services.directory))
        if request.campaign_id:
            self.books.record.event("campaign", {"campaign_id": request.campaign_id, "lead_id": request.lead_id})
        self.spawn(self._get_ready(request.assistant), "ready")
        await self._known()
        try:
            if request.campaign_id:
                await self._surely_known()
            self._ordered = True
            await self._services.pbx.originate(self._order)
        except (Refused, BadInput) as exc:
            self._ordered = False
            refusal = exc if isinstance(exc, Refused) else Refused("destination_not_allowed", str(exc))
            self._refused = True
            self.end("error", str(exc))
            self._settle_placed(refusal)
        else:
            log.info("call.placed", trunk=self._order.trunk or None, ring_s=self._order.ring_s)
            self._settle_placed(None)
            if self._lost:
                self.end("error", _LOST)

    async def _surely_known(self) -> None:
        """A campaign takes a lead whose call has no row for one that was never dialled. Raises Refused."""
        if await self._services.store.call(self.id) is None:
            raise Refused("store_slow", "the database has not kept the call in time")

    async def _get_ready(self, assistant: Assistant) -> None:
        try:
            plan = plan_for(assistant, direction="outbound")
            self._plan = self.bounded(plan)
            self._prepared = await prepare_talk(assistant, self._plan, self._services, rate=self.rate)
        except (ProviderError, ConfigError, Refused) as exc:
            log.error("call.not_ready", error=str(exc))
            self.end("error", str(exc))
        self._settle_decision(Decision("answer") if self._prepared is not None else REFUSE)

    async def _is_answered(self) -> bool:
        """Wait until somebody has answered, or nobody will."""
        answered = self._own(self._wait_ready_for_him(), "ring")
        over = self._own(self._wait_over(), "ring-over")
        await asyncio.wait({answered, over}, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        over.cancel()
        return not self.over

    async def _wait_ready_for_him(self) -> None:
        await self._ready_for_him.wait()

    # --- the end

    async def _close_books(self) -> None:
        refusal = Refused("pbx_unavailable", "the call could not be placed; the daemon's log says why")
        self._settle_placed(None if self._ordered else refusal)  # who is refused may have the person called again
        if self.talk is not None:
            await super()._close_books()
            return
        await self._services.pbx.hang_up(self.id)  # nobody there to ring for
        if self._prepared is not None:
            await self._prepared.close()
        reason, error = self._end
        summary = self._why or error or _SUMMARIES.get(reason, "Nobody answered.")
        self.books.unanswered(reason, error, summary, tell=not self._refused)
        self._services.tracer.emit("ended", reason=reason, seconds=None)
        log.info("call.ended", reason=reason, error=error or None)
        await self._settled()

    def _settle_placed(self, refusal: Refused | None) -> None:
        if self._placed.done():
            return
        if refusal is None:
            self._placed.set_result(None)
        else:
            self._placed.set_exception(refusal)
            self._placed.exception()  # whoever asked may have gone


def _ours(request: OutboundRequest, order: DialOrder) -> str:
    number = request.number
    return number.number if number is not None and number.number != ANY_NUMBER else order.caller_id
