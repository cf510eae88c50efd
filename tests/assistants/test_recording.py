from typing import Any

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import InvalidSettings
from sovereign_pbx.assistants.recording import PAUSE, RESUME, is_recorded, pauses_for_keys


def assistant(**fields: Any) -> Assistant:
    return Assistant.parse({"name": "desk", **fields}, where="the assistant", strict=True)


def names(made: Assistant) -> list[str]:
    return [tool.name for tool in made.tools]


def test_a_model_gets_no_tools_to_pause_with_unless_it_is_said() -> None:
    assert names(assistant()) == []
    assert names(assistant(recording={"pause_tools": True})) == [PAUSE, RESUME]


def test_without_the_block_calls_are_recorded_and_masked_keys_pause_that() -> None:
    usual = assistant().recording
    assert is_recorded(usual) and pauses_for_keys(usual)
    other = assistant(recording={"enabled": False, "pause_for_keys": False}).recording
    assert not is_recorded(other) and not pauses_for_keys(other)


@pytest.mark.parametrize(
    "clash",
    [
        {"llm_config": {"tools": [{"name": PAUSE, "description": "Mine.", "url": "https://example.com"}]}},
        {"digits": {"collectors": [{"name": RESUME, "description": "Mine."}]}},
    ],
)
def test_another_tool_of_the_same_name_is_an_error(clash: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match="another tool is named"):
        assistant(recording={"pause_tools": True}, **clash)


def test_tools_for_a_recording_that_never_is_are_doubtful() -> None:
    made = assistant(recording={"enabled": False, "pause_tools": True})
    assert any("does nothing" in warning for warning in made.warnings)
