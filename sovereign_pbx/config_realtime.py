"""What of an assistant a realtime model can't do: whoever writes it must not believe in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.realtime import is_realtime

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

_KEPT = ("interruption_min_duration",)
"""Of turn_taking: everything else is the vendor's (contract §4.5)."""


def check_realtime(config: "Config", report: Report) -> None:
    """Report on each assistant whose model hears and speaks itself, and on workflows that are to be its."""
    for name, assistant in config.assistants.items():
        if is_realtime(assistant.llm_config):
            for place, what, remedy in _doubtful(assistant):
                report.warn(("assistants", name, *place), what, remedy)
    for index, number in enumerate(config.numbers):
        chosen = config.assistants.get(number.assistant or "")
        if number.workflow and chosen is not None and is_realtime(chosen.llm_config):
            what = f"a workflow can't be conducted by {chosen.name}, whose model hears and speaks itself"
            report.warn(("numbers", index, "workflow"), what, "give the number an assistant with a model for text")


def _doubtful(assistant: Assistant) -> Iterator[tuple[Path, str, str]]:
    if assistant.stt_config.get("provider"):
        yield ("stt_config", "provider"), "is not asked: the realtime model hears the caller itself", "leave it out"
    if assistant.voicemail_detection:
        yield ("voicemail_detection",), "is not done with a realtime model", "use a model for text on outbound calls"
    if assistant.speech_config.get("pronunciation") and not assistant.tts_config.get("provider"):
        yield ("speech_config", "pronunciation"), "does nothing to the speech of a realtime model", "tell the model"
    taken = [key for key in assistant.speech_config.get("turn_taking", {}) if key not in _KEPT]
    if taken:
        what = f"{', '.join(taken)}: a realtime model takes turns by itself"
        yield ("speech_config", "turn_taking"), what, "see llm_config.turn_detection"
    keys = [tool.name for tool in assistant.tools if tool.collector is not None or tool.kind == "tones"]
    if keys:
        what = f"{', '.join(keys)}: not offered to a realtime model, which gets the caller's keys as text"
        yield ("digits",), what, "use a model for text where keys are collected or tones sent"
    if assistant.asks_consent and not assistant.tts_config.get("provider"):
        what = "is asked by the realtime model, which may put it in other words"
        yield ("recording_consent",), what, "name a voice in tts_config, which says it exactly"
