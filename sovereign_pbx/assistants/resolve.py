"""Which assistant takes a call: numbers, then the saved assistant, then what its webhook says while it rings.

No fault of a webhook loses a call: the saved assistant takes it, and a note says why. Only where there is no
assistant at all does the dialplan's fallback get the caller.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sovereign_pbx.assistants.account import Asked, asks
from sovereign_pbx.assistants.answer import BESIDES, Answer, read_answer
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import MOST_ENTRIES, Report
from sovereign_pbx.assistants.workflow import Workflow
from sovereign_pbx.assistants.workflow_plan import usual_ground
from sovereign_pbx.core.errors import ConfigError, SovereignError

BUDGET_S = 5.0
"""Contract §8.4: what `assistant-request` may take in total, connection included."""

MOST_REASONS = 5
"""Reasons quoted in a note; a hostile answer can have hundreds."""

Ask = Callable[[Assistant | None, Number | None], Awaitable[Any]]
"""Sends `assistant-request` and gives the decoded JSON body, or raises WebhookError. Bound to one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Who takes the call.

    assistant: `assistant` does. rejected: `rejection` is spoken (with `assistant`'s voice where there is one), then
    the call ends. none: the dialplan's fallback. `notes` go to the log and the call's events. With a `workflow` it is
    that which conducts the call, on the ground of `assistant`.
    """

    outcome: Literal["assistant", "rejected", "none"]
    assistant: Assistant | None = None
    number: Number | None = None
    source: Literal["", "saved", "transient", "hybrid"] = ""
    rejection: str = ""
    notes: tuple[str, ...] = ()
    asked_ms: float | None = None  # how long the webhook took; None when it was not asked
    workflow: Workflow | None = None


async def resolve(
    directory: Directory, *, called: str, ask: Ask, account: Asked, budget_s: float = BUDGET_S
) -> Resolution:
    """Decide. Never raises for what a webhook did; takes at most `budget_s` beyond a moment of its own."""
    number, saved = directory.find(called)
    unanswerable = _unanswerable(number, saved, called)
    if unanswerable:
        return Resolution(outcome="none", number=number, notes=(unanswerable,))
    workflow, note = _workflow_of(directory, number)
    ground = saved or (usual_ground(workflow) if workflow is not None else None)
    if asks(saved, account):
        began = time.monotonic()
        body, fault = await _asked(ask, saved, number, budget_s)
        taken_ms = (time.monotonic() - began) * 1000
        resolution = _settled(number, ground, fault) if fault else decide(directory, number, ground, body)
        resolution = replace(resolution, asked_ms=taken_ms)
    else:
        resolution = _settled(number, ground, "" if ground else f"nobody is configured to answer {called!r}")
    conducts = workflow if resolution.outcome == "assistant" else None
    return replace(resolution, workflow=conducts, notes=(*resolution.notes, *filter(None, (note,))))


def _workflow_of(directory: Directory, number: Number | None) -> tuple[Workflow | None, str]:
    """The workflow that conducts the calls of a number, or None and what is noted about that (contract §16.1)."""
    if number is None or not number.workflow:
        return None, ""
    workflow = directory.workflow(number.workflow)
    if workflow is None:
        return None, f"number {number.number!r} names workflow {number.workflow!r}, which does not exist"
    if not workflow.is_active:
        return None, f"workflow {workflow.name!r} is not active: the assistant takes the call"
    return workflow, ""


def decide(directory: Directory, number: Number | None, saved: Assistant | None, body: Any) -> Resolution:
    """What a webhook's answer comes to."""
    report = Report(entries=MOST_ENTRIES)
    answer = read_answer(body, report)
    if answer is None:
        return _settled(number, saved, f"the webhook's answer can't be used: {_reasons(report)}")
    if answer.rejection:
        return Resolution(outcome="rejected", assistant=saved, number=number, rejection=answer.rejection)
    ground = directory.assistant(answer.assistant_id) if answer.assistant_id else saved
    if answer.assistant_id and (ground is None or not ground.is_active):
        state = "is unknown" if ground is None else "is not active"
        return _settled(number, saved, f"assistant_id {answer.assistant_id!r} of the webhook's answer {state}")
    return _overridden(number, saved, ground, answer)


def _overridden(number: Number | None, saved: Assistant | None, ground: Assistant | None, answer: Answer) -> Resolution:
    if answer.override is None:
        return _taken(number, ground, answer, "the webhook chose no assistant")
    where = "the assistant in the webhook's answer"
    try:
        assistant = ground.merged(answer.override, where=where) if ground else _transient(answer, number, where)
    except ConfigError as error:
        return _settled(number, saved, _short(error))
    return _taken(number, assistant, answer, "")


def _transient(answer: Answer, number: Number | None, where: str) -> Assistant:
    """An assistant that exists for one call; without instructions or greeting it would only listen."""
    override = dict(answer.override or {})
    if not override.keys() - BESIDES:
        raise ConfigError(f"{where} is empty, and no assistant is saved for the number")
    override.setdefault("name", number.name if number and number.name else "transient")
    return Assistant.parse(override, where=where)


def _taken(number: Number | None, assistant: Assistant | None, answer: Answer, otherwise: str) -> Resolution:
    resolution = _settled(number, assistant, otherwise if assistant is None else "")
    notes = (*resolution.notes, *answer.warnings, *(assistant.warnings if assistant and answer.override else ()))
    source: Any = answer.form if resolution.outcome == "assistant" else ""
    return replace(resolution, source=source, notes=notes)


def _settled(number: Number | None, saved: Assistant | None, note: str) -> Resolution:
    """The saved assistant takes the call, or nobody does."""
    notes = (note,) if note else ()
    if saved is None:
        return Resolution(outcome="none", number=number, notes=notes)
    if not saved.is_active:
        return Resolution(outcome="none", number=number, notes=(*notes, f"assistant {saved.name!r} is not active"))
    return Resolution(outcome="assistant", assistant=saved, number=number, source="saved", notes=notes)


def _unanswerable(number: Number | None, saved: Assistant | None, called: str) -> str:
    if number is not None and not number.is_active:
        return f"number {number.number!r} is not active"
    if saved is not None and not saved.is_active:
        return f"assistant {saved.name!r} is not active"
    if number is not None and number.assistant and saved is None:
        return f"number {number.number!r} names assistant {number.assistant!r}, which does not exist"
    return ""


async def _asked(ask: Ask, saved: Assistant | None, number: Number | None, budget_s: float) -> tuple[Any, str]:
    try:
        async with asyncio.timeout(budget_s):
            return await ask(saved, number), ""
    except TimeoutError:
        return None, f"the assistant-request webhook did not answer within {budget_s:g} s"
    except SovereignError as error:
        return None, _short(error)


def _reasons(report: Report) -> str:
    texts = [str(problem) for problem in report.errors]
    more = f" and {len(texts) - MOST_REASONS} more" if len(texts) > MOST_REASONS else ""
    return "; ".join(texts[:MOST_REASONS]) + more


def _short(error: SovereignError) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    more = f" and {len(lines) - 1 - MOST_REASONS} more" if len(lines) - 1 > MOST_REASONS else ""
    return "; ".join(lines[: MOST_REASONS + 1]) + more
