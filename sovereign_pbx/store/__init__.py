"""What must not be lost: calls, messages, turns, events and the webhook outbox, behind one interface.

Every write is one transaction; what is to be told to a webhook is written in the transaction of the state it tells of.
Times are ISO 8601 UTC text with milliseconds (`2026-11-20T07:32:00.123Z`), made by the
caller. May import core and assistants.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sovereign_pbx.core.values import Message, TurnRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One webhook to be delivered at least once, in order per call. `body` is exact: it is what gets signed."""

    webhook_id: str  # stays the same over retries
    call_id: str
    event: str  # status-update | end-of-call-report
    url: str
    body: bytes
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An `Outgoing` whose turn has come, with how often it was tried."""

    outgoing: Outgoing
    attempts: int
    created_at: str  # since when it is tried: when it was written, or put back by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Besides:
    """What whoever asks for due webhooks does not want to hear of. `lanes` are URLs without their query."""

    webhook_ids: Collection[str] = ()
    lanes: Collection[str] = ()
    origins: Collection[str] = ()


NONE_LEFT_OUT = Besides()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a look through what is due has come to."""

    due_at: str = ""
    seq: int = 0


START = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What is due of a part of the outbox, and where the next part begins; None: that was the last."""

    found: list[Due]
    after: Place | None


@dataclass(slots=True, kw_only=True)
class CallRow:
    """A call as stored: the contract's call object (§5.3) and what the administrator wants to see beside it."""

    id: str
    direction: str = "inbound"
    status: str = "connecting"  # connecting | in-progress | ended | failed
    caller_phone: str | None = None
    assistant_phone: str | None = None
    number_id: str | None = None
    assistant_id: str | None = None
    assistant_name: str | None = None
    business_name: str | None = None
    created_at: str = ""
    started_at: str | None = None  # answered
    ended_at: str | None = None
    duration_seconds: int | None = None
    end_reason: str | None = None
    error: str | None = None
    summary: str | None = None
    analysis_result: dict[str, Any] | None = None
    recording_path: str | None = None
    recording: dict[str, Any] | None = None  # its format, length, size and sum, or why there is none
    assistant: dict[str, Any] = field(default_factory=dict)  # resolved configuration, extra keys kept, secrets not
    statistics: dict[str, Any] = field(default_factory=dict)
    transfers: list[dict[str, Any]] = field(default_factory=list)  # attempts to put the caller through, in order
    media_quality: dict[str, Any] | None = None  # of its worst link; None: no link could know
    updated_at: str = ""


class Store(Protocol):
    """The store. Every method may be awaited from any task; writes are serialised."""

    async def create_call(self, call: CallRow, outgoing: Sequence[Outgoing] = (), *, webhook_secret: str = "") -> None:
        """`webhook_secret` is for `kept_secrets` alone, no row shows it; it is forgotten with the call's report."""

    async def change_call(self, call_id: str, changes: Mapping[str, Any], outgoing: Sequence[Outgoing] = ()) -> None:
        """Set CallRow fields by name (and `updated_at`), enqueueing `outgoing` in the same transaction."""

    async def add_message(self, call_id: str, message: Message, at: str) -> None: ...

    async def add_turn(self, call_id: str, turn: TurnRecord) -> None: ...

    async def add_event(self, call_id: str, name: str, values: Mapping[str, Any], at: str) -> None: ...

    async def call(self, call_id: str) -> CallRow | None: ...

    async def calls(self, *, limit: int = 50, offset: int = 0, status: str | None = None) -> list[CallRow]:
        """Newest first."""

    async def messages(self, call_id: str) -> list[Message]: ...

    async def turns(self, call_id: str) -> list[TurnRecord]: ...

    async def events(self, call_id: str) -> list[tuple[str, str, dict[str, Any]]]:
        """(at, name, values), oldest first."""

    async def unfinished(self) -> list[CallRow]:
        """Calls without an end: what a daemon that was killed left behind."""

    async def due(self, now: str, after: Place = START, *, limit: int = 64, besides: Besides = NONE_LEFT_OUT) -> Slice:
        """Webhooks to deliver now, of the slice that begins after `after`: at most one a call (the oldest
        undelivered), none that waits for its back-off, none of `besides`, `limit` at most. Receivers take turns in it:
        servers, and on each server its paths. A slice takes milliseconds, however much waits."""

    async def kept_secrets(self) -> dict[tuple[str, str], str]:
        """What signed the webhooks of calls that are `unfinished`, by call and address."""

    async def outbox_end(self) -> int:
        """The position of the last webhook that was written, for `due_since`."""

    async def due_since(self, now: str, since: int, calls: Collection[str], limit: int = 64) -> list[Due]:
        """As `due`, of what was written after position `since`, and of these calls: quick however much waits."""

    async def delivered(self, webhook_id: str, at: str) -> None: ...

    async def postpone(self, webhook_id: str, until: str, error: str) -> None: ...

    async def bury(self, webhook_id: str, at: str, error: str) -> None:
        """Give up (dead letter); later webhooks of the call may go."""

    async def forget_webhooks(self, before: str, limit: int = 500) -> int:
        """Remove those that were delivered or given up before then, the oldest first; how many went."""

    async def close(self) -> None: ...
