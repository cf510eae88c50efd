"""The end-of-call report: to a webhook, and by mail to whoever the assistant names (contract §10.2, §4.1).

All of it is written in the transaction of the summary. The mails come last: within a call deliveries go in order, and a
mail server that is down must not keep the webhook waiting.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from sovereign_pbx.assistants.account import Target
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.webhooks.envelope import CallFacts, end_of_call_report, utc_now

EVENT: Final = "end-of-call-report"
TargetOf = Callable[[str], Target | None]

_NAMED_IN_MAIL: Final = ("id", "name", "business_name")


def _no_link(call_id: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How reports go out. `mails`: a mail server is configured. `recording_url`: where a call's recording is."""

    mails: bool = False
    recording_url: Callable[[str], str | None] = _no_link


PLAIN_REPORTING: Final = Reporting()
"""The webhook only."""


def reports_of(
    row: CallRow, facts: CallFacts, messages: Sequence[Message], target_of: TargetOf, reporting: Reporting
) -> list[Outgoing]:
    """Everything that the end of this call owes: the webhook for whoever asked for it, then a mail to each address."""
    url = reporting.recording_url(row.id) if row.recording_path else None
    owed = []
    target = target_of(EVENT)
    if target is not None:
        body = _report(row, replace(facts, dialect=target.dialect), messages, url)
        owed.append(outgoing(EVENT, row.id, target, body))
    if reporting.mails:
        named = {name: row.assistant.get(name) for name in _NAMED_IN_MAIL}
        body = _report(row, replace(facts, dialect="snake", assistant=named), messages, url)
        owed += [outgoing(EVENT, row.id, Target(mail_url(address)), body) for address in addresses_of(row.assistant)]
    return owed


def addresses_of(assistant: Mapping[str, Any]) -> list[str]:
    """Who gets the report by mail, each once."""
    one, several = assistant.get("notification_email"), assistant.get("notification_emails") or ()
    given = [address for address in (one, *several) if isinstance(address, str) and address]
    found: dict[str, str] = {}
    for address in given:
        found.setdefault(address.casefold(), address)
    return list(found.values())


def mail_url(address: str) -> str:
    """A target of the outbox for mail (RFC 6068)."""
    return "mailto:" + quote(address, safe="@!$'*+-./=_")


def outgoing(event: str, call_id: str, target: Target, body: bytes) -> Outgoing:
    """One delivery for the outbox, with an id that stays the same over retries."""
    return Outgoing(
        webhook_id=str(uuid.uuid4()),
        call_id=call_id,
        event=event,
        url=target.url,
        body=body,
        secret=target.secret,
    )


def _report(row: CallRow, facts: CallFacts, messages: Sequence[Message], recording_url: str | None) -> bytes:
    return end_of_call_report(
        facts,
        utc_now(),
        status="ended-with-error" if row.error else "ended",
        duration_seconds=row.duration_seconds or 0,
        summary=row.summary or "",
        messages=messages,
        end_reason=row.end_reason or "error",
        started_at=row.started_at,
        ended_at=row.ended_at,
        analysis=row.analysis_result,
        recording_url=recording_url,
        error=row.error,
        transfers=row.transfers,
        media_quality=row.media_quality,
    )
