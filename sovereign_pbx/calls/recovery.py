"""After a crash: calls that a killed daemon left open are ended in the books, and their reports sent."""

from collections.abc import Callable

import structlog

from sovereign_pbx.assistants.account import Target
from sovereign_pbx.calls.books import outgoing, report_of
from sovereign_pbx.calls.summary import plain_summary
from sovereign_pbx.store import CallRow, Store
from sovereign_pbx.webhooks.envelope import CallFacts, status_update, utc_now

log = structlog.get_logger(__name__)

TargetOf = Callable[[CallRow, str], Target | None]

_LOST = "the daemon was stopped during the call"


async def recover(store: Store, target_of: TargetOf) -> int:
    """End what was left open; the number of calls. Once at the start, before calls are taken.

    A call that had ended but was not yet summed up only gets its report. Each report is written in one transaction
    with the state it tells of, so a second crash repeats nothing.
    """
    left = await store.unfinished()
    for row in left:
        await _close(store, row, target_of)
    if left:
        log.warning("calls.recovered", calls=len(left))
    return len(left)


async def _close(store: Store, row: CallRow, target_of: TargetOf) -> None:
    facts = CallFacts(
        call_id=row.id,
        caller=row.caller_phone,
        called=row.assistant_phone,
        number_id=row.number_id,
        assistant=row.assistant,
    )
    if row.ended_at is None:
        row.ended_at, row.end_reason, row.status, row.error = row.updated_at or row.created_at, "error", "failed", _LOST
        await _end(store, row, facts, target_of)
    if row.started_at is None:
        return
    messages = [message for message in await store.messages(row.id) if message.role != "system"]
    row.summary = plain_summary(messages)
    sent = report_of(row, facts, messages, lambda event: target_of(row, event))
    await store.change_call(row.id, {"summary": row.summary, "updated_at": utc_now()}, sent)


async def _end(store: Store, row: CallRow, facts: CallFacts, target_of: TargetOf) -> None:
    target = target_of(row, "status-update") if row.started_at is not None else None
    changes = {name: getattr(row, name) for name in ("ended_at", "end_reason", "status", "error")}
    told = []
    if target is not None:
        body = status_update(facts, "ended-with-error", utc_now(), error=_LOST, end_reason="error")
        told = [outgoing("status-update", row.id, target, body)]
    await store.change_call(row.id, {**changes, "updated_at": utc_now()}, told)
