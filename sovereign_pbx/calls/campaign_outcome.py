"""What became of a lead, from the row of the call that was placed for it and from who was found to have answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sovereign_pbx.store import CallRow

UNKNOWN: Final = "unknown"
"""The daemon was killed while the telephone may have rung: nobody can know what came of it."""

INTERRUPTED: Final = "interrupted"
"""The daemon was killed while somebody talked to the assistant."""

_NOT_AGAIN: Final = frozenset({"rejected", "api_end_call"})
_NOT_REACHED: Final = frozenset({"no_answer", "busy", "rejected"})
_NOBODY: Final = {"fax": "fax", "network": "not_in_service"}
_HELD_UP: Final = frozenset({"screening", "waiting", "nobody"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`completed`: the lead was reached. `again`: it was not, and may be tried again. `failed`: nor is it to be."""

    result: Literal["completed", "again", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who was found to have answered, the last finding: person | mailbox | screening | waiting | declined | nobody |
    fax | network (an announcement that the number is none) | ""; and whether a service had asked who calls."""

    who: str = ""
    screened: bool = False


def answerer_of(events: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Answerer:
    """From a call's events (at, name, values)."""
    who, screened = "", False
    for _, name, values in events:
        if name == "answered_by":
            who = str(values.get("who", ""))
            screened = screened or who == "screening" or bool(values.get("screened"))
    return Answerer(who, screened)


def outcome_of(row: CallRow, answerer: Answerer = Answerer(), *, message_left: str = "completed") -> Outcome:
    """Of a call that is over.

    A person who answered is reached, however the conversation went on, also where he hung up before it began (only who
    has answered can hang up): nobody is called twice because a machine failed. A mailbox is reached where the message
    was left on it and that is to count (`message_left`); a service that screens calls, a silent line, a busy one and
    one that rings out are nobody. A fax machine and a number that is out of service stay what they are. Who turned the
    call down, there or by his screening service, or was taken out of it by the API, is not called again.
    """
    reason = row.end_reason or INTERRUPTED
    if reason == "voicemail":
        left = bool(row.assistant.get("voicemail_message")) and message_left == "completed"
        return Outcome("completed" if left else "again", reason)
    if reason in _NOT_AGAIN and (row.started_at is None or reason == "rejected"):
        return Outcome("failed", reason)
    if answerer.who in _NOBODY:
        return Outcome("failed", _NOBODY[answerer.who])
    if reason == "user_hangup" and answerer.who == "mailbox":  # it had enough before the message was over
        return Outcome("again", "voicemail")
    if answerer.who in _HELD_UP and reason in ("no_answer", "user_hangup", "silence_timeout"):
        return Outcome("again", "screened" if answerer.screened else "no_answer")
    if (row.started_at is not None and reason not in _NOT_REACHED) or reason == "user_hangup":
        return Outcome("completed", reason)
    return Outcome("again", "screened" if answerer.screened and reason == "no_answer" else reason)


def outcome_of_lost(row: CallRow) -> Outcome | None:
    """Of a call that an earlier daemon was killed in; None where its end is known. It is not dialled again: the
    telephone may have rung, and somebody may have said hello to a dead line."""
    if row.end_reason not in ("error", None):
        return None
    return Outcome("failed", UNKNOWN) if row.started_at is None else Outcome("completed", INTERRUPTED)
