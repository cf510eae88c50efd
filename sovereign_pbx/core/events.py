"""Everything that can happen to a conversation. Frozen, slotted, final: do not subclass.

`Conversation.feed(event, now)` takes them; `at` is always on the same clock as `now`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.values import BLIND, EndReason, ToolCall, TransferOutcome, TransferTerms, Word

# --- the line


@dataclass(frozen=True, slots=True)
class Answered:
    """Frames flow both ways; the greeting may be played."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The line is gone. `cause` is the Q.850 number where the PBX gave one."""

    reason: EndReason = "user_hangup"
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The far end put the call on hold, or took it back."""

    held: bool


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """Nobody took the caller who was being put through: he is coming back. `why` is a sentence for people."""

    outcome: TransferOutcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """One DTMF digit, at key release."""

    digit: str


@dataclass(frozen=True, slots=True)
class ToneHeard:
    """A tone on the far end's side has ended at `ended_at` (audio time): a mailbox's beep, the three rising tones of a
    number that is not in service, a fax machine."""

    kind: Literal["beep", "not_in_service", "fax"]
    ended_at: float


@dataclass(frozen=True, slots=True)
class Tick:
    """`Conversation.deadline` has passed."""


# --- hearing


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The VAD heard speech begin at `at` (audio time, earlier than `now`)."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The VAD is sure of silence; the last speech sample was at `at` (audio time)."""

    at: float


@dataclass(frozen=True, slots=True)
class Interim:
    """Words so far of the unfinished utterance; replaces the previous interim."""

    text: str


@dataclass(frozen=True, slots=True)
class Final:
    """Words that will not change; several may make up one utterance."""

    text: str


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """The recogniser says by itself that the utterance is over: `judged` it from what was said (Flux EndOfTurn), or
    because it heard a silence (Nova speech_final), which is no more than the voice detector knows."""

    judged: bool = False


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """The recogniser finished with what the VAD gave it and found no words."""


@dataclass(frozen=True, slots=True)
class TurnScored:
    """The turn model's probability that the utterance which fell silent at `speech_ended_at` is complete."""

    probability: float
    speech_ended_at: float


@dataclass(frozen=True, slots=True)
class HearingFailed:
    """The recogniser is gone and no other one took over."""

    error: ProviderError


# --- thinking (`reply` numbers are given by `Think`)


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More text from the model."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyTool:
    """The model asks for a tool, complete with arguments."""

    reply: int
    call: ToolCall


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The model has finished this reply."""

    reply: int
    usage: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The model failed, and so did every fallback."""

    reply: int
    error: ProviderError


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool answered (or failed, or timed out: `failed`). `result` is text for the model."""

    call_id: str
    result: str
    failed: bool = False


# --- speaking (`segment` numbers are given by `Speak`)


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """The voice delivered audio: `ms` in total so far for this segment, with the words known so far."""

    segment: int
    ms: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechDone:
    """The voice has delivered the whole segment."""

    segment: int


@dataclass(frozen=True, slots=True)
class SpeechFailed:
    """The voice failed on this segment, and so did every fallback."""

    segment: int
    error: ProviderError


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The segment's first sample went out on the link; or, after `Resume`, it goes on from `played_ms`."""

    segment: int
    played_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class PlayoutFinished:
    """The segment's last sample went out on the link."""

    segment: int


@dataclass(frozen=True, slots=True)
class PlayoutFlushed:
    """Answer to `Flush`: the segment was cut after `played_ms` (0: never began)."""

    segment: int
    played_ms: float


# --- instructions from outside (control API, dialplan, shutdown)


@dataclass(frozen=True, slots=True)
class Instructed:
    """The control API wants something said, known, or ended (contract §7)."""

    kind: Literal["say", "inject", "end", "transfer"]
    text: str = ""
    then: bool = False  # say: hang up afterwards; inject: answer at once; end: when what is queued has been heard
    destination: str = ""
    terms: TransferTerms = BLIND  # transfer: how


Event = (
    Answered
    | HungUp
    | HoldChanged
    | TransferEnded
    | DigitPressed
    | ToneHeard
    | Tick
    | SpeechStarted
    | SpeechStopped
    | Interim
    | Final
    | UtteranceEnded
    | NothingHeard
    | TurnScored
    | HearingFailed
    | ReplyText
    | ReplyTool
    | ReplyDone
    | ReplyFailed
    | ToolFinished
    | SpeechAudio
    | SpeechDone
    | SpeechFailed
    | PlayoutStarted
    | PlayoutFinished
    | PlayoutFlushed
    | Instructed
)
