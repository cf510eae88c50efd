"""From an assistant to the plan of one conversation: what the turn machine needs, and nothing else."""

import dataclasses
from typing import Literal

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.phrases import phrases_for
from sovereign_pbx.core.plan import Phrases, Plan, SilencePlan, ToolMessage, Transfer, TurnTaking
from sovereign_pbx.core.values import Message

Direction = Literal["inbound", "outbound", "web"]

_USUAL = Plan()
_SPOKEN = ("filler", "apology", "unwell", "unheard")


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
        phrases=_phrases(assistant),
        end_call_phrases=tuple(assistant.speech_config.get("end_call_phrases", ())),
        max_duration=None if assistant.max_duration_seconds is None else float(assistant.max_duration_seconds),
        tool_filler_after=float(assistant.phrases.get("tool_filler_after", _USUAL.tool_filler_after)),
        reply_filler_after=float(assistant.phrases.get("reply_filler_after", _USUAL.reply_filler_after)),
        end_call_tools=tuple(tool.name for tool in assistant.tools if tool.kind == "end_call"),
        transfer_tools=tuple(tool.name for tool in assistant.tools if tool.kind == "transfer_call"),
        transfers=tuple(Transfer(to.number, to.message) for tool in assistant.tools for to in tool.destinations),
        tool_messages=_tool_messages(assistant),
    )


def language_of(assistant: Assistant) -> str:
    """The language of the conversation: the recogniser's, or the voice's where the recogniser takes several."""
    heard = str(assistant.stt_config.get("language", "multi"))
    return heard if heard != "multi" else str(assistant.tts_config.get("language", "en"))


def _first_message(assistant: Assistant, direction: Direction) -> str:
    outbound = assistant.speech_config.get("first_message_outbound") if direction == "outbound" else None
    return outbound or assistant.first_message or ""


def _tool_messages(assistant: Assistant) -> tuple[ToolMessage, ...]:
    """An async tool's message is its result, told to the model."""
    tools = (tool for tool in assistant.tools if tool.kind == "webhook" and not tool.is_async and tool.message)
    return tuple(ToolMessage(tool.name, tool.message) for tool in tools)


def _turn_taking(assistant: Assistant) -> TurnTaking:
    given = assistant.speech_config.get("turn_taking", {})
    known = {field.name for field in dataclasses.fields(TurnTaking)}
    return TurnTaking(**{name: value for name, value in given.items() if name in known})


def _silence(assistant: Assistant) -> SilencePlan:
    given, usual = assistant.speech_config.get("silence", {}), SilencePlan()
    return SilencePlan(
        first_check=assistant.silence_first_check,
        interval=float(given.get("interval_seconds", usual.interval)),
        max_attempts=given.get("max_attempts", usual.max_attempts),
        messages=tuple(given.get("messages", ())),
        final_message=given.get("final_message", ""),
    )


def _phrases(assistant: Assistant) -> Phrases:
    own = {name: text for name, text in assistant.phrases.items() if name in _SPOKEN}
    goodbye = assistant.speech_config.get("end_call_message", "")
    return dataclasses.replace(phrases_for(language_of(assistant)), **own, goodbye=goodbye)
