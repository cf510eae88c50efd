"""The talking part of a call with a model that hears and speaks itself; to the call the same as `Talk`."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import structlog

from sovereign_pbx.calls.backdrop import furnish
from sovereign_pbx.calls.departure import Departure
from sovereign_pbx.calls.on_line import OnLine
from sovereign_pbx.calls.realtime_ringing import LivePrepared
from sovereign_pbx.calls.realtime_shell import LiveShell
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.speaking import Speaking
from sovereign_pbx.calls.tools import Tools
from sovereign_pbx.calls.usage import Tokens, live_usage
from sovereign_pbx.core.errors import Refused, SovereignError
from sovereign_pbx.core.events import Answered, Instructed, TransferEnded
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.realtime.conversation import RealtimeConversation
from sovereign_pbx.core.realtime.memory import Phase
from sovereign_pbx.core.values import EndReason, TransferOutcome
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.speech.phrases import Phrase

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call

log = structlog.get_logger(__name__)

NO_SESSION: Final = "the realtime model is being connected anew and no other voice is configured; try again in a moment"


class LiveTalk(OnLine):
    """A conversation with a model that hears and speaks itself."""

    conversation: RealtimeConversation
    shell: LiveShell

    def __init__(self, call: "Call", plan: Plan, prepared: LivePrepared, services: Services, link: MediaLink) -> None:
        super().__init__(call, services, asks_consent=plan.consent is not None)
        self._prepared = prepared
        self._plan = plan
        self.conversation = RealtimeConversation(plan, voice=prepared.words is not None)
        departure = Departure(call)
        self.shell = LiveShell(
            conversation=self.conversation,
            session=prepared.session,
            reopen=prepared.reopen,
            record=call.books.record,
            tracer=services.tracer,
            spawn=call.spawn,
            leave=departure.leave,
            agreed=self._agreed,
            lost=departure.lost,
        )
        self.line = Line(link, self.shell, recorder=self.recording.begin(link.rate) if plan.consent is None else None)
        self._equip(link)

    def start(self) -> None:
        """Frames flow from the next tick on; the greeting is made already."""
        if self._prepared.words is not None:
            self._call.spawn(self._render(), "phrases")
        self._call.spawn(furnish(self.line, self._call.assistant), "background")
        self.shell.feed(Answered())
        self.shell.listen()
        self._services.clock.add(self.line)

    def instruct(self, order: Instructed) -> None:
        """An order from outside. Raises Refused: `call_not_active` when the last words are being said already, and
        `realtime_unavailable` for words that nobody could say at the moment."""
        ending = self.conversation.phase in (Phase.LEAVING, Phase.ENDED)
        if order.kind == "say" and not ending and not self.conversation.can_speak:
            raise Refused("realtime_unavailable", NO_SESSION)
        self._obey(order, ending=ending)

    @property
    def away(self) -> bool:
        return self.conversation.away

    def not_taken(self, outcome: TransferOutcome, why: str) -> None:
        """The session has been kept, so the model begins to speak before the caller's media is there."""
        self.shell.feed(TransferEnded(outcome, why))

    def relink(self, link: MediaLink) -> None:
        super().relink(link)
        self._call.spawn(furnish(self.line, self._call.assistant), "background")

    async def finish(self, reason: EndReason) -> tuple[dict[str, Any], str | None]:
        """Close the conversation's books and the recording; (statistics, path of the recording)."""
        recording = await self._end(reason)
        self._prepared.session = self.shell.session
        return {"line": self.line_statistics(), "usage": self._usage()}, recording

    @property
    def tokens(self) -> Tokens:
        """What its models have taken so far."""
        return self.shell.tokens

    def _usage(self) -> dict[str, Any]:
        words, speaking = self._prepared.words, self.shell.speaking
        characters = Counter(speaking.characters) if speaking is not None else Counter[str]()
        if words is not None and words.rendered:
            characters[words.maker.name] += words.rendered
        return live_usage(
            seconds=self._call.books.seconds or 0.0,
            heard_s=self.shell.heard_s,
            tokens=self.shell.tokens,
            characters=characters + self._call.transfers.characters,
        )

    def _equip(self, link: MediaLink) -> None:
        call, words, shell, services = self._call, self._prepared.words, self.shell, self._services
        shell.line = self.line
        if words is not None:
            shell.speaking = Speaking(
                voice=words.voice,
                playout=self.line.playout,
                rate=link.rate,
                phrase=self._phrase,
                feed=shell.feed,
                spawn=call.spawn,
                tracer=services.tracer,
            )
        shell.tools = Tools(
            tools=call.assistant.tools if call.assistant else (),
            borrowed=self._prepared.borrowed,
            target=call.books.tool_target,
            facts=lambda: call.books.facts,
            asker=services.asker,
            mcp=services.mcp,
            timeout_s=services.tool_timeout_s,
            feed=shell.feed,
            spawn=call.see_out,
            tracer=services.tracer,
            exchange=lambda: self.conversation.exchange,
            keyed=self.conversation.keyed,
            recording=self.recording.ask,
        )

    async def _render(self) -> None:
        """What may have to be said when the model can't is ready before that."""
        words, phrases = self._prepared.words, self._plan.phrases
        if words is None:
            return
        texts = [phrases.unwell, phrases.apology, phrases.filler, phrases.goodbye]
        texts += [message.text for message in self._plan.tool_messages]
        texts += [transfer.message for transfer in self._plan.transfers]
        try:
            await words.render(texts, self._services)
        except SovereignError as exc:
            log.warning("phrases.not_rendered", error=str(exc))

    def _phrase(self, text: str) -> Phrase | None:
        words = self._prepared.words
        if words is None:
            return None
        known = words.phrases.get(text)
        return known or self._services.phrases.get(words.maker, text, rate=words.rate, language=words.language)
