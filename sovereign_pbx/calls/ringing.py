"""While it rings: open the providers, warm the model, render the greeting; all before anybody is answered.

A caller is never answered by an assistant that is deaf or mute: when no recogniser or no voice can be had,
the decision is the dialplan's fallback.
"""

import asyncio
from collections.abc import Container, Coroutine, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.phrases import phrases_for
from sovereign_pbx.assistants.plan import language_of, plan_for, voice_language
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.toolbox import Borrowed, borrow, specs
from sovereign_pbx.core.errors import ProviderError, SovereignError
from sovereign_pbx.core.plan import Phrases, Plan
from sovereign_pbx.speech.llm import ChatModel, ToolSpec
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.stt import SttStream
from sovereign_pbx.speech.tts import Voice, VoiceSession

log = structlog.get_logger(__name__)

_GREETING_S = 3.0  # a voice that needs longer than this for a greeting would leave silences in the talk as well
_WARM_S = 3.0  # the listing of MCP tools included, which the model must know to be warm


@dataclass(slots=True, kw_only=True)
class Prepared:
    """The providers of one call, open. `stt` and `model` are None for a call that only says why it is refused."""

    maker: Voice
    voice: VoiceSession
    language: str
    rate: int
    everybodys: Container[str] = ()  # what is said to everybody, and so may be kept for the next call
    phrases: dict[str, Phrase] = field(default_factory=dict)
    rendered: int = 0  # characters synthesised for these phrases; those from the cache cost nothing
    stt: SttStream | None = None
    model: ChatModel | None = None
    tools: Sequence[ToolSpec] = ()
    borrowed: Sequence[Borrowed] = ()  # those of the tools that MCP servers have

    async def close(self) -> None:
        """Close the streams; shared providers stay. Never raises: the call is over."""
        closing = [self.voice.close()] + ([self.stt.close()] if self.stt is not None else [])
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, Exception):
                log.warning("provider.close_failed", error=str(result))

    async def render(self, texts: Sequence[str], services: Services) -> None:
        """Have `texts` ready as audio. Raises ProviderError."""
        for text in dict.fromkeys(text for text in texts if text.strip()):
            known = services.phrases.get(self.maker, text, rate=self.rate, language=self.language)
            self.rendered += 0 if known else len(text)
            self.phrases[text] = await services.phrases.render(
                self.maker, text, rate=self.rate, language=self.language, keep=text in self.everybodys
            )


async def prepare(assistant: Assistant, plan: Plan, services: Services, *, rate: int) -> Prepared:
    """Open everything at once. Raises ProviderError, ConfigError or Refused; nothing is left open then."""
    model = services.providers.llm(assistant.llm_config)
    mouth, ear, borrowed = await all_or_nothing(
        _open_voice(assistant, _first_words(plan), services, rate=rate, everybodys=_of_configuration(plan)),
        open_stt(assistant, services, rate=rate),
        _equip(model, assistant, plan, services),
    )
    prepared: Prepared = mouth
    prepared.stt, prepared.model = ear, model
    prepared.tools, prepared.borrowed = specs(assistant.tools, borrowed), borrowed
    return prepared


def _first_words(plan: Plan) -> str:
    return plan.consent.message if plan.consent is not None else plan.first_message


def _of_configuration(plan: Plan) -> frozenset[str]:
    """What a workflow says first is said to everybody."""
    graph = plan.workflow
    return frozenset((graph.nodes[graph.entry].first_line,)) if graph is not None else frozenset()


async def prepare_words(assistant: Assistant, text: str, services: Services, *, rate: int) -> Prepared:
    """Only a voice, for a sentence that is spoken before the call is ended."""
    return await _open_voice(assistant, text, services, rate=rate)


async def render_rest(prepared: Prepared, plan: Plan, services: Services) -> None:
    """Fillers and apologies, rendered behind the greeting: they must not depend on a voice that may be failing then."""
    phrases = plan.phrases
    texts = [phrases.filler, phrases.apology, phrases.unwell, phrases.goodbye, phrases.unheard]
    texts += [*phrases.more_fillers, *phrases.still_waiting] if phrases.filler else []
    texts += [message.text for message in plan.tool_messages] + [transfer.message for transfer in plan.transfers]
    texts += [plan.voicemail.message, plan.voicemail.introduction] if plan.voicemail is not None else []
    texts += [collector.prompt for collector in plan.collectors]
    texts = [plan.first_message, *texts] if plan.consent is not None else texts
    try:
        await prepared.render(texts, services)
    except SovereignError as exc:
        log.warning("phrases.not_rendered", error=str(exc))


def said_to_everybody(assistant: Assistant, services: Services) -> frozenset[str]:
    """The sentences of the configuration. A webhook's own may name the one caller they are for ("Hello Mrs Jansen"):
    they are not kept, neither in memory nor on disk."""
    found = set(_sentences(phrases_for(language_of(assistant))))
    saved = services.directory.assistant(assistant.id) if assistant.id else None
    if saved is not None:
        plan = plan_for(saved)
        found |= {plan.first_message, *_sentences(plan.phrases), *(message.text for message in plan.tool_messages)}
        found |= {transfer.message for transfer in plan.transfers}
        found |= {plan_for(saved, direction="outbound").first_message}
        found |= {saved.voicemail_message or "", plan.consent.message if plan.consent is not None else ""}
        found |= {collector.prompt for collector in plan.collectors}
    return frozenset(found)


def _sentences(phrases: Phrases) -> Iterator[str]:
    for each in astuple(phrases):
        yield from (each,) if isinstance(each, str) else each


async def all_or_nothing(*openings: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of all, or the first error with whatever was opened closed again (so too when cancelled)."""
    tasks = [asyncio.ensure_future(opening) for opening in openings]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if hasattr(result, "close"):
                await result.close()
        raise


async def open_stt(assistant: Assistant, services: Services, *, rate: int) -> SttStream:
    """The assistant's recogniser, listening. Raises ProviderError or ConfigError."""
    recogniser = services.providers.stt(assistant.stt_config)
    keyterms = tuple(str(term) for term in assistant.stt_config.get("keyterms") or ())
    language = str(assistant.stt_config.get("language") or language_of(assistant))
    with services.tracer.step("stt.open", provider=recogniser.name):
        return await recogniser.open(rate=rate, language=language, keyterms=keyterms)


async def _equip(model: ChatModel, assistant: Assistant, plan: Plan, services: Services) -> tuple[Borrowed, ...]:
    """Warm the model with its tools; returns those that MCP servers have. Raises Refused."""
    until = asyncio.get_running_loop().time() + _WARM_S
    borrowed = await borrow(assistant.tools, services.directory, services.mcp)
    try:
        async with asyncio.timeout_at(until):
            await model.warm(plan.messages, specs(assistant.tools, borrowed))
    except TimeoutError:
        log.info("llm.warming_slow", seconds=_WARM_S)
    return borrowed


async def _open_voice(
    assistant: Assistant, first: str, services: Services, *, rate: int, everybodys: frozenset[str] = frozenset()
) -> Prepared:
    maker = services.providers.voice(assistant.tts_config, assistant.speech_config)
    language = voice_language(assistant)
    with services.tracer.step("tts.open", provider=maker.name):
        voice = await maker.open(rate=rate, language=language)
    kept = said_to_everybody(assistant, services) | everybodys
    prepared = Prepared(maker=maker, voice=voice, language=language, rate=rate, everybodys=kept)
    try:
        async with asyncio.timeout(_GREETING_S):
            await prepared.render((first,), services)
    except TimeoutError as exc:
        await prepared.close()
        raise ProviderError(maker.name, "tts", "stalled", f"no greeting within {_GREETING_S:g} s") from exc
    except BaseException:
        await prepared.close()
        raise
    return prepared
