"""From an assistant to the plan of one conversation: what the turn machine needs, and nothing else."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal

from sovereign_pbx.assistants.digits import unasked
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.phrases import introduction_of, phrases_for
from sovereign_pbx.assistants.tools import Tool
from sovereign_pbx.core.plan import (
    Consent,
    Phrases,
    Plan,
    SilencePlan,
    SpeculationPlan,
    ToolMessage,
    Transfer,
    TurnTaking,
    Voicemail,
)
from sovereign_pbx.core.values import Message

Direction = Literal["inbound", "outbound", "web"]

_USUAL = Plan()
_ON_THIS_MACHINE = ("local", "receptionist")
_SPOKEN = (
    "filler",
    "apology",
    "unwell",
    "unheard",
    "transfer_failed",
    "briefing_question",
    "briefing_keys",
    "briefing_again",
)
_SPOKEN_IN_TURN = ("more_fillers", "still_waiting")


def plan_for(assistant: Assistant, *, direction: Direction = "inbound") -> Plan:
    """The plan of one call. Everything that is not set keeps the contract's default (`core/plan.py`)."""
    return Plan(
        first_message=_first_message(assistant, direction),
        messages=tuple(
            Message(role=item["role"], content=item["content"]) for item in assistant.llm_config.get("messages", ())
        ),
        language=language_of(assistant),
        turn_taking=_turn_taking(assistant),
        silence=_silence(assistant) if assistant.autonomous_silence_handling else None,
        speculation=_speculation(assistant),
        phrases=phrases_of(assistant),
        end_call_phrases=tuple(assistant.speech_config.get("end_call_phrases", ())),
        max_duration=None if assistant.max_duration_seconds is None else float(assistant.max_duration_seconds),
        tool_filler_after=float(assistant.phrases.get("tool_filler_after", _USUAL.tool_filler_after)),
        reply_filler_after=float(assistant.phrases.get("reply_filler_after", _USUAL.reply_filler_after)),
        filler_every=float(assistant.phrases.get("filler_every", _USUAL.filler_every)),
        consent=_consent(assistant) if direction == "inbound" else None,
        voicemail=_voicemail(assistant) if direction == "outbound" else None,
        keys=unasked(assistant.digits),
        **tool_settings(assistant.tools),
    )


def tool_settings(tools: Sequence[Tool]) -> dict[str, Any]:
    """What the conversation has to know of the tools: fields of `Plan`, and of `Standing`, by their names."""
    return {
        "end_call_tools": tuple(tool.name for tool in tools if tool.kind == "end_call"),
        "transfer_tools": tuple(tool.name for tool in tools if tool.kind == "transfer_call"),
        "transfers": tuple(Transfer(to.number, to.message, to.terms) for tool in tools for to in tool.destinations),
        "tool_messages": _tool_messages(tools),
        "collectors": tuple(tool.collector for tool in tools if tool.collector is not None),
        "tone_tools": tuple(tool.name for tool in tools if tool.kind == "tones"),
    }


def language_of(assistant: Assistant) -> str:
    """The language of the conversation: the recogniser's, or the voice's where the recogniser takes several."""
    heard = str(assistant.stt_config.get("language", "multi"))
    return heard if heard != "multi" else str(assistant.tts_config.get("language", "en"))


def voice_language(assistant: Assistant) -> str:
    """The language that the voice is opened with: "multi" where each answer may be in another."""
    several = assistant.stt_config.get("language") == "multi" and not assistant.tts_config.get("language")
    return "multi" if several else language_of(assistant)


def _first_message(assistant: Assistant, direction: Direction) -> str:
    outbound = assistant.speech_config.get("first_message_outbound") if direction == "outbound" else None
    return outbound or assistant.first_message or ""


def _tool_messages(tools: Sequence[Tool]) -> tuple[ToolMessage, ...]:
    """An async tool's message is its result, told to the model."""
    telling = (tool for tool in tools if tool.kind == "webhook" and not tool.is_async and tool.message)
    return tuple(ToolMessage(tool.name, tool.message) for tool in telling)


def _consent(assistant: Assistant) -> Consent | None:
    """Asked of inbound telephone calls only (contract §4.1); without words of its own in the language of the call."""
    if not assistant.asks_consent:
        return None
    words = (assistant.recording_consent or {}).get("message", "").strip()
    return Consent(message=words or phrases_for(language_of(assistant)).consent)


def _voicemail(assistant: Assistant) -> Voicemail | None:
    if not assistant.voicemail_detection:
        return None
    return Voicemail(message=assistant.voicemail_message or "", introduction=_introduction(assistant))


def _introduction(assistant: Assistant) -> str:
    """Who calls and why, for a service that asks: the assistant's own words, else its business and its greeting."""
    own = assistant.phrases.get("introduction", "").strip()
    purpose = _first_message(assistant, "outbound").strip()
    name = (assistant.business_name or assistant.name).strip()
    known = not name or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", purpose, re.IGNORECASE)
    return own or (purpose if known else f"{introduction_of(name, language_of(assistant))} {purpose}".strip())


def _turn_taking(assistant: Assistant) -> TurnTaking:
    given = assistant.speech_config.get("turn_taking", {})
    known = {field.name for field in dataclasses.fields(TurnTaking)}
    return TurnTaking(**{name: value for name, value in given.items() if name in known})


def _speculation(assistant: Assistant) -> SpeculationPlan | None:
    """None where it is switched off: by the assistant, or without its word where the model runs on this machine, whose
    few places are for answers that somebody waits for."""
    here = assistant.llm_config.get("provider") in _ON_THIS_MACHINE
    given = assistant.speech_config.get("turn_taking", {})
    tries = given.get("speculative_replies", 0 if here else SpeculationPlan().tries)
    return SpeculationPlan(tries=tries) if tries else None


def _silence(assistant: Assistant) -> SilencePlan:
    given, usual = assistant.speech_config.get("silence", {}), SilencePlan()
    return SilencePlan(
        first_check=assistant.silence_first_check,
        interval=float(given.get("interval_seconds", usual.interval)),
        max_attempts=given.get("max_attempts", usual.max_attempts),
        messages=tuple(given.get("messages", ())),
        final_message=given.get("final_message", ""),
    )


def phrases_of(assistant: Assistant) -> Phrases:
    """What is said without the model: the assistant's own sentences, else those of its language."""
    own: dict[str, Any] = {name: text for name, text in assistant.phrases.items() if name in _SPOKEN}
    lists = {name: tuple(texts) for name, texts in assistant.phrases.items() if name in _SPOKEN_IN_TURN}
    if "filler" in own:  # an assistant with words of its own does not say another's
        lists.setdefault("more_fillers", ())
    own |= lists
    goodbye = assistant.speech_config.get("end_call_message", "")
    return dataclasses.replace(phrases_for(language_of(assistant)), **own, goodbye=goodbye)
