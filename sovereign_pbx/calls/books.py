"""A call's books: its row, its history, and what webhooks are told, each change written with the news of it."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sovereign_pbx.assistants.account import Account, Target, target_for, tool_target
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import Direction
from sovereign_pbx.assistants.resolve import Resolution
from sovereign_pbx.assistants.tools import Tool
from sovereign_pbx.calls.post_call import Conclusion
from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.calls.report import PLAIN_REPORTING, Reporting, outgoing, reports_of
from sovereign_pbx.core.values import EndReason, Message
from sovereign_pbx.pbx.link import Offer
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.webhooks.envelope import CALL_TYPES, CallFacts, status_update, utc_now


class Books:
    """Writes one call. Every method returns at once; `record` does the writing, in order."""

    def __init__(
        self,
        offer: Offer,
        account: Account,
        record: CallRecord,
        reporting: Reporting = PLAIN_REPORTING,
        direction: Direction = "inbound",
    ) -> None:
        self.record = record
        self._reporting = reporting
        self._account = account
        self._assistant: Assistant | None = None
        self._facts = CallFacts(
            call_id=offer.call_id,
            caller=offer.caller or None,
            called=offer.called or None,
            type=CALL_TYPES[direction],
        )
        self._row = CallRow(
            id=offer.call_id,
            direction=direction,
            caller_phone=offer.caller or None,
            assistant_phone=offer.called or None,
            created_at=utc_now(),
        )
        self._created = False
        self._secret = ""
        self._answered_clock: float | None = None
        self._ended_clock: float | None = None

    @property
    def facts(self) -> CallFacts:
        """What a webhook is told about this call, as far as it is known now."""
        return self._facts

    @property
    def answered(self) -> bool:
        return self._answered_clock is not None

    @property
    def seconds(self) -> float | None:
        """How long the caller was connected; None if he never was."""
        if self._answered_clock is None:
            return None
        return (self._ended_clock or time.monotonic()) - self._answered_clock

    def target(self, event: str) -> Target | None:
        """Who is told of `event`."""
        return target_for(event, self._assistant, self._account)

    def tool_target(self, tool: Tool) -> Target | None:
        """Who is asked to run `tool`."""
        return tool_target(tool, self._assistant, self._account)

    def resolved(self, resolution: Resolution, secret: str = "") -> None:
        """The call has an assistant, or is known to have none: its row is made. `secret`: of `own_secret`."""
        self._secret = secret
        self._assistant, number = resolution.assistant, resolution.number
        public = self._assistant.to_public() if self._assistant else {}
        self._facts = replace(
            self._facts,
            number_id=number.id if number else None,
            number_name=number.name if number else None,
            assistant=public,
        )
        self._row.number_id = number.id if number else None
        if self._assistant is not None:
            # one that an answer or a request made for this call alone has no id
            self._row.assistant_id, self._row.assistant_name = self._assistant.id or None, self._assistant.name
            self._row.business_name = self._assistant.business_name
            self._row.assistant = public
        self._create()
        for note in resolution.notes:
            self.record.event("resolution.note", {"text": note})
        self.record.event(
            "resolved",
            {"outcome": resolution.outcome, "source": resolution.source, "asked_ms": resolution.asked_ms},
        )

    def opened(self) -> None:
        """The caller is connected."""
        self._answered_clock = time.monotonic()
        self._row.started_at = utc_now()
        self.record.change(
            {"status": "in-progress", "started_at": self._row.started_at},
            self._status("in-progress"),
        )

    def over(self) -> None:
        """The caller is gone or handed over, now; what is still to be saved does not count."""
        self._row.ended_at = utc_now()
        self._ended_clock = time.monotonic()

    def transfer_started(self, attempt: Mapping[str, Any]) -> None:
        """The caller is being put through: the row tells, and how it ends is not known yet."""
        self.record.event("transfer.started", attempt)
        self._row.transfers = [*self._row.transfers, dict(attempt)]
        self.record.change({"transfers": self._row.transfers})

    def transfer_ended(self, attempt: Mapping[str, Any]) -> None:
        """What became of the last one."""
        self.record.event("transfer.ended", attempt)
        self._row.transfers = [*self._row.transfers[:-1], dict(attempt)]
        self.record.change({"transfers": self._row.transfers})

    def recorded(self, details: Mapping[str, Any] | None) -> None:
        """What became of the recording; None: there was to be none."""
        self._row.recording = None if details is None else dict(details)

    def measured(self, quality: Mapping[str, Any] | None) -> None:
        """What the network made of the sound; None: nobody knows."""
        self._row.media_quality = None if quality is None else dict(quality)

    def ended(self, reason: EndReason, error: str, statistics: Mapping[str, Any], recording: str | None) -> None:
        """How it came to its end (`over`); the row tells. The report follows with `reported`."""
        if self._row.ended_at is None:  # torn down before anybody could say so
            self.over()
        self._create()
        self._row.end_reason, self._row.error = reason, error or None
        self._row.duration_seconds = round(self.seconds or 0)
        self._row.status = "failed" if error else "ended"
        self._row.statistics, self._row.recording_path = dict(statistics), recording
        changes = {
            name: getattr(self._row, name) for name in ("status", "ended_at", "duration_seconds", "end_reason", "error")
        }
        outgoing = self._status("ended-with-error" if error else "ended") if self.answered else []
        changes |= {"statistics": self._row.statistics, "recording_path": recording, "recording": self._row.recording}
        changes["media_quality"] = self._row.media_quality
        self.record.change(changes, outgoing)

    def unanswered(self, reason: EndReason, error: str, summary: str, *, tell: bool = True) -> None:
        """The end of a call that we placed and nobody answered: its row and its report, in one transaction."""
        if self._row.ended_at is None:
            self.over()
        self._create()
        row = self._row
        row.status = "ended" if reason == "user_hangup" else "failed"
        row.end_reason, row.error, row.summary, row.duration_seconds = reason, error or None, summary, 0
        names = ("status", "ended_at", "duration_seconds", "end_reason", "error", "summary")
        told: list[Outgoing] = []
        if tell:
            told = self._status("ended-with-error" if error else "ended")
            told += reports_of(row, self._facts, [], self.target, self._reporting)
        self.record.change({name: getattr(row, name) for name in names}, told)

    def reported(self, conclusion: Conclusion, messages: list[Message]) -> None:
        """The call is summed up and analysed; whoever asked for it gets the report."""
        row = self._row
        row.summary, row.analysis_result = conclusion.summary, conclusion.analysis
        row.statistics = {**row.statistics, "usage": conclusion.usage}
        for name, values in conclusion.events:
            self.record.event(name, values)
        changes = {name: getattr(row, name) for name in ("summary", "analysis_result", "statistics")}
        self.record.change(changes, reports_of(row, self._facts, messages, self.target, self._reporting))

    def _create(self) -> None:
        if not self._created:
            self._created = True
            self.record.create(replace(self._row), self._secret)

    def _status(self, status: Any) -> list[Outgoing]:
        target = self.target("status-update")
        if target is None:
            return []
        facts = replace(self._facts, dialect=target.dialect)
        reason = self._row.end_reason if status != "in-progress" else None
        body = status_update(facts, status, utc_now(), error=self._row.error, end_reason=reason)
        return [outgoing("status-update", facts.call_id, target, body)]
