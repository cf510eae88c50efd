"""What is done when the caller is gone: the summary, then the analysis; the report waits for both (contract §10.2).

Never at the next caller's expense: at most `at_once` calls are worked on, the others wait in order of their end, and a
call for which there is no place even to wait, or no time, is reported at once with a plain summary. Everything has a
deadline, and `hurry` shortens them all when the daemon ends.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.analysis import Analysis, Analyst, NoPlan, Subject, wanted
from sovereign_pbx.calls.analysis_plan import AnalysisPlan, Template
from sovereign_pbx.calls.post_call_model import post_call_block
from sovereign_pbx.calls.prices import Prices
from sovereign_pbx.calls.summary import plain_summary, summarise
from sovereign_pbx.calls.usage import Tokens, whole_usage
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.llm import ChatModel

log = structlog.get_logger(__name__)

CUT_SHORT: Final = "not finished: the daemon was ending"
CROWDED: Final = "not attempted: too many calls were waiting for it"


class Models(Protocol):
    """As much of `Providers` as is needed."""

    def llm(self, block: Mapping[str, Any]) -> ChatModel: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCallSettings:
    """`[post_call]`. `provider`, `model`: "" for the assistant's own. `timeout_s`: what the summary, and then the
    analysis with its repair, may take. `wait_s`: how long a call may wait for its turn, `waiting` how many may."""

    summaries: bool = True
    provider: str = ""
    model: str = ""
    timeout_s: float = 20.0
    wait_s: float = 60.0
    at_once: int = 16
    waiting: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What the report says beside the conversation. `events`: what happened on the way, for the call's own events."""

    summary: str
    analysis: dict[str, Any] | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    events: tuple[tuple[str, dict[str, Any]], ...] = ()


class PostCall:
    """Concludes finished calls; one for the daemon."""

    def __init__(
        self,
        models: Models,
        *,
        settings: PostCallSettings = PostCallSettings(),
        accounts: Mapping[str, Mapping[str, Any]] | None = None,
        template: Template | None = None,
        prices: Prices | None = None,
    ) -> None:
        self._models = models
        self._settings = settings
        self._accounts = accounts or {}
        self._template = template
        self._prices = prices
        self._analyst = Analyst()
        self._places = asyncio.Semaphore(settings.at_once)
        self._present = 0
        self._deadlines: set[asyncio.Timeout] = set()
        self._end: float | None = None  # of everything, on the loop's clock

    def __repr__(self) -> str:
        return f"<PostCall {self._present} calls>"

    @property
    def present(self) -> int:
        """Calls that are being concluded or wait for it."""
        return self._present

    def hurry(self, seconds: float) -> None:
        """The daemon ends: whatever is not done within `seconds` is reported without."""
        self._end = asyncio.get_running_loop().time() + seconds
        for deadline in self._deadlines:
            when = deadline.when()
            deadline.reschedule(self._end if when is None else min(when, self._end))

    def so_far(self, talk: Mapping[str, Any]) -> dict[str, Any]:
        """The usage of the conversation alone, summed and priced: what is kept should the rest never be told."""
        return whole_usage(talk, Tokens(), Tokens(), self._prices)

    async def conclude(self, assistant: Assistant | None, subject: Subject, talk: Mapping[str, Any]) -> Conclusion:
        """Sum up and analyse one call. `subject.summary` is not read; `talk` is the usage of the conversation. Raises
        nothing but cancellation."""
        work = _Work(subject)
        if assistant is None:
            return self._made(work, talk)
        heard = any(one.role == "user" and one.content for one in subject.messages)
        work.summarised = self._settings.summaries and heard
        work.plan = self._plan(assistant, subject, work)
        if not work.summarised and work.plan is None:
            return self._made(work, talk)
        if self._present >= self._settings.at_once + self._settings.waiting:
            work.missed(CROWDED)
            return self._made(work, talk)
        self._present += 1
        try:
            await self._work(assistant, work)
        finally:
            self._present -= 1
        return self._made(work, talk)

    def _plan(self, assistant: Assistant, subject: Subject, work: "_Work") -> AnalysisPlan | None:
        try:
            found = wanted(assistant.analysis_plan, subject, self._template)
        except NoPlan as exc:
            work.note(Analysis(None, str(exc)))
            return None
        if isinstance(found, AnalysisPlan):
            return found
        if found:
            work.note(Analysis(None, found, skipped=True))
        return None

    async def _work(self, assistant: Assistant, work: "_Work") -> None:
        model = self._model(assistant, work)
        if model is None:
            return
        began = time.monotonic()
        settings = self._settings
        try:
            async with self._within(settings.wait_s + 2 * settings.timeout_s), self._turn():
                await self._answers(model, work)
        except TimeoutError:
            ending = self._end is not None
            log.warning("post_call.cut_short", seconds=round(time.monotonic() - began, 1), ending=ending)
            work.missed(CUT_SHORT if ending else f"not attempted: no turn within {settings.wait_s:g} s")

    async def _answers(self, model: ChatModel, work: "_Work") -> None:
        within_s, subject = self._settings.timeout_s, work.subject
        if work.summarised:
            work.summary = await summarise(model, subject.messages, within_s, work.summary_tokens)
        if work.plan is None:
            return
        about = Subject(
            messages=subject.messages,
            summary=work.summary or plain_summary(subject.messages),
            end_reason=subject.end_reason,
            duration_s=subject.duration_s,
            caller=subject.caller,
        )
        work.note(await self._analyst.analyse(model, work.plan, about, work.analysis_tokens, within_s))

    def _model(self, assistant: Assistant, work: "_Work") -> ChatModel | None:
        settings = self._settings
        section = {"provider": settings.provider, "model": settings.model}
        block = post_call_block(assistant.llm_config, section, self._accounts, settings.timeout_s)
        if block is None:
            work.missed("not attempted: the assistant has no model that can")
            return None
        try:
            return self._models.llm(block)
        except ConfigError as exc:
            log.warning("post_call.no_model", error=exc.message)
            work.missed(f"not attempted: {exc.message}")
            return None

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        """A deadline that `hurry` may bring forward."""
        when = asyncio.get_running_loop().time() + seconds
        async with asyncio.timeout_at(when if self._end is None else min(when, self._end)) as deadline:
            self._deadlines.add(deadline)
            try:
                yield
            finally:
                self._deadlines.discard(deadline)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A place, in the order of asking, within the time that one may wait for it."""
        async with asyncio.timeout(self._settings.wait_s):
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    def _made(self, work: "_Work", talk: Mapping[str, Any]) -> Conclusion:
        return Conclusion(
            summary=work.summary or plain_summary(work.subject.messages),
            analysis=work.analysis,
            usage=whole_usage(talk, work.summary_tokens, work.analysis_tokens, self._prices),
            events=tuple(work.events),
        )


@dataclass(slots=True)
class _Work:
    """One call's conclusion in the making: what is done when time is up counts."""

    subject: Subject
    summarised: bool = False  # a model is to sum it up
    plan: AnalysisPlan | None = None
    summary: str = ""
    analysis: dict[str, Any] | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    summary_tokens: Tokens = field(default_factory=Tokens)
    analysis_tokens: Tokens = field(default_factory=Tokens)
    _noted: bool = False

    def note(self, analysis: Analysis) -> None:
        """The analysis came to its end."""
        self._noted = True
        self.analysis = analysis.result
        self.events.append(analysis.event)

    def missed(self, why: str) -> None:
        """There was no time or no model; an analysis that was asked for is noted as failed."""
        if self.plan is not None and not self._noted:
            self.note(Analysis(None, why))
