"""What became of a lead, from the row of the call that was placed for it."""

from dataclasses import dataclass
from typing import Final, Literal

from sovereign_pbx.store import CallRow

INTERRUPTED: Final = "interrupted"
"""The daemon was stopped, or broke, while the lead was being called."""

_NOT_AGAIN: Final = frozenset({"rejected", "api_end_call"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`completed`: the lead was reached. `again`: it was not, and may be tried again. `failed`: nor is it to be."""

    result: Literal["completed", "again", "failed"]
    reason: str


def outcome_of(row: CallRow) -> Outcome:
    """Of a call that is over.

    Who answered is reached, however the conversation went on, also where he hung up before it began (only who has
    answered can hang up): nobody is called twice because a machine failed. A
    mailbox is reached where a message was left on it; else it is nobody, as are a busy line and one that rings out.
    Who turned the call down, or was taken out of it by the API, is not called again.
    """
    reason = row.end_reason or INTERRUPTED
    if reason == "voicemail":
        return Outcome("completed" if row.assistant.get("voicemail_message") else "again", reason)
    if row.started_at is not None or reason == "user_hangup":
        return Outcome("completed", reason)
    return Outcome("failed" if reason in _NOT_AGAIN else "again", reason)
