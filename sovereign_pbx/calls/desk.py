"""The desk: takes the calls a PBX offers, places those that are asked for, and answers for them by their id."""

import asyncio
from collections import OrderedDict

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.calls.admission import Admission, Full, Limits, Seat, decision_of
from sovereign_pbx.calls.call import FALLBACK, NO_AUDIO, Call
from sovereign_pbx.calls.outbound import REFUSE, Finished, OutboundCall, OutboundRequest
from sovereign_pbx.calls.placing import OutboundLimits, Placing
from sovereign_pbx.calls.remains import Remains
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.values import AnsweredBy, EndReason
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Decision, Dialled, NextStep, NotAnswered, Offer

log = structlog.get_logger(__name__)

# Ended calls whose next step, or whose end, may still be asked for; both are within milliseconds.
_REMEMBERED = 1024


class CallDesk:
    """Every call of this daemon (`pbx.link.Desk`). `run` owns their tasks."""

    def __init__(self, services: Services, admission: Admission, outbound: OutboundLimits | None = None) -> None:
        self.admission = admission
        self._placing = Placing(services, outbound or OutboundLimits())
        self._finished: OrderedDict[str, Finished] = OrderedDict()
        self._services = services
        self._calls: dict[str, Call] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: OrderedDict[str, NextStep] = OrderedDict()
        self._ending = False
        self._remains = Remains()
        self.frames_dropped = 0  # of calls that are over

    # --- Desk

    async def offered(self, offer: Offer) -> Decision:
        """Take the call, or say who should. Cancelled when the caller hangs up while it rings."""
        seat = self.admission.offered(offer.called, offer.channel)
        if isinstance(seat, Full):
            turned = self._turned_away(offer, seat)
            if not isinstance(turned, Call):
                return turned
            call = turned
        else:
            call = Call(offer, self._services, seat)
        self._adopt(call)
        decide_s = self.admission.limits.decide_s
        try:
            async with asyncio.timeout(decide_s):
                return await call.decision()
        except TimeoutError:
            call.end("error", f"no decision within {decide_s:g} s", NextStep("fallback"))
            return FALLBACK
        except asyncio.CancelledError:
            call.gone(None)
            raise

    async def picked_up(self, call_id: str, answered_by: AnsweredBy = "unknown") -> Decision:
        """Somebody has answered a call of ours. Cancelled when he hangs up meanwhile."""
        call = self._calls.get(call_id)
        if not isinstance(call, OutboundCall):
            return REFUSE
        decide_s = self.admission.limits.decide_s
        try:
            async with asyncio.timeout(decide_s):
                return await call.picked_up(answered_by)
        except TimeoutError:
            call.end("error", f"the assistant was not ready {decide_s:g} s after the answer")
            return REFUSE
        except asyncio.CancelledError:
            call.gone(None)
            raise

    def not_answered(self, call_id: str, how: NotAnswered) -> None:
        call = self._calls.get(call_id)
        if isinstance(call, OutboundCall):
            call.not_answered(how)

    def connected(self, call_id: str, link: MediaLink) -> None:
        call = self._calls.get(call_id)
        if call is None:
            link.close()
            return
        call.connect(link)

    async def next_step(self, call_id: str, dialled: Dialled | None = None) -> NextStep:
        call = self._calls.get(call_id)
        if call is not None and call.transfers.away:
            with bound_contextvars(call_id=call_id):
                return await call.transfers.next_step(dialled)
        if call is not None and not (call.over and dialled is not None):
            if not call.connected:  # its dialplan went on without ever bringing the caller's voice
                call.end("error", NO_AUDIO, NextStep("fallback"))
            elif call.talking:  # the PBX lost the media although the conversation goes on: it can't be heard any more
                call.end("error", "the media link was lost", NextStep("fallback"))
            return call.take_next_step()
        # A step is taken once: who comes back from a transfer was not answered, and must not be dialled again.
        step = call.take_next_step() if call is not None else self._ended.pop(call_id, NextStep("fallback"))
        if dialled is None or not self._transferred(call_id, call):
            return step
        # He was put through and the call ended, maybe hours ago; or the line to his colleague was lost at once.
        return self._services.transfers.afterwards if dialled.outcome == "answered" else NextStep("fallback")

    def _transferred(self, call_id: str, call: Call | None) -> bool:
        """Whether a call that is over ended like that; of one that is forgotten it is the most likely end."""
        found = self._finished.get(call_id)
        reason = call.ending[0] if call is not None else found.end_reason if found is not None else "transferred"
        return reason == "transferred"

    def put_through(self, call_id: str) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            with bound_contextvars(call_id=call_id):
                call.transfers.put_through()

    async def briefing(self, call_id: str) -> bool:
        call = self._calls.get(call_id)
        if call is None:
            return False
        with bound_contextvars(call_id=call_id):
            return await call.transfers.briefing()

    def briefing_connected(self, call_id: str, link: MediaLink) -> None:
        call = self._calls.get(call_id)
        if call is None:
            link.close()
            return
        call.transfers.briefing_connected(link)

    async def briefed(self, call_id: str) -> bool:
        call = self._calls.get(call_id)
        if call is None:
            return False
        with bound_contextvars(call_id=call_id):
            return await call.transfers.briefed()

    def digit(self, call_id: str, digit: str) -> None:
        call = self._calls.get(call_id)
        if call is not None and call.talk is not None:
            call.talk.shell.digit(digit)

    def held(self, call_id: str, held: bool) -> None:
        call = self._calls.get(call_id)
        if call is not None and call.talk is not None:
            call.talk.hold(held)

    def gone(self, call_id: str, cause: int | None) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            call.gone(cause)

    # --- whoever has somebody called, or steers a call

    async def place(self, request: OutboundRequest) -> str:
        """Call somebody; the call's id, as soon as the PBX has taken the order.

        Raises Refused, and nobody is called: `destination_not_allowed`, `do_not_call`, `store_slow`,
        `dialling_limit_reached`, `too_many_calls`,
        `assistant_inactive`, `number_inactive`, `trunk_inactive`, `trunk_unknown`, `pbx_unavailable`, `shutting_down`,
        `already_placed`.
        """
        if self._services.do_not_call is not None:
            await self._services.do_not_call.check(request.destination)
        if self.admission.draining:
            raise Refused("shutting_down", "the daemon takes no more calls")
        outbound = [call for call in self._calls.values() if isinstance(call, OutboundCall) and not call.over]
        order, trunk = self._placing.order(request, len(outbound))
        if order.call_id in self._calls or order.call_id in self._finished:
            raise Refused("already_placed", f"the call {order.call_id} has been placed already")
        seat = self.admission.placed(request.number, trunk, request.assistant)
        if isinstance(seat, Full):
            raise Refused("too_many_calls", f"there is no room for another call: {seat}")
        self._placing.count()
        call = OutboundCall(request, order, trunk, self._services, seat)
        self._adopt(call)
        await call.placed()
        return call.id

    async def finished(self, call_id: str) -> Finished:
        """How a call went, once it is in the books. Raises Refused `not_found` for one that this daemon has not had, or
        that ended long ago."""
        task = self._tasks.get(call_id)
        if task is not None:
            await asyncio.wait({task})
        found = self._finished.get(call_id)
        if found is None:
            raise Refused("not_found", f"no call with the id {call_id!r}")
        return found

    async def instruct(self, call_id: str, order: Instructed) -> None:
        """Give a live call an order (contract §7).

        Raises Refused: `not_found`; `call_not_active`: it rings, is ending or has ended; `destination_not_allowed`,
        `trunk_inactive`, `trunk_unknown`: of a transfer, before anything is said.
        """
        call = await self._live(call_id)
        with bound_contextvars(call_id=call_id):
            call.instruct(order)

    async def pause_recording(self, call_id: str, paused: bool) -> None:
        """Pause the recording of a live call, or go on with it. Raises Refused: `not_found`, `call_not_active`,
        `not_recorded`."""
        call = await self._live(call_id)
        with bound_contextvars(call_id=call_id):
            call.pause_recording(paused)

    async def _live(self, call_id: str) -> Call:
        """Raises Refused: `not_found`; `call_not_active` where it has ended."""
        call = self._calls.get(call_id)
        if call is not None:
            return call
        if await self._services.store.call(call_id) is not None:
            raise Refused("call_not_active", "the call has ended")
        raise Refused("not_found", f"no call with the id {call_id!r}")

    # --- the daemon

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """One for each call there is, done when its books are closed."""
        return frozenset(self._tasks.values())

    def reconfigure(self, services: Services, limits: Limits, outbound: OutboundLimits) -> None:
        """Give these to calls that come or are placed from now on. Present ones keep what they began with, and stay
        even where there are more than may be."""
        self._services = services
        self.admission.limits = limits
        self._placing.reconfigure(services, outbound)

    @property
    def present(self) -> frozenset[str]:
        """Every call here, those too that are being summed up."""
        return frozenset(self._calls)

    @property
    def under_way(self) -> frozenset[str]:
        """The calls whose caller is here, as far as is known."""
        return frozenset(call.id for call in self._calls.values() if not call.over)

    def lost(self, call_id: str, why: str) -> None:
        """End a call that the PBX has not got any more, and did not say so."""
        call = self._calls.get(call_id)
        if call is not None:
            call.end("error", why)

    async def drain(self, at_once: asyncio.Event) -> None:
        """Take no more calls; return when the present ones have ended, or when told to wait no longer."""
        self._ending = self.admission.draining = True
        told = asyncio.create_task(at_once.wait(), name="drain-told")
        try:
            while self._tasks and not told.done():
                await asyncio.wait([told, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()

    @property
    def active(self) -> int:
        """Calls under way: one that is being summed up takes nobody's place."""
        return sum(not call.over for call in self._calls.values())

    @property
    def oldest_s(self) -> float:
        """How long the oldest call under way has lasted, since it was offered or placed."""
        now = asyncio.get_running_loop().time()
        return max((now - call.began for call in self._calls.values() if not call.over), default=0.0)

    @property
    def ending(self) -> bool:
        """Whether the daemon is about to end: calls are not taken again."""
        return self._ending

    def hold_off(self, held: bool) -> None:
        """Take no more calls, though the present ones go on as long as they like; or take them again. Raises Refused
        `shutting_down` when the daemon is ending."""
        if self._ending:
            raise Refused("shutting_down", "the daemon is ending")
        self.admission.draining = held

    def end_all(self, reason: EndReason = "shutdown") -> None:
        """Give every caller back to the dialplan's fallback."""
        for call in list(self._calls.values()):
            call.end(reason, "", NextStep("fallback"))

    async def close(self, reason: EndReason = "shutdown") -> None:
        """Give every caller back to the dialplan's fallback and wait for the books."""
        self._ending = self.admission.draining = True
        self.end_all(reason)
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _turned_away(self, offer: Offer, full: Full) -> Call | Decision:
        """What becomes of a caller for whom there is no room: a call that only says so, or what the PBX is told."""
        admission = self.admission
        admission.count_refused(full)
        answer = admission.answer(full, offer.called)
        log.warning("call.refused", why=full.why, limit=str(full), answer=answer, calls=admission.active)
        self._services.tracer.emit("refused", offer=offer, why=full.why)
        message: Seat | None = admission.for_message() if answer == "message" else None
        if message is None:
            return decision_of(answer)
        return Call(offer, self._services, message, turned_away=True)

    def _adopt(self, call: Call) -> None:
        self._calls[call.id] = call
        task = asyncio.create_task(call.run(), name=f"call-{call.id}")
        self._tasks[call.id] = task
        task.add_done_callback(lambda _: self._forget(call))
        self._services.tracer.emit("offered", offer=call.offer)

    def _forget(self, call: Call) -> None:
        call.seat.give_back()  # mostly done long ago, when it was over
        self._calls.pop(call.id, None)
        self._tasks.pop(call.id, None)
        self._ended[call.id] = call.take_next_step()
        reason, error = call.ending
        self._finished[call.id] = Finished(call_id=call.id, end_reason=reason, error=error, seconds=call.books.seconds)
        if call.talk is not None:
            self.frames_dropped += call.talk.line.link.statistics()["frames_dropped"]
        for remembered in (self._ended, self._finished):
            while len(remembered) > _REMEMBERED:
                remembered.popitem(last=False)
        self._remains.one_more()
