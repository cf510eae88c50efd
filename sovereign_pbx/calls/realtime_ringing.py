"""While it rings, for a model that hears and speaks itself: open the session, have the greeting made.

A caller is never answered by a model that is deaf or mute: without a session, or without the first sound of its
greeting in time, the decision is the dialplan's fallback.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import language_of
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.calls.ringing import Prepared, all_or_nothing, prepare, prepare_words
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.toolbox import Borrowed, borrow, specs
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.realtime.signals import Recite
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.realtime import RealtimeModel, RealtimeSession, Setup

log = structlog.get_logger(__name__)

GREETING_S: Final = 3.0


@dataclass(slots=True, kw_only=True)
class LivePrepared:
    """A realtime model's session, open; and where one is configured the voice for exact words."""

    maker: RealtimeModel
    session: RealtimeSession
    setup: Setup
    rate: int
    words: Prepared | None = None
    borrowed: Sequence[Borrowed] = ()

    @property
    def model(self) -> RealtimeModel:
        """Somebody who could sum the call up: the vendor's models for text, with the same account."""
        return self.maker

    async def close(self) -> None:
        """Close what was opened for this call; shared providers stay. Never raises."""
        words = [self.words.close()] if self.words is not None else []
        for result in await asyncio.gather(self.session.close(), *words, return_exceptions=True):
            if isinstance(result, Exception):
                log.warning("provider.close_failed", error=str(result))

    async def reopen(self, history: tuple[Message, ...]) -> RealtimeSession:
        """Another session, which knows `history` as well. Raises ProviderError."""
        return await self.maker.open(replace(self.setup, history=(*self.setup.history, *history)), rate=self.rate)


async def prepare_talk(assistant: Assistant, plan: Plan, services: Services, *, rate: int) -> Prepared | LivePrepared:
    """Everything that the assistant talks with. Raises ProviderError, ConfigError or Refused; nothing is left open."""
    if is_realtime(assistant.llm_config):
        return await prepare_realtime(assistant, plan, services, rate=rate)
    return await prepare(assistant, plan, services, rate=rate)


async def prepare_realtime(assistant: Assistant, plan: Plan, services: Services, *, rate: int) -> LivePrepared:
    """Open the session and have it greet. Raises ProviderError, ConfigError or Refused."""
    maker = services.providers.realtime(assistant.llm_config)
    words, borrowed = await all_or_nothing(
        _words(assistant, plan, services, rate=rate), borrow(assistant.tools, services.directory, services.mcp)
    )
    try:
        setup = _setup(assistant, plan, borrowed)
        with services.tracer.step("realtime.open", provider=maker.name):
            session = await maker.open(setup, rate=rate)
        try:
            await _greet(session, plan, exact=words is not None)
        except BaseException:
            await session.close()
            raise
    except BaseException:
        if words is not None:
            await words.close()
        raise
    return LivePrepared(maker=maker, session=session, setup=setup, rate=rate, words=words, borrowed=borrowed)


async def _words(assistant: Assistant, plan: Plan, services: Services, *, rate: int) -> Prepared | None:
    """The voice that the assistant names for exact words. What it may have to say first is rendered."""
    if not assistant.tts_config.get("provider"):
        return None
    first = plan.consent.message if plan.consent is not None else ""
    return await prepare_words(assistant, first, services, rate=rate)


def _setup(assistant: Assistant, plan: Plan, borrowed: Sequence[Borrowed]) -> Setup:
    """The system messages are the instructions; a conversation to start from goes in as what was said before."""
    system = [message.content for message in plan.messages if message.role == "system" and message.content]
    here = {each.name for each in plan.collectors} | set(plan.tone_tools)
    usable = [tool for tool in specs(assistant.tools, borrowed) if tool.name not in here]
    return Setup(
        instructions="\n\n".join(system),
        language=language_of(assistant) if assistant.stt_config.get("language") else "",
        keyterms=tuple(str(term) for term in assistant.stt_config.get("keyterms") or ()),
        tools=usable,
        history=tuple(message for message in plan.messages if message.role != "system"),
    )


async def _greet(session: RealtimeSession, plan: Plan, *, exact: bool) -> None:
    """Have the first words made while it rings; nobody waits for them in silence then."""
    if plan.consent is not None and exact:
        return
    words = plan.consent.message if plan.consent is not None else plan.first_message
    if not words.strip():
        return
    session.tell(Recite(words.strip()))
    try:
        async with asyncio.timeout(GREETING_S):
            await session.sounded()
    except TimeoutError as exc:
        raise ProviderError(
            session.name.partition("/")[0], "realtime", "stalled", f"no greeting within {GREETING_S:g} s"
        ) from exc
