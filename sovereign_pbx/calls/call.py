"""One call's life as a task group: ringing, talking, summing up. Whatever happens, it ends with its books closed.

ringing   the assistant is found (file, webhook) and made ready; `decision` tells the PBX what to do
talking   frames flow; the conversation decides, the shell performs
over      the caller is gone or goes on in the dialplan (`next_step`); summary and report are written
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

import structlog

from sovereign_pbx.assistants.account import webhook_of
from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.assistants.directory import Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import Direction, plan_for
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.assistants.resolve import Resolution, resolve
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.assistants.workflow_plan import conducted
from sovereign_pbx.calls.admission import Full, Seat, decision_of
from sovereign_pbx.calls.analysis import Subject
from sovereign_pbx.calls.books import Books
from sovereign_pbx.calls.left_behind import own_secret
from sovereign_pbx.calls.post_call import Conclusion
from sovereign_pbx.calls.realtime_ringing import LivePrepared, prepare_talk
from sovereign_pbx.calls.realtime_talk import LiveTalk
from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.calls.ringing import Prepared, prepare_words
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.summary import plain_summary, voicemail_summary
from sovereign_pbx.calls.talk import Talk
from sovereign_pbx.calls.transfer import transfer_to, trunk_of
from sovereign_pbx.calls.transfers import Transfers
from sovereign_pbx.calls.usable import usable
from sovereign_pbx.calls.workflow import Conducted, prepare_workflow
from sovereign_pbx.core.errors import ConfigError, ProviderError, Refused, WebhookError
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.values import BLIND, EndReason, TransferTerms
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.media.rated import at_rate, call_rate
from sovereign_pbx.pbx.link import Decision, NextStep, Offer
from sovereign_pbx.webhooks.envelope import assistant_request, utc_now

log = structlog.get_logger(__name__)

_CONNECT_S = 15.0  # answered, but the PBX never brought its media; longer than its single-use id lives
_KNOWN_S = 0.25  # to have the call on disk before the answer; mostly it is, when the greeting is ready
_WORD_S = 1.0  # the dialplan's next step, its `h` extension, or AMI's Hangup
_SETTLE_S = 30.0  # the disk may be slow, but a call must not stay for ever

FALLBACK = Decision("fallback")
NO_AUDIO = "answered, but the PBX brought no audio"


class Call:
    """One call. `run` is its life; the desk's calls reach it through `decision`, `connect`, `gone` and `next_step`."""

    def __init__(
        self,
        offer: Offer,
        services: Services,
        seat: Seat,
        *,
        direction: Direction = "inbound",
        turned_away: bool = False,
    ) -> None:
        self.offer = offer
        self.id = offer.call_id
        self.rate = call_rate(offer.rate)  # of all its sound; a link of another rate is resampled
        self.assistant: Assistant | None = None
        self.number: Number | None = None  # ours
        self.trunk: Trunk | None = None  # what it came in or went out on, where that was said
        record = CallRecord(offer.call_id, services.store, services.webhooks_due)
        self.books = Books(offer, services.account, record, services.reporting, direction)
        self.talk: Talk | LiveTalk | None = None
        self.refusal = ""  # what a webhook wants said instead of a conversation, or that there is no room
        self.refused_as: EndReason = "rejected"
        self.transfers = Transfers(self, services)
        self.after_refusal = NextStep("hangup")
        self.seat = seat
        self._services = services
        self._turned_away = turned_away
        self._plan = Plan()
        self._prepared: Prepared | LivePrepared | None = None
        self._run: Conducted | None = None  # of the workflow that conducts it
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        self._decision: asyncio.Future[Decision] = loop.create_future()
        self._link: asyncio.Future[MediaLink] = loop.create_future()
        self._over = asyncio.Event()
        self._end: tuple[EndReason, str] = ("user_hangup", "")
        self._next = NextStep("hangup")

    # --- what the desk asks

    async def decision(self) -> Decision:
        """What the PBX is to do; the call is not answered before."""
        return await asyncio.shield(self._decision)

    def connect(self, link: MediaLink) -> None:
        """The media is up, or up again after a transfer that nobody took: frames flow from the next tick on."""
        link = at_rate(link, self.rate)
        if self.transfers.returning and not self._over.is_set():
            self.transfers.back(link)
            return
        if self._link.done() or self._over.is_set() or self._prepared is None:
            link.close()
            return
        self._link.set_result(link)
        if isinstance(self._prepared, LivePrepared):
            self.talk = LiveTalk(self, self._plan, self._prepared, self._services, link)
        else:
            self.talk = Talk(self, self._plan, self._prepared, self._services, link, self._run)
        self.books.opened()
        self.talk.start()

    def gone(self, cause: int | None) -> None:
        """The caller's channel is gone. Idempotent."""
        try:
            if self.talk is not None:
                self.talk.hung_up(cause)
        finally:  # whatever the conversation makes of it, there is nobody left to talk to
            self.end("user_hangup")

    def end(self, reason: EndReason, error: str = "", step: NextStep | None = None) -> None:
        """The call is over; the first reason is the one that counts."""
        if self._over.is_set():
            return
        self._end = (reason, error)
        if step is not None:
            self._next = step
        self.transfers.over(reason, error)
        self.books.over()
        self._over.set()
        self.seat.give_back()
        if self.talk is not None:
            self.talk.close()

    def instruct(self, order: Instructed) -> None:
        """An order from outside. Raises Refused: `call_not_active`, or what is against a transfer (nothing is said)."""
        if self.talk is None or self.over:
            raise Refused("call_not_active", "the call is not in progress")
        if self.transfers.away and order.kind in ("say", "transfer"):
            raise Refused("call_not_active", "the caller is being put through, there is nobody to hear it")
        if order.kind == "transfer":
            self.transfers.check()
            self.transfer_to(order.destination, order.terms)
        self.talk.instruct(order)

    def pause_recording(self, paused: bool) -> None:
        """Keep what is said from now on out of the recording, or in it again. Raises Refused: `call_not_active`,
        `not_recorded`."""
        if self.talk is None or self.over:
            raise Refused("call_not_active", "the call is not in progress")
        self.talk.pause_recording(paused)

    def transfer_to(self, destination: str, terms: TransferTerms = BLIND) -> NextStep:
        """The step that puts the caller through. Raises Refused."""
        services = self._services
        trunk = trunk_of(self.number, services.directory) or self.trunk
        own = self.number.number if self.number is not None else ""
        inbound = self.books.facts.type == "inbound_phone_call"
        dialled = normal(own) or (self.offer.called if inbound else "")
        return transfer_to(destination, services.dialling, trunk, services.transfers, terms, dialled=dialled)

    def refusal_of(self, destination: str) -> str:
        """Why the caller can't be put through to a destination, for the model; "" when he can."""
        try:
            self.transfer_to(destination)
        except Refused as exc:
            return str(exc)
        return ""

    def bounded(self, plan: Plan) -> Plan:
        """The plan within what the configuration allows any call."""
        return replace(
            plan,
            max_duration=plan.max_duration or self._services.longest_call_s,
            refusal=self.refusal_of,
            max_transfers=self._services.transfers.max_per_call,
        )

    def next_is(self, step: NextStep) -> None:
        """What the dialplan is told next, as far as it is known now."""
        self._next = step

    def fell_silent(self) -> None:
        """The PBX ended the audio in order. Nearly always the caller has hung up, which it says within milliseconds;
        but when it asks what comes next instead, he is still there, and it was only his audio that was lost."""
        self.spawn(self._wait_for_word(), "fell-silent")

    async def _wait_for_word(self) -> None:
        try:
            async with asyncio.timeout(_WORD_S):
                await self._over.wait()
        except TimeoutError:
            self.end("user_hangup", "", NextStep("fallback"))

    def take_next_step(self) -> NextStep:
        """What happens to a caller who is still there when the conversation is over; asked again, the fallback."""
        step, self._next = self._next, NextStep("fallback")
        return step

    @property
    def over(self) -> bool:
        """Its caller is gone or handed over; it may still be summed up."""
        return self._over.is_set()

    @property
    def ending(self) -> tuple[EndReason, str]:
        """Why it is over, and what went wrong; not said before it is over."""
        return self._end

    @property
    def connected(self) -> bool:
        """The PBX has brought the caller's audio, however it went on."""
        return self._link.done()

    @property
    def talking(self) -> bool:
        return self._link.done() and not self._over.is_set() and not self.transfers.away

    # --- life

    async def run(self) -> None:
        """From the offer to the last line in the books. Raises nothing but cancellation."""
        structlog.contextvars.bind_contextvars(call_id=self.id)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                writing = group.create_task(self.books.record.run(), name=f"{self.id}-record")
                try:
                    await self._live()
                finally:
                    self._settle_decision(FALLBACK)
                    for task in list(self._tasks):
                        task.cancel()
                    await self._close_books()
                    writing.cancel()
        except BaseExceptionGroup as exc:
            log.error("call.failed", exc_info=exc)

    async def _live(self) -> None:
        try:
            await self._ring()
            if self._prepared is not None:
                await self._wait_for_the_end()
        except Exception as exc:
            log.exception("call.broke")
            self.end("error", f"internal error: {type(exc).__name__}", NextStep("fallback"))

    async def _ring(self) -> None:
        """Decide, unless the caller hangs up first."""
        ringing = self._own(self._decide(), "ring")
        over = self._own(self._wait_over(), "ring-over")
        await asyncio.wait({ringing, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        ringing.cancel()

    async def _wait_over(self) -> None:
        await self._over.wait()

    async def _wait_connected(self) -> None:
        await self._link

    async def _wait_for_the_end(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                connected = self._own(self._wait_connected(), "connect")
                over = self._own(self._wait_over(), "over")
                await asyncio.wait({connected, over}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.end("error", NO_AUDIO, NextStep("fallback"))
        await self._over.wait()

    async def _decide(self) -> None:
        services = self._services
        resolution = self._no_room() if self._turned_away else await self._resolved()
        self.assistant, self.number = resolution.assistant, resolution.number
        self.books.resolved(resolution, own_secret(resolution.assistant, services.directory))
        log.info("call.resolved", outcome=resolution.outcome, source=resolution.source, notes=resolution.notes)
        try:
            await self._prepare(resolution)
        except (ProviderError, ConfigError, Refused) as exc:
            log.error("call.not_ready", error=str(exc))
            self.end("error", str(exc), NextStep("fallback"))
            self._settle_decision(FALLBACK)

    async def _resolved(self) -> Resolution:
        services = self._services
        resolution = await resolve(
            services.directory,
            called=self.offer.called,
            ask=self._ask,
            account=services.account,
            budget_s=services.ask_timeout_s,
        )
        return usable(resolution, self.offer.called, services)

    def _no_room(self) -> Resolution:
        """Nobody is asked: the number's assistant lends its voice to say that there is no room."""
        limits = self.seat.admission.limits
        self.refused_as, self.after_refusal = "busy", NextStep(limits.after_message)
        number, assistant = self._services.directory.find(self.offer.called)
        return Resolution(
            outcome="rejected", assistant=assistant, number=number, source="saved", rejection=limits.message
        )

    async def _turn_away(self, full: Full, assistant: Assistant) -> None:
        """The assistant, or what it speaks or thinks with, has as many calls as it may."""
        admission = self.seat.admission
        admission.count_refused(full)
        answer = admission.answer(full, self.offer.called)
        log.warning("call.refused", why=full.why, limit=str(full), answer=answer, assistant=assistant.name)
        self._services.tracer.emit("refused", offer=self.offer, why=full.why)
        if answer == "message" and self.seat.take_message():
            refusal = self._no_room()
            await self._prepare_refusal(assistant, refusal.rejection)
            return
        self.end("busy", "", NextStep("fallback"))
        self._settle_decision(decision_of(answer))

    async def _prepare(self, resolution: Resolution) -> None:
        assistant = resolution.assistant
        if resolution.outcome == "rejected":
            await self._prepare_refusal(assistant, resolution.rejection)
        elif assistant is None or resolution.outcome == "none":
            self.end("rejected", "", NextStep("fallback"))
            self._settle_decision(FALLBACK)
            return
        elif (full := self.seat.take_assistant(assistant)) is not None:
            await self._turn_away(full, assistant)
        else:
            plan = plan_for(assistant)
            workflow = resolution.workflow
            plan = conducted(plan, workflow, assistant) if workflow is not None else plan
            self._plan = self.bounded(plan)
            if workflow is not None and is_realtime(assistant.llm_config):
                raise Refused("workflow_needs_text_model", "a workflow can't be conducted with a realtime model")
            if workflow is None:
                self._prepared = await prepare_talk(assistant, self._plan, self._services, rate=self.rate)
            else:
                self._prepared, self._run = await prepare_workflow(
                    workflow, assistant, self._plan, self._services, rate=self.rate
                )
        if self._prepared is not None:
            await self._known()
            self._settle_decision(Decision("answer", early=bool(self.refusal)))

    async def _prepare_refusal(self, assistant: Assistant | None, text: str) -> None:
        """Said by the assistant's voice, for a number without one by the usual voice; turned down unheard by none."""
        self.refusal = text
        speaker = assistant if assistant is not None and assistant.tts_config.get("provider") else None
        speaker = speaker or Assistant.parse({"name": "usual"}, where="the usual voice")
        try:
            self._prepared = await prepare_words(speaker, text, self._services, rate=self.rate)
        except (ProviderError, ConfigError) as exc:
            log.warning("call.refused_unheard", error=str(exc))
            self.end(self.refused_as, "", NextStep("hangup"))
            self._settle_decision(FALLBACK if self.refused_as == "busy" else Decision("reject", cause=21))

    async def _known(self) -> None:
        """Nobody is answered of whom a killed daemon would leave no trace. A disk that is slow must not keep a caller
        waiting, though: its write is queued, and goes on."""
        try:
            async with asyncio.timeout(_KNOWN_S):
                await self.books.record.settle()
        except TimeoutError:
            log.warning("call.not_on_disk_yet", seconds=_KNOWN_S)

    async def _ask(self, assistant: Assistant | None, number: Number | None) -> Any:
        services = self._services
        target = webhook_of(assistant, services.account)
        if target is None:
            raise WebhookError("", "refused", "no webhook is configured")
        facts = replace(
            self.books.facts,
            number_id=number.id if number else None,
            number_name=number.name if number else None,
            dialect=target.dialect,
        )
        with services.tracer.step("webhook.assistant_request"):
            return await services.asker.assistant_request(
                target.url, target.secret, assistant_request(facts, utc_now()), services.ask_timeout_s
            )

    # --- the end

    async def _close_books(self) -> None:
        """Close what was opened, write how it ended, sum it up, tell whoever asked."""
        reason, error = self._end
        talk, prepared = self.talk, self._prepared
        statistics: dict[str, Any] = {}
        recording: str | None = None
        if talk is not None:
            statistics, recording = await self._finished(talk, reason)
        if prepared is not None:
            await prepared.close()
        self.books.ended(reason, error, statistics, recording)
        self._services.tracer.emit("ended", reason=reason, seconds=self.books.seconds)
        log.info("call.ended", reason=reason, error=error or None, next_step=self._next.step)
        if talk is not None:
            self.books.reported(await self._concluded(talk, reason, statistics), list(talk.history))
        await self._settled()

    async def _settled(self) -> None:
        """Wait until the books are on disk."""
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self.books.record.settle()
        except TimeoutError:
            log.error("call.unwritten", seconds=_SETTLE_S)

    async def _finished(self, talk: Talk | LiveTalk, reason: EndReason) -> tuple[dict[str, Any], str | None]:
        try:
            statistics, recording = await talk.finish(reason)
            statistics["usage"] = self._services.post_call.so_far(statistics["usage"])
            return statistics, recording
        except Exception:  # the row and the report are owed whatever went wrong in the talk
            log.exception("call.not_finished")
            return {}, None

    async def _concluded(self, talk: Talk | LiveTalk, reason: EndReason, statistics: Mapping[str, Any]) -> Conclusion:
        """Summary and analysis, in that order (contract §10.2)."""
        subject = Subject(
            messages=talk.history,
            summary="",
            end_reason=reason,
            duration_s=round(self.books.seconds or 0),
            caller=self.books.facts.caller,
        )
        mailbox = reason == "voicemail"  # the contract's own two sentences (§15.1), which need no model
        able = self._prepared is not None and self._prepared.model is not None and not mailbox
        try:
            concluded = await self._services.post_call.conclude(
                self.assistant if able else None, subject, statistics.get("usage", {})
            )
            return replace(concluded, summary=voicemail_summary(talk.history)) if mailbox else concluded
        except Exception:  # the report is owed whatever went wrong in what it would have said
            log.exception("call.not_concluded")
            return Conclusion(summary=plain_summary(talk.history), usage=dict(statistics.get("usage", {})))

    def _settle_decision(self, decision: Decision) -> None:
        if not self._decision.done():
            self._decision.set_result(decision)

    def _own(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self.spawn(coroutine, name)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that ends with the call at the latest. What it raises ends the call, not the daemon."""
        task = self.see_out(coroutine, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def see_out(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task with a deadline of its own, which the call's end leaves alone: what a tool was asked to do is done
        or it is not, whoever hangs up meanwhile."""
        assert self._group is not None
        task = self._group.create_task(self._guarded(coroutine, name), name=f"{self.id}-{name}")
        task.add_done_callback(lambda _: coroutine.close())  # of a task that was cancelled before its first step
        return task

    async def _guarded(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await coroutine
        except Exception as exc:
            log.exception("call.task_failed", task=name)
            self.end("error", f"internal error in {name}: {type(exc).__name__}", NextStep("fallback"))
