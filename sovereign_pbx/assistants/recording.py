"""Whether an assistant's calls are recorded, and what pauses that: its `recording` block, which the contract does not
have. It stands beside `llm_config.tools` and not among them, as `digits` does, and for the same reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import Flag
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.assistants.tools import Tool

PAUSE: Final = "pause_recording"
RESUME: Final = "resume_recording"

RECORDING = Table(
    Key("enabled", Flag(), "Off: its calls are not recorded, whatever [recording] says.", True),
    Key(
        "pause_tools", Flag(), "Give the model pause_recording and resume_recording, for what must not be kept.", False
    ),
    Key("pause_for_keys", Flag(), "Pause while the caller keys in what a collector masks.", True),
)

_PAUSING: Final = (
    "Pause the recording of this call before the caller says what must not be kept, such as the number of a card. "
    "The call itself goes on."
)
_RESUMING: Final = "Go on recording this call, as soon as what must not be kept has been said."


def recording_tools(block: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools that a `recording` block makes."""
    if not block.get("pause_tools"):
        return ()
    return (
        Tool(name=PAUSE, kind="recording", description=_PAUSING),
        Tool(name=RESUME, kind="recording", description=_RESUMING),
    )


def is_recorded(block: Mapping[str, Any]) -> bool:
    """Are this assistant's calls recorded where calls are?"""
    return bool(block.get("enabled", True))


def pauses_for_keys(block: Mapping[str, Any]) -> bool:
    """Is the recording silent while keys are collected that nobody may know?"""
    return bool(block.get("pause_for_keys", True))


def check_recording(given: Mapping[str, Any], tools: Sequence[Tool], path: Path, report: Report) -> None:
    """Report tools of the assistant's own that have the names of these."""
    block = given.get("recording", {})
    names = {tool.name for tool in tools} | {each.get("name") for each in given.get("digits", {}).get("collectors", ())}
    for own in recording_tools(block):
        if own.name in names:
            report.error((*path, "recording", "pause_tools"), f'another tool is named "{own.name}"', "rename that one")
    if block.get("pause_tools") and not is_recorded(block):
        report.warn((*path, "recording", "pause_tools"), "does nothing: calls of this assistant are not recorded")
