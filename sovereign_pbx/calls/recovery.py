"""After a crash: calls that a killed daemon left open are ended in the books, and their reports sent."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from sovereign_pbx.assistants.account import Target
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.calls.recording import left_behind
from sovereign_pbx.calls.report import PLAIN_REPORTING, Reporting, outgoing, reports_of
from sovereign_pbx.calls.summary import plain_summary
from sovereign_pbx.store import CallRow, Outgoing, Store
from sovereign_pbx.webhooks.envelope import CALL_TYPES, CallFacts, status_update, utc_now

log = structlog.get_logger(__name__)

TargetOf = Callable[[CallRow, str], Target | None]

_LOST = "the daemon was stopped during the call"
_LOST_AFTER = "the daemon was stopped before it"
_UNKNOWN = "What became of this call is not known."


async def recover(
    store: Store,
    target_of: TargetOf,
    directory: Directory,
    recordings: Path | None,
    reporting: Reporting = PLAIN_REPORTING,
    *,
    only: Collection[str] | None = None,
    why: str = _LOST,
) -> int:
    """End what was left open; the number of calls. Once at the start, before calls are taken; later for calls that are
    named (`only`), with the reason (`why`).

    A call that had ended but was not yet summed up only gets its report: with a plain summary, and without the analysis
    that it may have asked for, which its events say. No model is asked now: hundreds of calls may have been cut off,
    and those who call next come first. Each report is written in one transaction with the state it tells of, so a
    second crash repeats nothing.
    """
    left = [row for row in await store.unfinished() if only is None or row.id in only]
    for row in left:
        if row.ended_at is None:
            row.error = why
        number = directory.number(row.assistant_phone or "")
        facts = CallFacts(
            call_id=row.id,
            caller=row.caller_phone,
            called=row.assistant_phone,
            type=CALL_TYPES.get(row.direction, "inbound_phone_call"),
            number_id=row.number_id,
            number_name=number.name if number is not None and number.id == row.number_id else None,
            assistant=row.assistant,
        )
        await _close(store, row, facts, target_of, recordings, reporting)
    if left:
        log.warning("calls.recovered", calls=len(left))
    return len(left)


async def _close(
    store: Store,
    row: CallRow,
    facts: CallFacts,
    target_of: TargetOf,
    recordings: Path | None,
    reporting: Reporting,
) -> None:
    if row.direction == "outbound" and row.started_at is None:
        await _close_unanswered(store, row, facts, target_of, reporting)
        return
    if row.ended_at is None:
        row.ended_at = await _last_sign(store, row)
        row.end_reason, row.status = "error", "failed"
        row.duration_seconds = _seconds(row.started_at, row.ended_at)
        row.recording_path, row.recording = await asyncio.to_thread(left_behind, recordings, row.id)
        await _end(store, row, facts, target_of)
    if row.started_at is None:
        return
    messages = [message for message in await store.messages(row.id) if message.role != "system"]
    row.summary = plain_summary(messages)
    sent = reports_of(row, facts, messages, lambda event: target_of(row, event), reporting)
    if ((row.assistant.get("analysis_plan") or {}).get("structured_data_plan") or {}).get("enabled"):
        await store.add_event(row.id, "analysis.failed", {"why": f"not attempted: {_LOST_AFTER}"}, utc_now())
    await store.change_call(row.id, {"summary": row.summary, "updated_at": utc_now()}, sent)


async def _close_unanswered(
    store: Store, row: CallRow, facts: CallFacts, target_of: TargetOf, reporting: Reporting
) -> None:
    """A call that we placed: whoever had it placed is told of its end, too (as in `Books.unanswered`)."""
    row.ended_at = await _last_sign(store, row)
    row.end_reason, row.status, row.duration_seconds = "error", "failed", 0
    row.summary = "The daemon was stopped before anybody answered." if row.error == _LOST else _UNKNOWN
    names = ("ended_at", "end_reason", "status", "error", "duration_seconds", "summary")
    told = _ended_with_error(row, facts, target_of)
    told += reports_of(row, facts, [], lambda event: target_of(row, event), reporting)
    await store.change_call(row.id, {**{name: getattr(row, name) for name in names}, "updated_at": utc_now()}, told)


async def _last_sign(store: Store, row: CallRow) -> str:
    """When the call was last heard of: the row alone changes at the answer and at the end only."""
    events = await store.events(row.id)
    return max([row.created_at, row.updated_at, *(at for at, _, _ in events)])


def _seconds(since: str | None, until: str) -> int:
    """Whole seconds between two times of the store; 0 for a call that was never answered."""
    if since is None:
        return 0
    return max(0, round((datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()))


async def _end(store: Store, row: CallRow, facts: CallFacts, target_of: TargetOf) -> None:
    names = ("ended_at", "end_reason", "status", "error", "duration_seconds", "recording_path", "recording")
    told = _ended_with_error(row, facts, target_of) if row.started_at is not None else []
    await store.change_call(row.id, {**{name: getattr(row, name) for name in names}, "updated_at": utc_now()}, told)


def _ended_with_error(row: CallRow, facts: CallFacts, target_of: TargetOf) -> list[Outgoing]:
    target = target_of(row, "status-update")
    if target is None:
        return []
    spelt = replace(facts, dialect=target.dialect)
    body = status_update(spelt, "ended-with-error", utc_now(), error=row.error or _LOST, end_reason="error")
    return [outgoing("status-update", row.id, target, body)]
