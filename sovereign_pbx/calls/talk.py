"""The talking part of a call: line, shell and conversation put together, and taken apart again."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.backdrop import furnish
from sovereign_pbx.calls.departure import Departure
from sovereign_pbx.calls.hearing import Hearing
from sovereign_pbx.calls.on_line import OnLine
from sovereign_pbx.calls.ringing import Prepared, open_stt, render_rest
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.shell import Shell
from sovereign_pbx.calls.speaking import Speaking
from sovereign_pbx.calls.thinking import Thinking
from sovereign_pbx.calls.tones import play_digits
from sovereign_pbx.calls.tools import Tools
from sovereign_pbx.calls.usage import Tokens, talk_usage
from sovereign_pbx.calls.workflow import OPEN_S, Conducted, Scenery
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.errors import ConfigError, ProviderError, SovereignError
from sovereign_pbx.core.events import Answered, HearingFailed, Instructed, TransferEnded
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import EndReason, TransferOutcome
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.stt import SttStream

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call

log = structlog.get_logger(__name__)

_EARS_S: Final = 1.5  # what the dialplan waits for a recogniser to open; it is given four seconds for all


class Talk(OnLine):
    """A conversation whose ears, model and voice are separate."""

    conversation: Conversation
    shell: Shell

    def __init__(
        self,
        call: "Call",
        plan: Plan,
        prepared: Prepared,
        services: Services,
        link: MediaLink,
        run: Conducted | None = None,
    ) -> None:
        super().__init__(call, services, asks_consent=plan.consent is not None)
        plan = _affordable(plan, services.speculation_per_call)
        self._prepared = prepared
        self._plan = plan
        self._run = run  # of a workflow
        self._ears: asyncio.Task[None] | None = None
        self.conversation = Conversation(plan)
        departure = Departure(call)
        self.shell = Shell(
            conversation=self.conversation,
            record=call.books.record,
            tracer=services.tracer,
            spawn=call.spawn,
            turn_model=services.turn_model,
            send_digits=self._send_digits,
            leave=departure.leave,
            lost=departure.lost,
            enter=self._enter,
            agreed=self._agreed,
            conceal=self._conceal,
        )
        self.line = Line(link, self.shell, recorder=self.recording.begin(link.rate) if plan.consent is None else None)
        self._equip(link)

    def start(self) -> None:
        """Frames flow from the next tick on; the greeting is queued before it."""
        if self.shell.hearing is not None:
            self._ears = self._call.spawn(self.shell.hearing.listen(), "hear")
        self._call.spawn(render_rest(self._prepared, self._plan, self._services), "phrases")
        self._call.spawn(furnish(self.line, self._assistant), "background")
        self.shell.feed(Answered())
        if self._call.refusal:
            self.shell.feed(Instructed("end", self._call.refusal))
        self._services.clock.add(self.line)

    def instruct(self, order: Instructed) -> None:
        """An order from outside. Raises Refused `call_not_active` when the last words are being said already."""
        self._obey(order, ending=self.conversation.state in (State.LEAVING, State.ENDED))

    @property
    def away(self) -> bool:
        return self.conversation.away

    def not_taken(self, outcome: TransferOutcome, why: str) -> None:
        self.shell.feed(TransferEnded(outcome, why))

    def step_aside(self) -> None:
        """Vendors close recognisers that hear nothing for ten seconds or so; this one is not kept for so long."""
        super().step_aside()
        hearing = self.shell.hearing
        if hearing is not None and self._ears is not None and self._prepared.stt is not None:
            hearing.rest()
            self._ears.cancel()
            self._call.see_out(_closed(self._prepared.stt), "stt-close")

    async def listen_again(self) -> None:
        """In good time means that the dialplan need not wait: a recogniser that is slow comes a little later."""
        hearing = self.shell.hearing
        if hearing is not None and self._ears is not None and self._ears.cancelling():
            self._ears = self._call.spawn(self._wake(hearing), "hear")
            with suppress(TimeoutError):
                async with asyncio.timeout(_EARS_S):
                    await hearing.awake.wait()

    async def _wake(self, hearing: Hearing) -> None:
        """One failure is forgiven, as at any other time; after two the conversation hands the caller over."""
        for _ in range(2):
            try:
                async with asyncio.timeout(OPEN_S):
                    await hearing.wake()
            except (ProviderError, ConfigError, TimeoutError) as exc:
                log.warning("stt.not_reopened", error=str(exc) or f"not open within {OPEN_S:g} s")
                error = exc if isinstance(exc, ProviderError) else ProviderError("stt", "stt", "stalled", str(exc))
                self.shell.feed(HearingFailed(error))
            else:
                await hearing.listen()
                return

    def relink(self, link: MediaLink) -> None:
        super().relink(link)
        self._call.spawn(furnish(self.line, self._assistant), "background")

    async def finish(self, reason: EndReason) -> tuple[dict[str, Any], str | None]:
        """Close the conversation's books and the recording; (statistics, path of the recording)."""
        recording = await self._end(reason)
        return {"line": self.line_statistics(), "usage": self._usage()}, recording

    @property
    def tokens(self) -> Tokens | None:
        """What its model has taken so far."""
        return self.shell.thinking.tokens if self.shell.thinking is not None else None

    def _usage(self) -> dict[str, Any]:
        shell = self.shell
        characters = Counter(shell.speaking.characters) if shell.speaking is not None else Counter[str]()
        if self._prepared.rendered:
            characters[self._prepared.maker.name] += self._prepared.rendered
        heard_s = shell.hearing.heard_s if shell.hearing is not None else {}
        return talk_usage(
            seconds=self._call.books.seconds or 0.0,
            heard_s=self._call.transfers.heard_s(heard_s),
            tokens=self.tokens,
            characters=characters + self._call.transfers.characters,
            speculation=self._speculation(),
        )

    def _speculation(self) -> dict[str, Any]:
        shell = self.shell
        if shell.thinking is None or shell.speaking is None:
            return {}
        return shell.thinking.speculated.usage(shell.speaking.in_vain)

    def _equip(self, link: MediaLink) -> None:
        call, prepared, shell = self._call, self._prepared, self.shell
        tracer = self._services.tracer
        shell.line = self.line
        shell.speaking = Speaking(
            voice=prepared.voice,
            playout=self.line.playout,
            rate=link.rate,
            phrase=self._phrase,
            feed=shell.feed,
            spawn=call.spawn,
            tracer=tracer,
        )
        if prepared.stt is not None:
            shell.hearing = Hearing(stream=prepared.stt, reopen=self._reopen_stt, feed=shell.feed)
        if prepared.model is not None:
            shell.thinking = Thinking(
                model=prepared.model, tools=prepared.tools, feed=shell.feed, spawn=call.spawn, tracer=tracer
            )
        self._retool()
        self._scenery = None
        if self._run is not None:
            self._scenery = Scenery(
                self._run,
                prepared=prepared,
                shell=shell,
                services=self._services,
                spawn=call.spawn,
                observe=call.books.record.event,
                retool=self._retool,
            )

    @property
    def _assistant(self) -> Assistant | None:
        """As it is at the present node of a workflow, where there is one."""
        return self._run.assistant if self._run is not None else self._call.assistant

    def _retool(self) -> None:
        """The tools as they are from here on; those in use finish with the ones before."""
        call, shell = self._call, self.shell
        if shell.thinking is not None:
            shell.thinking.tools = self._prepared.tools
        shell.tools = Tools(
            tools=self._assistant.tools if self._assistant else (),
            borrowed=self._prepared.borrowed,
            target=call.books.tool_target,
            facts=lambda: call.books.facts,
            asker=self._services.asker,
            mcp=self._services.mcp,
            timeout_s=self._services.tool_timeout_s,
            feed=shell.feed,
            spawn=call.see_out,
            tracer=self._services.tracer,
            exchange=lambda: self.conversation.exchange,
            keyed=self.conversation.keyed,
            recording=self.recording.ask,
        )

    def _phrase(self, text: str) -> Phrase | None:
        """A sentence that need not be made: rendered for this call, or kept from an earlier one."""
        prepared = self._prepared
        known = prepared.phrases.get(text)
        return known or self._services.phrases.get(prepared.maker, text, rate=prepared.rate, language=prepared.language)

    def _enter(self, node: str) -> None:
        if self._scenery is not None:
            self._scenery.enter(node)

    async def _reopen_stt(self) -> SttStream:
        assistant = self._assistant
        assert assistant is not None and self._prepared.stt is not None
        await self._prepared.stt.close()
        self._prepared.stt = await open_stt(assistant, self._services, rate=self.line.link.rate)
        return self._prepared.stt

    def _send_digits(self, digits: str, call_id: str) -> None:
        self._call.spawn(self._play_digits(digits, call_id), "digits")

    async def _play_digits(self, digits: str, tool_id: str) -> None:
        self.shell.feed(await play_digits(self._services.pbx, self._call.id, digits, tool_id))


async def _closed(stream: SttStream) -> None:
    """Close it in good time. Raises nothing: it is done with."""
    try:
        async with asyncio.timeout(OPEN_S):
            await stream.close()
    except (SovereignError, TimeoutError, OSError) as exc:
        log.warning("provider.close_failed", error=str(exc) or type(exc).__name__)


def _affordable(plan: Plan, in_vain: int) -> Plan:
    """The plan with as much speculation as the machine's limits allow."""
    if plan.speculation is None:
        return plan
    return replace(plan, speculation=replace(plan.speculation, in_vain=in_vain) if in_vain else None)
