"""Structured facts out of a finished call, as the assistant's plan wants them (contract §12).

The model is asked once; an answer that is no JSON or does not fit the schema is handed back once, with what was wrong.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sovereign_pbx.calls.analysis_check import BadSchema, TooSlow, faults
from sovereign_pbx.calls.analysis_plan import AnalysisPlan, NoPlan, Subject, Template, plan_of
from sovereign_pbx.calls.analysis_text import object_in
from sovereign_pbx.calls.asking import ask
from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ChatModel

log = structlog.get_logger(__name__)

_REPAIR: Final = (
    "That answer can't be used:\n{faults}\n"
    "Answer again: one JSON object that fits the schema, and nothing else, neither a fence nor an explanation."
)
_SHOWN: Final = 4000  # of an answer that is handed back; what is wrong is named beside it


@dataclass(frozen=True, slots=True)
class Analysis:
    """What came of it. `result` None: `note` says why there is none. `skipped`: nothing was asked."""

    result: dict[str, Any] | None
    note: str = ""
    skipped: bool = False
    repaired: bool = False

    @property
    def event(self) -> tuple[str, dict[str, Any]]:
        """Its line in the call's events."""
        if self.result is not None:
            return "analysis.done", {"repaired": self.repaired}
        return ("analysis.skipped" if self.skipped else "analysis.failed"), {"why": self.note}


def wanted(analysis_plan: Mapping[str, Any] | None, subject: Subject, template: Template | None) -> AnalysisPlan | str:
    """The plan to carry out, or why there is none ("": nobody asked for one). Raises NoPlan."""
    plan = plan_of(analysis_plan, template)
    if plan is None:
        return ""
    spoken = sum(message.role in ("user", "assistant") and bool(message.content) for message in subject.messages)
    if spoken < plan.threshold:
        return f"{spoken} messages, and {plan.threshold} are asked for"
    return plan


class Analyst:
    """Analyses calls. Answers are checked two at a time: a hostile schema may keep a thread for seconds, and there are
    few of them."""

    def __init__(self, checks_at_once: int = 2) -> None:
        self._checks = asyncio.Semaphore(checks_at_once)

    async def analyse(
        self, model: ChatModel, plan: AnalysisPlan, subject: Subject, tokens: Tokens, within_s: float
    ) -> Analysis:
        """Ask, check, and have it mended once. Raises nothing but cancellation; all of it takes `within_s` at most."""
        try:
            async with asyncio.timeout(within_s):
                return await self._asked(model, plan, subject, tokens, within_s)
        except TimeoutError:
            return Analysis(None, f"not done within {within_s:g} s")
        except (ProviderError, NoPlan, BadSchema, TooSlow) as exc:
            return Analysis(None, str(exc))
        except Exception as exc:  # whatever a provider's code does wrong, the report is owed
            log.exception("analysis.broke")
            return Analysis(None, f"internal error: {type(exc).__name__}")

    async def _asked(
        self, model: ChatModel, plan: AnalysisPlan, subject: Subject, tokens: Tokens, within_s: float
    ) -> Analysis:
        questions = await asyncio.to_thread(plan.asks, subject)
        answer = await ask(model, questions, tokens, within_s)
        result, wrong = await self._judged(plan.schema, answer)
        if not wrong:
            return Analysis(result)
        log.info("analysis.repairing", faults=len(wrong))
        returned = Message("assistant", answer[:_SHOWN] or "(nothing)")
        again = Message("user", _REPAIR.format(faults="\n".join(f"- {line}" for line in wrong)))
        answer = await ask(model, [*questions, returned, again], tokens, within_s)
        result, wrong = await self._judged(plan.schema, answer)
        if wrong:
            return Analysis(None, f"the answer does not fit, mended once: {'; '.join(wrong)}")
        return Analysis(result, repaired=True)

    async def _judged(self, schema: Mapping[str, Any], answer: str) -> tuple[dict[str, Any] | None, list[str]]:
        async with self._checks:
            return await asyncio.to_thread(_judged, schema, answer)


def _judged(schema: Mapping[str, Any], answer: str) -> tuple[dict[str, Any] | None, list[str]]:
    """The answer's object, and what is wrong with it. Blocks; raises BadSchema and TooSlow."""
    try:
        found = object_in(answer)
    except ValueError as exc:
        return None, [str(exc)]
    return found, faults(schema, found)


__all__ = ["Analysis", "Analyst", "NoPlan", "Subject", "wanted"]
