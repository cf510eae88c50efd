"""The desk: takes the calls a PBX offers, keeps count, and answers for them by their id."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.call import FALLBACK, NO_AUDIO, Call
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.values import EndReason
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Decision, NextStep, Offer

log = structlog.get_logger(__name__)

_REMEMBERED = 1024  # ended calls whose next step may still be asked for; the dialplan asks within milliseconds


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls are taken at once; the others go to the dialplan's fallback. 0 for an assistant: no limit.

    `decide_s`: how long webhook, providers and greeting together may keep a caller ringing.
    """

    max_calls: int = 100
    max_calls_per_assistant: int = 0
    decide_s: float = 8.0


class CallDesk:
    """Every call of this daemon (`pbx.link.Desk`). `run` owns their tasks."""

    def __init__(self, services: Services, limits: Limits) -> None:
        self._services = services
        self._limits = limits
        self._calls: dict[str, Call] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: OrderedDict[str, NextStep] = OrderedDict()
        self._closing = False
        self.frames_dropped = 0  # of calls that are over

    # --- Desk

    async def offered(self, offer: Offer) -> Decision:
        """Take the call, or say who should. Cancelled when the caller hangs up while it rings."""
        present = sum(
            not call.over for call in self._calls.values()
        )  # one that is being summed up takes nobody's place
        if self._closing or present >= self._limits.max_calls:
            log.warning("call.refused", calls=present, limit=self._limits.max_calls, closing=self._closing)
            self._services.tracer.emit("refused", offer=offer)
            return FALLBACK
        call = self._take(offer)
        try:
            async with asyncio.timeout(self._limits.decide_s):
                return await call.decision()
        except TimeoutError:
            call.end("error", f"no decision within {self._limits.decide_s:g} s", NextStep("fallback"))
            return FALLBACK
        except asyncio.CancelledError:
            call.gone(None)
            raise

    def connected(self, call_id: str, link: MediaLink) -> None:
        call = self._calls.get(call_id)
        if call is None:
            link.close()
            return
        call.connect(link)

    async def next_step(self, call_id: str) -> NextStep:
        call = self._calls.get(call_id)
        if call is not None:
            if not call.connected:  # its dialplan went on without ever bringing the caller's voice
                call.end("error", NO_AUDIO, NextStep("fallback"))
            elif call.talking:  # the PBX lost the media although the conversation goes on: it can't be heard any more
                call.end("error", "the media link was lost", NextStep("fallback"))
            return call.take_next_step()
        # A step is taken once: who comes back from a transfer was not answered, and must not be dialled again.
        return self._ended.pop(call_id, NextStep("fallback"))

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

    # --- the daemon

    def __len__(self) -> int:
        return len(self._calls)

    async def drain(self, at_once: asyncio.Event) -> None:
        """Take no more calls; return when the present ones have ended, or when told to wait no longer."""
        self._closing = True
        told = asyncio.create_task(at_once.wait(), name="drain-told")
        try:
            while self._tasks and not told.done():
                await asyncio.wait([told, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()

    def _admits(self, assistant: Assistant) -> bool:
        limit = self._limits.max_calls_per_assistant
        present = (call.assistant for call in self._calls.values() if not call.over)
        busy = sum(other is not None and other.id == assistant.id for other in present)
        return not limit or busy <= limit  # the call that asks is among them

    async def close(self, reason: EndReason = "shutdown") -> None:
        """Give every caller back to the dialplan's fallback and wait for the books."""
        self._closing = True
        for call in list(self._calls.values()):
            call.end(reason, "", NextStep("fallback"))
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _take(self, offer: Offer) -> Call:
        call = Call(offer, self._services, self._admits)
        self._calls[call.id] = call
        task = asyncio.create_task(call.run(), name=f"call-{call.id}")
        self._tasks[call.id] = task
        task.add_done_callback(lambda _: self._forget(call))
        self._services.tracer.emit("offered", offer=offer)
        return call

    def _forget(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        self._tasks.pop(call.id, None)
        self._ended[call.id] = call.take_next_step()
        if call.talk is not None:
            self.frames_dropped += call.talk.line.link.statistics()["frames_dropped"]
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
