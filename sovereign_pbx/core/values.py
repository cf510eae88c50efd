"""Values that events, commands and records share."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; times in seconds from the start of its segment (TTS) or stream (STT)."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is the raw JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history. An assistant's content is what the caller heard, never what was generated."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    interrupted: bool = False


SpeechKind = Literal["greeting", "reply", "filler", "apology", "goodbye", "say", "prompt"]

AnsweredBy = Literal["unknown", "person", "mailbox"]
"""What a PBX that listens first (Asterisk's `AMD`) makes of whoever has answered."""

EndReason = Literal[
    "user_hangup",
    "assistant_hangup",
    "max_duration",
    "silence_timeout",
    "voicemail",
    "transferred",
    "rejected",
    "no_answer",
    "busy",
    "error",
    "api_end_call",
    "shutdown",
]
"""Ends of a call (contract §5.4: the vendor's set is open; `user_hangup` and `max_duration` are its own words)."""

TransferMode = Literal["blind", "attended"]
"""attended: whoever answers hears a briefing first, and takes the caller or does not."""

TransferOutcome = Literal["accepted", "declined", "busy", "no_answer", "failed", "caller_gone"]
"""How putting a caller through ended. accepted: the two talk. caller_gone: he hung up before anybody took him."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferTerms:
    """How somebody is put through. `ring_s` None: as configured for all.

    `summary` is for the colleague's ears, of whoever wants the transfer; `briefing` says what else the colleague is to
    be told, in the administrator's words.
    """

    mode: TransferMode = "blind"
    ring_s: float | None = None
    summary: str = ""
    briefing: str = ""


BLIND = TransferTerms()


@dataclass(frozen=True, slots=True)
class TurnTiming:
    """Where the time of one turn went, in milliseconds; the parts sum to `total_ms`.

    From the caller's last speech sample to the assistant's first sample on the link.
    `endpointing_ms` ends when the turn was decided; `stt_ms` is what was waited for the final text
    after that; `tool_ms` is what tools took before the first spoken clause of the answer.
    """

    endpointing_ms: float = 0.0
    stt_ms: float = 0.0
    llm_ms: float = 0.0
    tool_ms: float = 0.0
    clause_ms: float = 0.0
    tts_ms: float = 0.0
    link_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        return (
            self.endpointing_ms + self.stt_ms + self.llm_ms + self.tool_ms + self.clause_ms + self.tts_ms + self.link_ms
        )


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One exchange: what the caller said, what he then heard, and how long it took.

    Times are seconds since the call was answered. `heard` is cut at the word where the caller interrupted.
    """

    number: int
    said: str
    heard: str
    started_at: float
    speech_ended_at: float | None
    reply_started_at: float | None
    ended_at: float
    interrupted: bool
    timing: TurnTiming | None
    usage: dict[str, Any] = field(default_factory=dict)
