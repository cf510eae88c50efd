"""What a conversation is to do: the assistant's settings, reduced to what the turn machine needs.

Seconds everywhere. Defaults are the contract's (§4.5, §15) where it has one; otherwise the reason is given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sovereign_pbx.core.values import BLIND, AnsweredBy, Message, TransferTerms

if TYPE_CHECKING:
    from sovereign_pbx.core.workflow import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTaking:
    """When a turn ends and what may interrupt the assistant (contract §4.5 `speech_config.turn_taking`)."""

    endpointing_min_delay: float = 0.4
    endpointing_max_delay: float = 2.0
    interruption_min_duration: float = 0.3
    interruption_min_words: int = 0
    false_interruption_timeout: float | None = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationPlan:
    """How far answers are begun before it is sure that the caller has finished (`core/speculation.py`)."""

    tries: int = 3  # a turn, as LiveKit does
    in_vain: int = 20  # a call; after that the caller's way of speaking is known not to suit it
    longest_turn: float = 10.0  # of speech; such turns are rare, change until the end, and their prompts are long


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencePlan:
    """What to do when the caller says nothing (contract §15.2). Used when `autonomous_silence_handling` is on."""

    first_check: float = 3.0
    interval: float = 12.0
    max_attempts: int = 3
    messages: tuple[str, ...] = ()
    final_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """Sentences spoken without the model; rendered to the phrase cache before the call is answered."""

    filler: str = "One moment, please."  # the first of a call; "": none is ever said
    more_fillers: tuple[str, ...] = ("Just a second.", "Let me see.")  # in turn, so that no wait sounds like the last
    still_waiting: tuple[str, ...] = (
        "I'm still on it, thank you for waiting.",
        "It is taking a little longer than usual. Please stay on the line.",
    )  # when the wait goes on
    apology: str = "I'm sorry, something went wrong on my side. Could you say that again?"
    unwell: str = "I'm sorry, I can't help you right now. I'll put you through."
    goodbye: str = ""
    unheard: str = "Sorry, I didn't catch that. Could you say it again?"
    consent: str = "This call is recorded. Press 1 if you agree."
    transfer_failed: str = "I'm sorry, I couldn't get through. How else can I help you?"
    briefing_call: str = "I have a caller for you: {caller}."  # to a colleague who is to take a call; see core/briefing
    briefing_last: str = "The last thing the caller said was: {said}"
    briefing_question: str = "Press 1 or say yes to take the call. Press 2 or say no to decline it."
    briefing_keys: str = "Press 1 to take the call, or 2 to decline it."
    briefing_again: str = "Sorry, I have no answer from you yet."
    briefing_unknown: str = "somebody who withholds the number"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Somebody whom the assistant may put the caller through to, and what the caller is told before."""

    destination: str
    message: str = ""
    terms: TransferTerms = BLIND


def anywhere(destination: str) -> str:
    """The refusal of a transfer where no rules are given: none."""
    return ""


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """What the caller is told as soon as a tool runs."""

    tool: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """An entry of keys: when it is complete, and who may know it.

    `least`, `most`: how many keys. `finish` ends it ("": only its length and time do). `first_within`: seconds until
    the first key, from the end of the prompt; `between`: until each further one. `mask`: nobody but a tool that the
    administrator names gets to know the keys. `interrupt`: the first key ends what is being said.
    """

    name: str = "entry"  # of the tool that asks for it
    prompt: str = ""
    least: int = 1
    most: int = 64
    finish: str = "#"
    first_within: float = 10.0
    between: float = 4.0  # people read card numbers in groups, and look up from the keys in between
    mask: bool = False
    interrupt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the model is told and may do at one place of a workflow: fields of `Plan`, by the same names."""

    messages: tuple[Message, ...] = ()
    end_call_tools: tuple[str, ...] = ()
    transfer_tools: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    tool_messages: tuple[ToolMessage, ...] = ()
    collectors: tuple[Collector, ...] = ()
    tone_tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Ask to be allowed to record, before anything else (contract §4.1 `recording_consent`)."""

    message: str
    key: str = "1"
    attempts: int = 2  # once more, for those who did not listen or pressed beside it
    answer_within: float = 8.0  # seconds from the end of the question; a telephone has to be taken from the ear


@dataclass(frozen=True, slots=True, kw_only=True)
class Voicemail:
    """Whoever answers may be a mailbox (contract §15.1). An empty `message`: hang up on it.

    `introduction` answers a service that asks who is calling and why. `answered_by`: what the PBX has found out.
    """

    message: str = ""
    introduction: str = ""
    answered_by: AnsweredBy = "unknown"
    patience: float = 3.0  # a person says "hello?" within two seconds of lifting; from a silent one greet at last
    pause: float = 1.2  # a mailbox that has been silent so long, its beep included, records
    longest: float = 30.0  # how long its greeting is listened to at most
    fetching: float = 30.0  # somebody goes and asks whether the call is wanted: a telephone rings about so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One conversation's settings."""

    first_message: str = ""
    messages: tuple[Message, ...] = ()
    language: str = "en"
    turn_taking: TurnTaking = TurnTaking()
    silence: SilencePlan | None = None
    speculation: SpeculationPlan | None = None
    phrases: Phrases = Phrases()
    end_call_phrases: tuple[str, ...] = ()
    max_duration: float | None = None
    # Both so that no wait lasts two seconds: a tool is asked for about 0.8 s after the caller's last word.
    tool_filler_after: float = 1.0  # a tool slower than this is covered by `phrases.filler`
    reply_filler_after: float = 1.8  # so is a caller who waits so long for the first sound, whatever is late
    filler_every: float = 7.0  # and again after so much silence, `MOST_FILLERS` times in all
    stt_final_timeout: float = 1.0  # decided turn, no final text yet: go on with the interim
    max_tool_rounds: int = 5
    end_call_tools: tuple[str, ...] = ("end_call",)  # names by which the model ends the call
    transfer_tools: tuple[str, ...] = ("transfer_call",)  # names by which it transfers, and only to `transfers`
    transfers: tuple[Transfer, ...] = ()
    refusal: Callable[[str], str] = anywhere  # why nobody may be put through to a destination; "": he may
    max_transfers: int = 5  # attempts in one call
    tool_messages: tuple[ToolMessage, ...] = ()
    keys: Collector = Collector(between=2.0)  # those that no tool has asked for
    collectors: tuple[Collector, ...] = ()  # tools by which the model asks for keys
    tone_tools: tuple[str, ...] = ()  # names by which the model sends tones
    failures_before_handover: int = 2  # provider failures in a row before the dialplan's fallback gets the caller
    consent: Consent | None = None
    voicemail: Voicemail | None = None
    workflow: "Graph | None" = None
