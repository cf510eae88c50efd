"""Everything a conversation can ask of its shell. Frozen, slotted, final: do not subclass.

The shell performs them in order, without letting another event in between.
"""

from dataclasses import dataclass, field
from typing import Any

from sovereign_pbx.core.values import BLIND, EndReason, Message, SpeechKind, ToolCall, TransferTerms, TurnRecord, Word


@dataclass(frozen=True, slots=True)
class Speak:
    """Synthesise `text` and queue it for playout behind what is queued already; `ahead`: before what has not begun."""

    segment: int
    text: str
    kind: SpeechKind
    reply: int | None = None
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Flush:
    """Stop playout at once and forget what is queued; answer with a `PlayoutFlushed` for each open segment."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold playout where it is (frames go on as comfort noise), keeping the queue."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on where `Pause` held, from the beginning of the word that it held in.

    `words`: what the voice told of the times in the segment that was held; without them the link goes by loudness.
    """

    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Think:
    """Ask the model for reply number `reply` to `messages` (system messages included).

    `speculative`: the caller may still go on; `Adopt` or `DropReply` follows.
    """

    reply: int
    messages: tuple[Message, ...]
    speculative: bool = False


@dataclass(frozen=True, slots=True)
class Adopt:
    """The speculative reply is the answer; from here on it is a reply like any other."""

    reply: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Synthesise `text` and play nothing: a `Speak` of the same reply and text may follow."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class DropReply:
    """The reply is no longer wanted: close its stream and its unspoken speech."""

    reply: int


@dataclass(frozen=True, slots=True)
class ScoreTurn:
    """Ask the turn model about the speech that fell silent at `speech_ended_at`."""

    speech_ended_at: float


@dataclass(frozen=True, slots=True)
class FinalizeHearing:
    """Ask the recogniser for its final text now."""


@dataclass(frozen=True, slots=True)
class UseTool:
    """Run a tool; answer with `ToolFinished`."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Enter:
    """The workflow has come to `node`: its tools and its providers from here on, for what is spoken and asked next."""

    node: str


@dataclass(frozen=True, slots=True)
class WatchTones:
    """Listen for the beep of a mailbox and the tones of networks, or stop that; answer with `ToneHeard`."""

    on: bool


@dataclass(frozen=True, slots=True)
class Record:
    """The caller has agreed to be recorded and listened to: begin now."""


@dataclass(frozen=True, slots=True)
class Conceal:
    """The caller is keying in what nobody else may know (`on`), or has done so: for the recording to be silent."""

    on: bool


@dataclass(frozen=True, slots=True)
class Remember:
    """This message is now part of the history."""

    message: Message


@dataclass(frozen=True, slots=True)
class CloseTurn:
    """A turn is complete; file its record."""

    turn: TurnRecord


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call: everything that had to be heard has been."""

    reason: EndReason
    error: str = ""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Give the caller back to the dialplan: to `destination`, or to its fallback when empty.

    With a destination the conversation is away, not over: answer with a `TransferEnded`, or with a `HungUp` once
    somebody has taken the caller.
    """

    destination: str
    reason: EndReason
    error: str = ""
    terms: TransferTerms = BLIND


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Send DTMF to the far end, for the tool call `call_id`; answer with `ToolFinished`."""

    digits: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth observing that asks nothing of the shell (a log line, a counter)."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)


Command = (
    Speak
    | Flush
    | Pause
    | Resume
    | Think
    | Adopt
    | Prepare
    | DropReply
    | ScoreTurn
    | FinalizeHearing
    | UseTool
    | Enter
    | WatchTones
    | Record
    | Conceal
    | Remember
    | CloseTurn
    | HangUp
    | HandOver
    | SendDigits
    | Note
)
