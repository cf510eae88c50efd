"""What a realtime model tells, and what it is told; frozen, slotted, final. Vendors' dialects are put into these.

`response` and `item` are the vendor's own ids. A response is one answer of the model; its sound comes in items.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from sovereign_pbx.core.commands import (
    CloseTurn,
    Flush,
    HandOver,
    HangUp,
    Note,
    Pause,
    Record,
    Remember,
    Resume,
    SendDigits,
    Speak,
    UseTool,
)
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event as LineEvent
from sovereign_pbx.core.values import Message, ToolCall

Status = Literal["completed", "cancelled", "incomplete", "failed"]

# --- signals of the model


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The vendor's own voice detector hears the caller."""


@dataclass(frozen=True, slots=True)
class CallerStopped:
    """The vendor takes the caller's turn for complete; a response follows unasked. `item`: what he said."""

    item: str


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The words of a turn, in whose order they were spoken and not in which they come. "": none were understood."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class ResponseBegun:
    """The model begins an answer."""

    response: str


@dataclass(frozen=True, slots=True)
class Sound:
    """`ms` of speech, PCM at the rate of the call."""

    response: str
    item: str
    pcm: bytes
    ms: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """More words of what an item says; they may be ahead of its sound, or behind."""

    response: str
    item: str
    text: str


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """The item's sound is complete."""

    response: str
    item: str


@dataclass(frozen=True, slots=True)
class ToolAsked:
    """The model asks for a tool. It counts when the response is completed: vendors tell of cut ones, too."""

    response: str
    call: ToolCall


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The model has said all of an answer, or was stopped."""

    response: str
    status: Status
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Complained:
    """The vendor did not do what it was told; the session goes on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionAging:
    """The vendor will end the session before long, however well it is."""


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The session is gone, or could not be opened anew."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A new session is in place of the one before, and knows the history."""


Signal = (
    CallerStarted
    | CallerStopped
    | CallerSaid
    | ResponseBegun
    | Sound
    | Spoken
    | SoundEnded
    | ToolAsked
    | ResponseEnded
    | Complained
    | SessionAging
    | SessionLost
)

# --- orders to the model


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer now, what the caller said or by `instructions` that hold for this answer only."""

    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Recite:
    """Say exactly these words."""

    text: str


@dataclass(frozen=True, slots=True)
class StopResponse:
    """The answer is no longer wanted."""

    response: str


@dataclass(frozen=True, slots=True)
class Truncate:
    """The caller heard `ms` of an item and no more."""

    item: str
    ms: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Something that was said or is to be known; no answer is asked for."""

    message: Message


@dataclass(frozen=True, slots=True)
class AnswerTool:
    """A tool's result."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class ForgetInput:
    """What the caller has begun to say is to be no turn."""


Order = Respond | Recite | StopResponse | Truncate | Tell | AnswerTool | ForgetInput

# --- commands to the shell beside those orders


@dataclass(frozen=True, slots=True)
class Play:
    """Queue sound of a segment."""

    segment: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndSound:
    """The segment's sound is complete."""

    segment: int


@dataclass(frozen=True, slots=True)
class Hear:
    """Let the model hear the caller, or silence in his place."""

    caller: bool


@dataclass(frozen=True, slots=True)
class Renew:
    """Open a new session that knows `history`; answer with `SessionOpened` or `SessionLost`. `planned`: the old one
    works until then; otherwise it is closed first, and hears the caller's last `replay_s` seconds again."""

    history: tuple[Message, ...]
    planned: bool
    replay_s: float = 0.0


Command = (
    Order
    | Play
    | EndSound
    | Hear
    | Renew
    | Speak
    | Flush
    | Pause
    | Resume
    | UseTool
    | Record
    | Remember
    | CloseTurn
    | HangUp
    | HandOver
    | SendDigits
    | Note
)

Event = Signal | SessionOpened | LineEvent
